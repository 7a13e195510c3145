"""Which waiting job starts next, and what the others are told."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest
import sqlalchemy as sa
from lone_jobs import create, jobs_of, when
from running_service import CANCELLED, QUEUED, RUNNING, SUCCEEDED, make_config, running, scheduling

from cultivar.v1 import event_pb2, training_pb2, training_spec_pb2
from cultivar_service.catalog import jobs, queue
from cultivar_service.catalog.database import Catalog
from cultivar_service.placement.placement import NoRoom, Place, Placement
from cultivar_service.training import scheduler
from cultivar_service.training.scheduler import HEAD_PATIENCE_S, Head

MINUTE_NS = 60 * 10**9


def waiting_job(name: str, *, priority: int = 0, minute: float = 0) -> training_pb2.TrainingJob:
    recipe = training_spec_pb2.TrainingSpec(scheduling=scheduling(priority=priority))
    job = training_pb2.TrainingJob(name=f"trainingJobs/{name}", state=QUEUED, recipe=recipe)
    job.create_time.FromNanoseconds(round(minute * MINUTE_NS))
    return job


async def test_priority_orders_the_queue_and_waiting_raises_it(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")

    def fill(connection: sa.Connection) -> None:
        for job in (
            waiting_job("patient", minute=1),
            waiting_job("first-of-two", minute=5.5),
            waiting_job("second-of-two", minute=5.5),
            waiting_job("urgent", priority=3, minute=5),
            waiting_job("unimportant", priority=-10, minute=4),
        ):
            jobs.insert(connection, job, request_id="", request_digest="")
            row = jobs.jobs.update().where(jobs.jobs.c.id == jobs.identifier(job))
            connection.execute(row.values(queued_ns=job.create_time.ToNanoseconds()))

    await catalog.write(fill)

    async def order(ageing: float) -> list[str]:
        found = await catalog.read(lambda connection: queue.in_order(connection, ageing))
        return [jobs.identifier(job) for job in found]

    by_waiting, by_priority = await order(1.0), await order(0.0)
    catalog.close()
    assert by_waiting == ["patient", "urgent", "first-of-two", "second-of-two", "unimportant"]
    assert by_priority == ["urgent", "patient", "first-of-two", "second-of-two", "unimportant"]


async def test_an_urgent_job_starts_before_those_that_came_earlier(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        await client.import_flowers()
        first = await client.create_job()
        await client.first_epoch(first.name)
        usual, urgent = await client.create_job(), await client.create_job(scheduling=scheduling(priority=5))

        listed = await client.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())
        await client.cancel(first.name)
        await client.first_epoch(urgent.name)
        waiting = await client.job(usual.name)
        for job in (usual, urgent):
            await client.cancel(job.name)
        await client.reached(urgent.name, CANCELLED)

        assert [one.queue_position for one in listed.training_jobs] == [1, 2, 0]
        assert waiting.queue_position == 1


async def test_a_waiting_job_is_told_when_it_will_start_once_others_like_it_have_ended(
    tmp_path: Path, package: Path
) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
        first = await client.create_job()
        await client.first_epoch(first.name)
        second, third = await client.create_job(), await client.create_job()
        before = [await client.job(job.name) for job in (second, third)]
        (tmp_path / "data/runs" / first.name.split("/")[1] / "go").touch()
        await client.first_epoch(second.name)

        after = await client.job(third.name)
        for job in (third, second):
            await client.cancel(job.name)
        await client.reached(second.name, CANCELLED)

        assert [one.HasField("expected_start_time") for one in before] == [False, False]
        assert after.expected_start_time.ToNanoseconds() > after.create_time.ToNanoseconds()


class OneModelAtATime(Placement):
    """Has room for one job of each model."""

    def __init__(self) -> None:
        self.taken: dict[str, str] = {}

    async def place(self, job: training_pb2.TrainingJob) -> Place | NoRoom:
        if job.recipe.model in self.taken.values():
            return NoRoom(f"{job.recipe.model} has its job", ends_with_jobs=True)
        self.taken[jobs.identifier(job)] = job.recipe.model
        return Place(event=event_pb2.Placed(device="cpu", reason="free"))

    def release(self, job_id: str) -> None:
        self.taken.pop(job_id, None)


async def test_a_job_without_room_is_overtaken_told_why_and_started_when_there_is_room(
    tmp_path: Path, package: Path
) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
    async with jobs_of(config, placement=OneModelAtATime()) as found:
        first, second, other = [await create(found, model=model) for model in ("flowers", "flowers", "other")]
        overtaking = await when(found, other, lambda job: job.HasField("latest_epoch"))
        waiting = await when(found, second, lambda job: job.waiting_reason)
        await when(found, first, lambda job: job.HasField("latest_epoch"))
        for job_id in (first, second, other):
            (config.runs / job_id).mkdir(exist_ok=True)
            (config.runs / job_id / "go").touch()
        ended = await when(found, second, lambda job: job.state == SUCCEEDED)
        await when(found, other, lambda job: job.state == SUCCEEDED)

        assert overtaking.placement.reason == "free"
        assert (waiting.state, waiting.waiting_reason) == (QUEUED, "flowers has its job")
        assert (ended.waiting_reason, ended.placement.device) == ("", "cpu")


class SlowPlacement(OneModelAtATime):
    """Takes its time over one model's jobs."""

    def __init__(self, slow_model: str) -> None:
        super().__init__()
        self._slow_model = slow_model

    async def place(self, job: training_pb2.TrainingJob) -> Place | NoRoom:
        if job.recipe.model == self._slow_model:
            await asyncio.sleep(0.6)
        return await super().place(job)


