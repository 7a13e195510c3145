"""Streams of a job's events and logs: heartbeats, cursors, attempts."""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running_service import QUEUED, RUNNING, SUCCEEDED, drain, make_config, running

from cultivar.v1 import event_pb2, state_pb2, training_pb2
from cultivar_contract.run_directory import RunDirectory
from cultivar_service.api.job_streams import JobStreamsApi
from cultivar_service.caller import Caller
from cultivar_service.catalog import jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.training.signals import Signals

CALLER = Caller(request_id="", client="", is_admin=True)


async def test_a_quiet_watch_beats_and_its_events_have_no_gap(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        await client.import_flowers()
        job = await client.create_job()
        request = training_pb2.WatchTrainingJobRequest(name=job.name, heartbeat_seconds=1)
        seen = []
        async for event in client.training.WatchTrainingJob(request):
            seen.append(event)
            if event.HasField("heartbeat"):
                (tmp_path / "data/runs" / job.name.split("/")[1] / "go").touch()

        beats = [event for event in seen if event.HasField("heartbeat")]
        events = [event for event in seen if not event.HasField("heartbeat")]
        assert beats
        assert {beat.number for beat in beats} == {0}
        assert beats[0].HasField("time")
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert events[-1].state_changed.state == SUCCEEDED


@pytest.mark.parametrize("seconds", [0.5, -1, math.nan, math.inf, 3601])
async def test_a_heartbeat_that_can_t_be_is_refused_at_its_field(tmp_path: Path, seconds: float) -> None:
    streams = streams_of(catalog := Catalog(tmp_path / "catalog.sqlite"), tmp_path)
    watch = training_pb2.WatchTrainingJobRequest(name="a", heartbeat_seconds=seconds)
    logs = training_pb2.StreamTrainingLogsRequest(name="a", heartbeat_seconds=seconds)

    for stream in (streams.watch_training_job(watch, CALLER), streams.stream_training_logs(logs, CALLER)):
        with pytest.raises(Exception, match=r"heartbeat_seconds: .* use 1 to 3600"):
            await anext(aiter(stream))
    catalog.close()


async def test_a_followed_log_goes_on_with_the_next_attempt(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    streams = streams_of(catalog, tmp_path)
    run = RunDirectory(tmp_path / "data/runs/a")
    job = training_pb2.TrainingJob(name="trainingJobs/a", state=QUEUED)
    await catalog.write(lambda connection: jobs.insert(connection, job, request_id="", request_digest=""))

    async def enter(*states: int) -> None:
        await catalog.write(lambda connection: jobs.append(connection, "a", [jobs.state_event(one) for one in states]))

    def write(attempt: int, text: str) -> None:
        run.attempt(attempt).mkdir(parents=True, exist_ok=True)
        with run.log(attempt).open("a") as log:
            log.write(text)

    await enter(RUNNING)
    write(1, "one\nkilled in the mid")
    follow = training_pb2.StreamTrainingLogsRequest(name="a", follow=True, heartbeat_seconds=1)
    stream = streams.stream_training_logs(follow, CALLER)
    first = await anext(stream)
    beat = await anext(stream)
    await enter(QUEUED, RUNNING)
    write(2, "two\n")
    await enter(state_pb2.TRAINING_JOB_STATE_FAILED)
    rest = await drain(stream)
    again = [
        await drain(streams.stream_training_logs(request, CALLER))
        for request in (
            training_pb2.StreamTrainingLogsRequest(name="a"),
            training_pb2.StreamTrainingLogsRequest(name="a", attempt=1, offset=4),
            training_pb2.StreamTrainingLogsRequest(name="a", attempt=1, offset=4, follow=True),
        )
    ]
    with pytest.raises(Exception, match="attempt: 3: attempts so far are 1 to 2"):
        await anext(streams.stream_training_logs(training_pb2.StreamTrainingLogsRequest(name="a", attempt=3), CALLER))
    catalog.close()

    assert (first.attempt, first.text) == (1, "one\n")
    assert (beat.attempt, beat.offset, beat.text, beat.next_offset) == (1, 4, "", 4)
    assert [(one.attempt, one.offset, one.text) for one in rest] == [(1, 4, "killed in the mid"), (2, 0, "two\n")]
    texts = ["".join(one.text for one in chunks) for chunks in again]
    assert texts == ["two\n", "killed in the mid", "killed in the midtwo\n"]


async def test_a_watcher_that_does_not_read_costs_one_read_and_holds_up_nobody(tmp_path: Path) -> None:
    catalog = Counted(tmp_path / "catalog.sqlite")
    streams = streams_of(catalog, tmp_path)
    job = training_pb2.TrainingJob(name="trainingJobs/a", state=QUEUED)
    warnings = [event_pb2.JobEvent(warning="x" * 100) for _ in range(2000)]
    await catalog.write(lambda connection: jobs.insert(connection, job, request_id="", request_digest=""))
    await catalog.write(lambda connection: jobs.append(connection, "a", warnings))
    await catalog.write(
        lambda connection: jobs.append(connection, "a", [jobs.state_event(state_pb2.TRAINING_JOB_STATE_CANCELLED)])
    )
    watch = training_pb2.WatchTrainingJobRequest(name="a")

    stalled = streams.watch_training_job(watch, CALLER)
    await anext(stalled)
    reads = catalog.reads
    numbers = [event.number for event in await drain(streams.watch_training_job(watch, CALLER))]
    late = [event.number for event in await drain(stalled)]
    catalog.close()

    assert reads == 2  # the check of the cursor, then as many events as one read takes
    assert numbers == list(range(1, 2003))
    assert late == numbers[1:]


async def test_who_waits_in_vain_leaves_no_signal_behind() -> None:
    signals = Signals()

    came = await signals.next("a").within(0.01)
    waiting = asyncio.ensure_future(signals.next("a").within(math.inf))
    await asyncio.sleep(0)
    signals.notify("a")

    assert not came
    assert await waiting
    assert not signals._waiting


class Counted(Catalog):
    """A catalog that counts what is read of it."""

    reads = 0

    async def read(self, function: Callable[[Any], Any]) -> Any:
        self.reads += 1
        return await super().read(function)


def streams_of(catalog: Catalog, folder: Path) -> Any:
    return JobStreamsApi(make_config(folder), catalog, Signals())
