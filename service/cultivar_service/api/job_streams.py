"""The streams of TrainingService: a job's events and its trainers' logs, from a cursor on, without gaps or repeats.

Neither keeps a queue for its reader: what comes next is read when the last message has left, so one who reads slowly
costs a cursor and holds up nobody.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import sqlalchemy as sa

from cultivar.v1 import event_pb2, training_pb2
from cultivar_contract.run_directory import RunDirectory
from cultivar_contract.violations import Violation
from cultivar_service.api.fields import check_heartbeat, check_not_negative
from cultivar_service.api.log_tail import read_log, size_of
from cultivar_service.caller import Caller
from cultivar_service.catalog import jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import job_not_found, parse_job
from cultivar_service.config import Config
from cultivar_service.errors import InvalidRequest, OutOfRange
from cultivar_service.training.signals import Signals

_EVENTS_PER_READ = 200
_LOG_POLL_S = 0.25


class JobStreamsApi:
    """Answers what TrainingService streams of jobs."""

    def __init__(self, config: Config, catalog: Catalog, signals: Signals) -> None:
        self._runs = config.runs
        self._catalog = catalog
        self._signals = signals

    async def watch_training_job(
        self, request: training_pb2.WatchTrainingJobRequest, _: Caller
    ) -> AsyncIterator[event_pb2.JobEvent]:
        """Answer a job's events from a cursor on, until its end."""
        job_id, cursor = parse_job(request.name), check_not_negative(request.after_event, "after_event")
        heartbeat_s = check_heartbeat(request)
        last = (await self._catalog.read(_newest(job_id)))[1]
        if cursor > last:
            raise InvalidRequest.at(
                "after_event", f"{cursor}: trainingJobs/{job_id} has {last} events, use at most that"
            )
        quiet_since = time.monotonic()
        while True:
            changed = self._signals.next(job_id)
            state, last, events = await self._catalog.read(_state_and_events(job_id, cursor))
            for event in events:
                yield event
                cursor = event.number
                quiet_since = time.monotonic()
            if cursor < last:
                continue
            if state in jobs.FINAL:
                return
            if not await changed.within(heartbeat_s - (time.monotonic() - quiet_since)):
                heartbeat = event_pb2.JobEvent(heartbeat=event_pb2.Heartbeat())
                heartbeat.time.GetCurrentTime()
                yield heartbeat
                quiet_since = time.monotonic()

    async def stream_training_logs(
        self, request: training_pb2.StreamTrainingLogsRequest, _: Caller
    ) -> AsyncIterator[training_pb2.LogChunk]:
        """Answer the log of an attempt from a byte on; with `follow` those of the attempts after it, until the end."""
        job_id, offset = parse_job(request.name), check_not_negative(request.offset, "offset")
        heartbeat_s = check_heartbeat(request)
        directory = RunDirectory(self._runs / job_id)
        job = await self._get(job_id)
        attempt = _attempt(request, max(job.attempt, 1))
        size = await asyncio.to_thread(size_of, directory.log(attempt))
        if offset > size:
            message = f"{offset} is behind the log's end: that of attempt {attempt} has {size} bytes"
            raise OutOfRange([Violation(field="offset", message=message)])
        quiet_since = time.monotonic()
        while True:
            # Read before the log: what is over by then has written its last line.
            over = job.attempt > attempt or job.state in jobs.FINAL or not request.follow
            async for chunk in _new_chunks(directory.log(attempt), attempt, offset, whole_lines=not over):
                yield chunk
                offset, quiet_since = chunk.next_offset, time.monotonic()
            if job.attempt > attempt and request.follow:
                attempt, offset = attempt + 1, 0
                continue
            if over:
                return
            if time.monotonic() - quiet_since >= heartbeat_s:
                yield training_pb2.LogChunk(offset=offset, next_offset=offset, attempt=attempt)
                quiet_since = time.monotonic()
            await asyncio.sleep(_LOG_POLL_S)
            job = await self._get(job_id)

    async def _get(self, job_id: str) -> training_pb2.TrainingJob:
        job = await self._catalog.read(lambda connection: jobs.get(connection, job_id))
        if job is None:
            raise job_not_found(f"trainingJobs/{job_id}")
        return job


def _attempt(request: training_pb2.StreamTrainingLogsRequest, newest: int) -> int:
    if not request.HasField("attempt"):
        return newest
    if not 1 <= request.attempt <= newest:
        raise InvalidRequest.at("attempt", f"{request.attempt}: attempts so far are 1 to {newest}")
    return int(request.attempt)


async def _new_chunks(
    log: Path, attempt: int, offset: int, *, whole_lines: bool
) -> AsyncIterator[training_pb2.LogChunk]:
    while (piece := await asyncio.to_thread(read_log, log, offset, whole_lines=whole_lines)) is not None:
        text, following = piece
        yield training_pb2.LogChunk(offset=offset, text=text, next_offset=following, attempt=attempt)
        offset = following


def _newest(job_id: str) -> Callable[[sa.Connection], tuple[int, int]]:
    def read(connection: sa.Connection) -> tuple[int, int]:
        newest = jobs.newest(connection, job_id)
        if newest is None:  # never there, or deleted while it was watched
            raise job_not_found(f"trainingJobs/{job_id}")
        return newest

    return read


def _state_and_events(job_id: str, cursor: int) -> Callable[[sa.Connection], tuple[int, int, list[event_pb2.JobEvent]]]:
    def read(connection: sa.Connection) -> tuple[int, int, list[event_pb2.JobEvent]]:
        state, last = _newest(job_id)(connection)
        events = jobs.events_after(connection, job_id, cursor, _EVENTS_PER_READ) if last > cursor else []
        return state, last, events

    return read