async def test_a_retry_that_falls_due_while_another_job_is_being_placed_is_not_missed(
    tmp_path: Path, package: Path
) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package, retry_delay_s=0.3)
    async with running(config) as (_, client):
        await client.import_flowers()
    async with jobs_of(config, placement=SlowPlacement("other")) as found:
        first = await create(found, model="flowers")
        await when(found, first, lambda job: job.HasField("latest_epoch"))
        trainer = found.directory(first).holder()
        assert trainer is not None
        os.kill(trainer.pid, signal.SIGKILL)
        await when(found, first, lambda job: job.HasField("retry_time"))
        other = await create(found, model="other")

        await when(found, other, lambda job: job.HasField("latest_epoch"))
        again = await when(found, first, lambda job: job.attempt == 2)
        for job_id in (first, other):
            await found.cancel(job_id)
            await when(found, job_id, lambda job: job.state == CANCELLED)

        assert again.state == RUNNING


@pytest.mark.slow
async def test_a_job_that_the_end_of_others_will_not_help_holds_up_nobody_however_long_it_waits(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "HEAD_PATIENCE_S", 0.0)
    short_of_disk = shutil.disk_usage(tmp_path).free - (4 << 30)
    config = make_config(tmp_path, package=package, min_free_bytes=short_of_disk, critical_free_bytes=0)
    async with running(config) as (_, client):
        await client.import_flowers()
    async with jobs_of(config) as found:
        large = await create(found, architecture="vgg16")
        await when(found, large, lambda job: job.waiting_reason)
        small = await create(found)
        await when(found, small, lambda job: job.state == SUCCEEDED)

        assert "disk" in (await found.get(large)).waiting_reason


async def test_room_is_found_for_a_job_far_behind_those_that_have_none(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "_LOOK_AHEAD", 2)
    monkeypatch.setattr(scheduler, "_ROOM_INTERVAL_S", 0.02)
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
    async with jobs_of(config, placement=OneModelAtATime()) as found:
        waiting = [await create(found, model="flowers") for _ in range(8)]
        last = await create(found, model="other")
        started = await when(found, last, lambda job: job.HasField("latest_epoch"))
        for job_id in (*reversed(waiting), last):
            await found.cancel(job_id)
            await when(found, job_id, lambda job: job.state == CANCELLED)

        assert started.state == RUNNING


@pytest.mark.slow
async def test_a_job_that_others_would_overtake_for_ever_gets_its_room(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "HEAD_PATIENCE_S", 0.0)
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
    async with jobs_of(config, placement=OneModelAtATime()) as found:
        first, second, other = [await create(found, model=model) for model in ("flowers", "flowers", "other")]
        waiting = await when(found, other, lambda job: job.waiting_reason)
        for job_id in (first, second, other):
            await found.cancel(job_id)
            await when(found, job_id, lambda job: job.state == CANCELLED)

        assert "may overtake it" in waiting.waiting_reason


async def test_a_queue_that_is_woken_in_the_moment_of_its_close_ends(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, behaviour="crash", package=package, retry_delay_s=300.0)
    async with running(config) as (_, client):
        await client.import_flowers()
    async with jobs_of(config) as found:
        lost = await create(found)
        await when(found, lost, lambda job: job.state == QUEUED and job.HasField("retry_time"))
        await asyncio.sleep(0.2)  # the queue now rests until the retry
        woken_by = await create(found)

    catalog = Catalog(config.catalog)
    job = await catalog.read(lambda connection: jobs.get(connection, woken_by))
    catalog.close()
    assert job is not None
    assert job.state == QUEUED


def test_the_first_in_the_queue_is_overtaken_for_some_minutes_only() -> None:
    head = Head()

    assert not head.has_lost_patience("a", 0.0)
    assert not head.has_lost_patience("a", HEAD_PATIENCE_S - 1)
    assert head.has_lost_patience("a", HEAD_PATIENCE_S)
    assert not head.has_lost_patience("b", HEAD_PATIENCE_S)
