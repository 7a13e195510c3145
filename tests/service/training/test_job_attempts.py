"""Jobs whose trainers die: tried again, for as long as that helps."""

from pathlib import Path
from typing import Any

import pytest
from running_service import (
    CANCELLED,
    FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Client,
    eventually,
    make_config,
    refused,
    running,
    scheduling,
    states,
)

from cultivar.v1 import event_pb2, training_pb2


def failures(events: list[Any]) -> list[event_pb2.AttemptFailed]:
    return [event.attempt_failed for event in events if event.HasField("attempt_failed")]


async def test_a_lost_trainer_is_followed_by_another(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="flaky", package=package)) as (_, client):
        await client.import_flowers()

        job = await client.train()
        events = await client.events(job.name)

        assert states(events) == [QUEUED, RUNNING, QUEUED, RUNNING, SUCCEEDED]
        assert [one.cause.reason for one in failures(events)] == ["TRAINER_LOST"]
        assert job.attempt == 2
        assert not job.HasField("retry_time")
        assert job.run_seconds > 0


async def test_a_job_without_progress_is_given_up(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="crash", package=package)) as (_, client):
        await client.import_flowers()

        job = await client.train(scheduling=scheduling(attempts_without_progress=2))
        failed = failures(await client.events(job.name))

        assert (job.state, job.attempt, job.error.reason) == (FAILED, 3, "TRAINER_LOST")
        assert "3 attempts in a row" in job.error.message
        assert [one.attempts_without_progress for one in failed] == [1, 2]
        assert [one.retry_seconds for one in failed] == [0.05, 0.1]


async def test_progress_is_tried_on_without_end(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="mortal", package=package)) as (_, client):
        await client.import_flowers()

        job = await client.train(epochs=4, scheduling=scheduling(attempts_without_progress=1))

        assert (job.state, job.attempt) == (SUCCEEDED, 5)
        assert [one.attempts_without_progress for one in failures(await client.events(job.name))] == [0] * 4
        assert job.checkpoint.epoch == 4


async def test_lack_of_memory_is_tried_once_more(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="out-of-memory", package=package)) as (_, client):
        await client.import_flowers()

        job = await client.train()

        assert (job.state, job.attempt, job.error.reason) == (FAILED, 2, "OUT_OF_MEMORY")


async def test_a_trainer_that_can_not_be_started_is_tried_again(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
    nothing = make_config(tmp_path, trainer_command=(str(tmp_path / "nothing"),))
    async with running(nothing) as (_, client):
        job = await client.train(scheduling=scheduling(attempts_without_progress=1))

        assert (job.state, job.attempt, job.error.reason) == (FAILED, 2, "TRAINER_NOT_STARTED")
        assert "No such file" in job.error.message


async def test_a_job_that_waits_for_a_retry_lets_others_pass_and_can_be_cancelled(
    tmp_path: Path, package: Path
) -> None:
    config = make_config(tmp_path, behaviour="flaky", package=package, retry_delay_s=3600)
    async with running(config) as (_, client):
        await client.import_flowers()
        first = await client.create_job()

        waiting = await retrying(client, first.name)
        second = await client.create_job()
        await retrying(client, second.name)
        cancelled = await client.cancel(first.name)

        assert (waiting.state, waiting.phase) == (QUEUED, 0)
        assert waiting.retry_time.seconds - waiting.create_time.seconds >= 359  # the longest delay
        assert abs(waiting.expected_start_time.seconds - waiting.retry_time.seconds) <= 1
        assert cancelled.state == CANCELLED
        assert not cancelled.HasField("retry_time")


async def retrying(client: Client, name: str) -> training_pb2.TrainingJob:
    async def seen() -> training_pb2.TrainingJob | None:
        job = await client.job(name)
        return job if job.HasField("retry_time") else None

    return await eventually(seen)


@pytest.mark.slow
async def test_a_job_that_ran_as_long_as_it_may_fails_and_its_best_epoch_can_be_exported(
    tmp_path: Path, package: Path
) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        await client.import_flowers()

        job = await client.train(scheduling=scheduling(max_run_seconds=3))
        await client.export(job.name)
        exported = await client.reached(job.name, SUCCEEDED)

        assert (job.state, job.error.reason) == (FAILED, "DEADLINE_EXCEEDED")
        assert 3 <= job.run_seconds < 30
        assert exported.model_version == "models/flowers/versions/1"
        assert not exported.HasField("error")


async def test_what_ends_all_running_jobs_ends_no_waiting_one(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (service, client):
        await client.import_flowers()
        first = await client.create_job()
        await client.first_epoch(first.name)
        second = await client.create_job()

        await service.jobs.fail_running(event_pb2.Failure(reason="INSUFFICIENT_DISK", message="full"))

        ended = await client.job(first.name)
        assert (ended.state, ended.error.reason) == (FAILED, "INSUFFICIENT_DISK")
        await client.first_epoch(second.name)
        await client.cancel(second.name)
        await client.reached(second.name, CANCELLED)


@pytest.mark.parametrize("limits", [{"max_run_seconds": -1}, {"attempts_without_progress": 101}, {"priority": 2000}])
async def test_limits_out_of_range_are_refused(tmp_path: Path, limits: dict[str, float]) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()

        refusal = await refused(client.create_job(scheduling=scheduling(**limits)))

        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", [f"spec.scheduling.{next(iter(limits))}"])
