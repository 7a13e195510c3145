"""Jobs that are paused, resumed, and exported after their end."""

from pathlib import Path

import pytest
from certificates import client_with, make_tokens
from running_service import (
    CANCELLED,
    CANCELLING,
    PAUSED,
    PAUSING,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Client,
    make_config,
    refused,
    running,
    states,
)

from cultivar.v1 import training_pb2
from cultivar_service.config import Security


def open_gate(folder: Path, name: str) -> None:
    (folder / "data/runs" / name.split("/")[1] / "go").touch()


async def begun(client: Client) -> training_pb2.TrainingJob:
    await client.import_flowers()
    job = await client.create_job()
    return await client.first_epoch(job.name)


async def test_a_paused_job_holds_no_device_and_goes_on_when_it_is_resumed(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        job = await begun(client)

        asked = await client.pause(job.name)
        again = await client.pause(job.name)
        paused = await client.reached(job.name, PAUSED)
        other = await client.create_job()
        await client.first_epoch(other.name)  # on the device that was given back
        open_gate(tmp_path, other.name)
        resumed = await client.resume(job.name)
        open_gate(tmp_path, job.name)
        events = await client.events(job.name)

        assert (asked.state, again.state) == (PAUSING, PAUSING)
        assert again.last_event == asked.last_event
        assert (paused.phase, paused.attempt) == (0, 1)
        assert resumed.state == QUEUED
        assert states(events) == [QUEUED, RUNNING, PAUSING, PAUSED, QUEUED, RUNNING, SUCCEEDED]
        assert (await client.job(job.name)).attempt == 2


async def test_a_waiting_job_pauses_at_once_and_loses_its_place(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        first = await begun(client)
        second, third = await client.create_job(), await client.create_job()

        paused = await client.pause(second.name)
        await client.resume(second.name)
        positions = [(await client.job(job.name)).queue_position for job in (third, second)]
        for job in (third, second, first):
            await client.cancel(job.name)
        await client.reached(first.name, CANCELLED)

        assert paused.state == PAUSED
        assert positions == [1, 2]


async def test_a_job_can_be_cancelled_while_it_pauses_and_when_it_is_paused(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, behaviour="stubborn", package=package, cancel_grace_s=0.3)
    async with running(config) as (_, client):
        first = await begun(client)
        await client.pause(first.name)
        asked = await client.cancel(first.name)
        ended = await client.reached(first.name, CANCELLED)

        second = await client.create_job()
        await client.pause(second.name)
        await client.reached(second.name, PAUSED)
        cancelled = await client.cancel(second.name)

        assert asked.state == CANCELLING
        assert ended.attempt == 1
        assert cancelled.state == CANCELLED


async def test_a_job_that_finishes_before_it_can_pause_is_published(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, behaviour="stubborn", package=package, cancel_grace_s=30.0)
    async with running(config) as (_, client):
        job = await begun(client)

        await client.pause(job.name)
        open_gate(tmp_path, job.name)

        assert states(await client.events(job.name)) == [QUEUED, RUNNING, PAUSING, SUCCEEDED]


async def test_a_cancelled_job_is_exported_once(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        job = await begun(client)
        await client.cancel(job.name)
        await client.reached(job.name, CANCELLED)

        queued = await client.export(job.name)
        again = await client.export(job.name)
        ended = await client.reached(job.name, SUCCEEDED)

        assert (queued.state, queued.export_only) == (QUEUED, True)
        assert not queued.HasField("end_time")
        assert again.export_only
        assert ended.model_version == "models/flowers/versions/1"
        assert ended.latest_epoch.epoch == 1
        assert (await client.export(job.name)).state == SUCCEEDED


async def test_what_a_job_s_state_does_not_allow_is_refused(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        job = await begun(client)
        assert (await client.resume(job.name)).state == RUNNING
        while_running = await refused(client.export(job.name))
        waiting = await client.create_job()
        await client.cancel(waiting.name)
        never_ran = await refused(client.export(waiting.name))
        ended = await refused(client.pause(waiting.name))
        not_paused = await refused(client.resume(waiting.name))
        open_gate(tmp_path, job.name)
        await client.reached(job.name, SUCCEEDED)
        succeeded = await refused(client.export(job.name))

        for refusal, reason in (
            (while_running, "JOB_NOT_EXPORTABLE"),
            (never_ran, "NOTHING_TO_EXPORT"),
            (ended, "JOB_NOT_PAUSABLE"),
            (not_paused, "JOB_NOT_PAUSED"),
            (succeeded, "JOB_NOT_EXPORTABLE"),
        ):
            assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", reason)


async def test_only_its_creator_pauses_resumes_and_exports_a_job_and_lists_it_as_theirs(
    tmp_path: Path, package: Path
) -> None:
    path, made = make_tokens(tmp_path, ann="train", ben="train")
    config = make_config(tmp_path, behaviour="gated", package=package, security=Security(tokens_file=path))
    async with (
        running(config) as (service, _),
        client_with(service.grpc_address, made["ann"]) as ann,
        client_with(service.grpc_address, made["ben"]) as ben,
    ):
        job = await begun(ann)
        bens = await ben.create_job()

        refusals = [(await refused(ask(job.name))).reason for ask in (ben.pause, ben.resume, ben.export)]
        mine = await ann.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest(mine=True))
        everything = await ann.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())
        await ben.cancel(bens.name)
        await ann.cancel(job.name)
        await ann.reached(job.name, CANCELLED)

        assert refusals == ["NOT_CREATOR"] * 3
        assert [one.name for one in mine.training_jobs] == [job.name]
        assert [one.name for one in everything.training_jobs] == [bens.name, job.name]


@pytest.mark.parametrize("ask", ["pause", "resume", "export"])
async def test_a_job_that_is_not_there_can_not_be_asked_for_anything(tmp_path: Path, ask: str) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        assert (await refused(getattr(client, ask)("trainingJobs/none"))).code == "NOT_FOUND"
        assert (await refused(getattr(client, ask)(""))).code == "INVALID_ARGUMENT"
