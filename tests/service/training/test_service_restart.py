"""The service is killed or stopped; its trainers live on, and the next service finds them."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from running_service import (
    CANCELLED,
    CANCELLING,
    PAUSED,
    PAUSING,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    connected,
    eventually,
    make_config,
    running,
    scheduling,
    states,
)

from cultivar.v1 import event_pb2, training_pb2
from cultivar_service.catalog import job_record, jobs
from cultivar_service.catalog.database import Catalog

RUNNER = """
import asyncio, logging, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from running_service import make_config

from cultivar.v1 import training_pb2
from cultivar_service.__main__ import serve
logging.basicConfig(level=logging.INFO)
asyncio.run(serve(make_config(Path(sys.argv[2]), behaviour="gated", package=sys.argv[3])))
"""


def start_service(folder: Path, package: Path) -> tuple[subprocess.Popen, Path]:
    log = folder / "service.log"
    with log.open("wb") as file:
        arguments = [sys.executable, "-c", RUNNER, str(Path(__file__).parents[1]), str(folder), str(package)]
        return subprocess.Popen(arguments, stderr=file), log


async def address_of(log: Path) -> str:
    async def told() -> str | None:
        found = re.search(r"serving gRPC on (\S+),", await asyncio.to_thread(log.read_text))
        return found and found[1]

    return await eventually(told)


async def test_a_killed_services_trainer_goes_on_and_its_job_succeeds(tmp_path: Path, package: Path) -> None:
    process, log = start_service(tmp_path, package)
    async with connected(await address_of(log)) as client:
        await client.import_flowers()
        job = await client.create_job()
        await client.first_epoch(job.name)
        trainer_log = await client.log(job.name)
    process.kill()
    process.wait()

    async with running(make_config(tmp_path, package=package)) as (_, client):
        found = await client.job(job.name)
        (tmp_path / "data/runs" / job.name.split("/")[1] / "go").touch()
        events = await client.events(job.name)

        assert found.state == RUNNING
        assert states(events) == [QUEUED, RUNNING, SUCCEEDED]
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert sum(event.HasField("epoch_finished") for event in events) == 2
        assert (await client.log(job.name)).startswith(trainer_log)


async def test_sigterm_ends_watches_leaves_trainers_running_and_exits_with_0(tmp_path: Path, package: Path) -> None:
    process, log = start_service(tmp_path, package)
    async with connected(await address_of(log)) as client:
        await client.import_flowers()
        job = await client.create_job()
        await client.first_epoch(job.name)
        process.terminate()
        status = await asyncio.to_thread(process.wait, 10)

    assert status == 0
    (tmp_path / "data/runs" / job.name.split("/")[1] / "go").touch()
    async with running(make_config(tmp_path, package=package)) as (_, client):
        assert states(await client.events(job.name)) == [QUEUED, RUNNING, SUCCEEDED]


async def test_a_job_whose_trainer_died_meanwhile_is_tried_again_at_once(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        await client.import_flowers()
        job = await client.create_job()
        await client.first_epoch(job.name)
        pid = int(re.findall(r"trainer (\d+)", await client.log(job.name))[0])
    os.killpg(pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, pid, 0)  # this process stands for the service that was killed

    async with running(make_config(tmp_path, package=package, retry_delay_s=3600)) as (_, client):
        events = await client.events(job.name)

        assert states(events) == [QUEUED, RUNNING, QUEUED, RUNNING, SUCCEEDED]
        failed = next(event.attempt_failed for event in events if event.HasField("attempt_failed"))
        assert (failed.cause.reason, failed.retry_seconds) == ("TRAINER_LOST", 0)


async def test_progress_that_the_service_before_saw_counts_as_the_attempt_s(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        await client.import_flowers()
        job = await client.create_job(scheduling=scheduling(attempts_without_progress=0))
        await client.first_epoch(job.name)
        pid = int(re.findall(r"trainer (\d+)", await client.log(job.name))[0])
    written = event_pb2.JobEvent(checkpoint_written=event_pb2.CheckpointWritten(epoch=1, step=1))
    await rewrite(tmp_path, lambda connection: jobs.append(connection, jobs.identifier(job), [written]))
    os.killpg(pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, pid, 0)  # this process stands for the service that was killed

    async with running(make_config(tmp_path, package=package)) as (_, client):
        events = await client.events(job.name)

        assert states(events) == [QUEUED, RUNNING, QUEUED, RUNNING, SUCCEEDED]
        failed = next(event.attempt_failed for event in events if event.HasField("attempt_failed"))
        assert failed.attempts_without_progress == 0


async def test_a_job_that_was_about_to_start_is_started_by_the_next_service(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, package=package, max_running_jobs=1)) as (_, client):
        await client.import_flowers()
        job = await client.train()
    begun = [job_record.state_event(one) for one in (QUEUED, RUNNING)]
    await rewrite(tmp_path, lambda connection: jobs.append(connection, jobs.identifier(job), begun))

    async with running(make_config(tmp_path, package=package)) as (_, client):
        ended = await client.reached(job.name, SUCCEEDED)

        assert ended.attempt == 3
        assert states(await client.events(job.name))[2:] == [SUCCEEDED, QUEUED, RUNNING, QUEUED, RUNNING, SUCCEEDED]


@pytest.mark.parametrize(("asked", "then"), [(CANCELLING, CANCELLED), (PAUSING, PAUSED)])
async def test_what_was_asked_of_a_job_is_done_by_the_next_service(
    tmp_path: Path, package: Path, asked: int, then: int
) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
        job = await client.create_job()
        await client.first_epoch(job.name)
    request = [job_record.state_event(asked)]
    await rewrite(tmp_path, lambda connection: jobs.append(connection, jobs.identifier(job), request))

    async with running(config) as (_, client):
        await client.reached(job.name, then)

        assert "told to stop" in await client.log(job.name)


async def test_a_trainer_that_finished_meanwhile_is_published(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        await client.import_flowers()
        job = await client.create_job()
        await client.first_epoch(job.name)
        pid = int(re.findall(r"trainer (\d+)", await client.log(job.name))[0])
    (tmp_path / "data/runs" / job.name.split("/")[1] / "go").touch()
    await asyncio.to_thread(os.waitpid, pid, 0)

    async with running(make_config(tmp_path, package=package)) as (_, client):
        assert states(await client.events(job.name)) == [QUEUED, RUNNING, SUCCEEDED]


async def test_a_trainer_without_its_lock_yet_is_not_taken_for_dead(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, package=package)) as (_, client):
        await client.import_flowers()
    config = make_config(tmp_path, behaviour="slow-lock", package=package)
    async with running(config) as (_, client):
        job = await client.create_job()
        folder = tmp_path / "data/runs" / job.name.split("/")[1]

        async def started() -> bool | None:
            return (folder / "attempts/1/trainer.log").exists() or None

        await eventually(started)

    async with running(config) as (_, client):
        assert states(await client.events(job.name)) == [QUEUED, RUNNING, SUCCEEDED]


async def rewrite(folder: Path, change: Callable[[sa.Connection], object]) -> None:
    """Change the catalog as a service would that is killed just then."""
    catalog = Catalog(folder / "data/catalog.sqlite")
    await catalog.write(change)
    catalog.close()


def age_request(folder: Path, name: str) -> None:
    os.utime(folder / "data/runs" / name.split("/")[1] / "request.json", (0, 0))


async def test_a_watch_goes_on_over_a_killed_service_without_gap_or_repeat(tmp_path: Path, package: Path) -> None:
    process, log = start_service(tmp_path, package)
    seen = []
    async with connected(await address_of(log)) as client:
        await client.import_flowers()
        job = await client.create_job()
        async for event in client.training.WatchTrainingJob(training_pb2.WatchTrainingJobRequest(name=job.name)):
            seen.append(event)
            if event.HasField("epoch_finished"):
                break
    process.kill()
    process.wait()

    async with running(make_config(tmp_path, package=package)) as (_, client):
        (tmp_path / "data/runs" / job.name.split("/")[1] / "go").touch()
        seen += await client.events(job.name, after=seen[-1].number)

        assert seen == await client.events(job.name)
        assert [event.number for event in seen] == list(range(1, len(seen) + 1))
        assert states(seen)[-1] == SUCCEEDED
