"""What becomes of training jobs, seen through gRPC, with trainers that follow scripts."""

import asyncio
import importlib.util
import os
import re
from pathlib import Path

import pytest
from running_service import (
    CANCELLED,
    CANCELLING,
    FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    make_config,
    refused,
    running,
    scheduling,
    states,
)

from cultivar.v1 import training_pb2


def cancel(name: str) -> training_pb2.CancelTrainingJobRequest:
    return training_pb2.CancelTrainingJobRequest(name=name)


async def test_a_job_trains_publishes_and_tells_every_step_once(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, package=package)) as (_, client):
        await client.import_flowers()

        job = await client.create_job()
        events = await client.events(job.name)
        ended = await client.job(job.name)

        assert job.state == QUEUED
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert states(events) == [QUEUED, RUNNING, SUCCEEDED]
        assert {event.attempt for event in events[1:]} == {1}
        assert ended.state == SUCCEEDED
        assert ended.last_event == len(events)
        assert ended.model_version == "models/flowers/versions/1"
        assert (ended.latest_epoch.epoch, ended.best_epoch.epoch) == (2, 1)
        assert ended.metrics[0].accuracy == 0.9
        assert ended.recipe.dataset == "datasets/flowers/versions/1"
        assert ended.phase == 0
        assert (await client.predict(b"?")).model_version == ended.model_version


async def test_a_watch_goes_on_after_a_cursor(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, package=package)) as (_, client):
        await client.import_flowers()
        job = await client.train()

        everything = await client.events(job.name)
        rest = await client.events(job.name, after=4)
        nothing = await client.events(job.name, after=job.last_event)
        refusal = await refused(client.events(job.name, after=job.last_event + 1))

        assert rest == everything[4:]
        assert nothing == []
        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ["after_event"])


async def test_states_and_numbers_are_not_the_trainers_to_tell(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="foreign", package=package)) as (_, client):
        await client.import_flowers()

        job = await client.create_job()
        events = await client.events(job.name)

        assert states(events) == [QUEUED, RUNNING, SUCCEEDED]
        assert [event.number for event in events] == list(range(1, len(events) + 1))


async def test_cancel_stops_the_trainer_and_keeps_the_log(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        await client.import_flowers()
        job = await client.create_job()
        await client.first_epoch(job.name)

        answer = await client.training.CancelTrainingJob(cancel(job.name))
        again = await client.training.CancelTrainingJob(cancel(job.name))
        events = await client.events(job.name)
        after = await client.training.CancelTrainingJob(cancel(job.name))

        assert answer.state == CANCELLING
        assert again.last_event == answer.last_event
        assert states(events) == [QUEUED, RUNNING, CANCELLING, CANCELLED]
        assert after.state == CANCELLED
        log = await client.log(job.name)
        assert "epoch 1/2" in log
        assert "told to stop" in log


async def test_cancel_kills_a_trainer_that_does_not_listen(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, behaviour="stubborn", package=package, cancel_grace_s=0.5)
    async with running(config) as (_, client):
        await client.import_flowers()
        job = await client.create_job()
        await client.first_epoch(job.name)
        pid = int(re.findall(r"trainer (\d+)", await client.log(job.name))[0])

        await client.training.CancelTrainingJob(cancel(job.name))
        events = await client.events(job.name)

        assert states(events)[-1] == CANCELLED
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)


async def test_jobs_wait_for_their_turn_and_can_be_cancelled_meanwhile(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        await client.import_flowers()
        first = await client.create_job()
        await client.first_epoch(first.name)
        second, third = await client.create_job(), await client.create_job()

        cancelled = await client.training.CancelTrainingJob(cancel(second.name))
        waiting = await client.job(third.name)
        (tmp_path / "data/runs" / first.name.split("/")[1] / "go").touch()
        await client.events(first.name)
        running_now = await client.first_epoch(third.name)
        await client.training.CancelTrainingJob(cancel(third.name))
        await client.events(third.name)

        assert cancelled.state == CANCELLED
        assert states(await client.events(second.name)) == [QUEUED, CANCELLED]
        assert waiting.state == QUEUED
        assert running_now.state == RUNNING


@pytest.mark.parametrize(
    ("behaviour", "reason", "said"),
    [
        ("crash", "TRAINER_LOST", "killed by signal 9"),
        ("silent-end", "TRAINER_LOST", "exit status 3"),
        ("fail", "EMPTY_SPLIT", "val is empty"),
    ],
)
async def test_a_job_whose_trainer_ends_badly_fails_and_says_why(
    tmp_path: Path, package: Path, behaviour: str, reason: str, said: str
) -> None:
    async with running(make_config(tmp_path, behaviour=behaviour, package=package)) as (_, client):
        await client.import_flowers()

        job = await client.train(scheduling=scheduling(attempts_without_progress=0))

        assert job.state == FAILED
        assert job.attempt == 1
        assert job.error.reason == reason
        assert said in job.error.message


async def test_a_repeated_request_id_answers_with_the_first_job(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, package=package)) as (_, client):
        await client.import_flowers()

        first = await client.create_job(request_id="a")
        await client.import_flowers(seed=1)  # `flowers` means another version now; the request is still the same
        again = await client.create_job(request_id="a")
        refusal = await refused(client.create_job(request_id="a", epochs=3))
        other = await client.create_job(request_id="b")

        assert again.name == first.name
        assert (refusal.code, refusal.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
        assert refusal.resource == first.name
        assert other.name != first.name


async def test_only_a_finished_job_can_be_deleted_and_its_version_stays(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        await client.import_flowers()
        job = await client.create_job()
        request = training_pb2.DeleteTrainingJobRequest(name=job.name)
        folder = tmp_path / "data/runs" / job.name.split("/")[1]
        await client.first_epoch(job.name)

        refusal = await refused(client.training.DeleteTrainingJob(request))
        (folder / "go").touch()
        await client.events(job.name)
        await client.training.DeleteTrainingJob(request)

        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "JOB_NOT_FINISHED")
        assert (await refused(client.job(job.name))).code == "NOT_FOUND"
        assert not folder.exists()
        assert (await client.predict(b"?")).model_version == "models/flowers/versions/1"


async def test_a_full_disk_refuses_work_that_writes(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, min_free_bytes=1 << 60)) as (_, client):
        refusal = await refused(client.import_flowers())

        assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_DISK")


async def test_a_full_queue_refuses_jobs(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, package=package, max_queued_jobs=0)) as (_, client):
        await client.import_flowers()

        refusal = await refused(client.create_job())

        assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
        assert refusal.retry_s == 60


async def test_without_a_trainer_only_what_needs_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    async with running(make_config(tmp_path, trainer_command=())) as (_, client):
        refusal = await refused(client.import_flowers())

        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "TRAINER_NOT_INSTALLED")
        listed = await client.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())
        assert not listed.training_jobs


async def test_a_log_is_followed_to_the_jobs_end_and_read_from_a_byte_on(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        await client.import_flowers()
        job = await client.create_job()
        following = asyncio.create_task(client.log(job.name, follow=True))
        await client.first_epoch(job.name)
        (tmp_path / "data/runs" / job.name.split("/")[1] / "go").touch()

        followed = await following
        whole = await client.log(job.name)
        rest = await client.log(job.name, offset=len("trainer"))
        refusal = await refused(client.log(job.name, offset=10_000))

        assert followed == whole
        assert "epoch 2/2" in whole
        assert rest == whole[len("trainer") :]
        assert (refusal.code, refusal.fields) == ("OUT_OF_RANGE", ["offset"])
