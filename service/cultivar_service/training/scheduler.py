"""Starts waiting jobs: in their order, but for those that no device has room for, and those that wait for a retry."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from cultivar.v1 import event_pb2, training_pb2
from cultivar_service.catalog import jobs, queue
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.job_record import FAILED, QUEUED, RUNNING, now, state_event
from cultivar_service.config import Config
from cultivar_service.errors import InsufficientDisk, TrainerNotInstalled
from cultivar_service.placement.placement import NoRoom, Place, Placement
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.trainers.executor import Executor
from cultivar_service.training.aftermath import internal_error
from cultivar_service.training.disk_room import DiskRoom
from cultivar_service.training.job_log import JobLog
from cultivar_service.training.runner import Runner

logger = logging.getLogger(__name__)

_LOOK_AHEAD = 50
"""Waiting jobs for which room is looked for at a time: so many from the first on, and so many of the rest in turn."""
_ROOM_INTERVAL_S = 2.0
"""Seconds after which room is looked for again: neighbours on a device come and go without telling."""
_TELL_INTERVAL_S = 60.0
"""Shortest time between two events of a job that say why it waits: free memory changes all the time."""
HEAD_PATIENCE_S = 600.0
"""Seconds that the first job may be overtaken by others that take the same kind of device."""


class Head:
    """The first job that waits for the end of others, and since when it is that."""

    def __init__(self) -> None:
        self._job_id = ""
        self._since_s = 0.0

    def has_lost_patience(self, job_id: str, time_s: float) -> bool:
        """Tell whether a job, now the first, has been so for longer than it may be overtaken."""
        if job_id != self._job_id:
            self._job_id, self._since_s = job_id, time_s
        return time_s - self._since_s >= HEAD_PATIENCE_S


class Scheduler:
    """The queue's worker."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        disk_room: DiskRoom,
        executor: Executor,
        log: JobLog,
        placement: Placement,
        runner: Runner,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._disk_room = disk_room
        self._executor = executor
        self._log = log
        self._placement = placement
        self._runner = runner
        self._metrics = metrics
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._head = Head()
        self._told: dict[str, float] = {}
        self._passed = 0
        runner.on_end = self._look_for_room

    def wake(self) -> None:
        """Say that a job waits."""
        self._work.set()

    async def work(self) -> None:
        """Start jobs, now and whenever there is something to start."""
        while True:
            self._work.clear()
            self._room.clear()
            looked_ns = time.time_ns()
            try:
                await self._rest(looked_ns, refused=await self._start_jobs(looked_ns))
            except Exception:  # One look that went wrong, for whatever reason, must not be the queue's last.
                logger.exception("jobs can't be started just now")
                await asyncio.sleep(_ROOM_INTERVAL_S)

    def _look_for_room(self) -> None:
        self._work.set()
        self._room.set()

    async def _rest(self, looked_ns: int, *, refused: bool) -> None:
        event = self._room if refused else self._work
        limit_s = _ROOM_INTERVAL_S if refused else await self._seconds_to_retry(looked_ns)
        with contextlib.suppress(TimeoutError):
            # Not asyncio.wait_for: until Python 3.12 it loses a cancellation that comes together with the event.
            async with asyncio.timeout(limit_s):
                await event.wait()

    async def _seconds_to_retry(self, looked_ns: int) -> float | None:
        # Of all that were not ready when jobs were looked for: some may have become so while others were started.
        retry_ns = await self._catalog.read(lambda connection: queue.next_retry_ns(connection, looked_ns))
        return None if retry_ns is None else max(0.0, (retry_ns - time.time_ns()) / 1e9)

    async def _start_jobs(self, ready_ns: int) -> bool:
        """Start what is ready and can be started; tell whether something else is ready and waits for room."""
        try:
            self._executor.check_installed()
        except TrainerNotInstalled:
            return False  # jobs of an installation that had one wait for it to come back
        waiting = await self._catalog.read(lambda connection: self._next_jobs(connection, ready_ns))
        refusals: dict[str, str] = {}
        settling = False
        has_head = False
        kept_free: frozenset[str] = frozenset()
        for job in waiting:
            job_id = jobs.identifier(job)
            if job_id in self._runner.attempts:  # its last attempt is about to let go of it
                settling = True
            elif _kinds(job) & kept_free:
                refusals[job_id] = "a job before it has waited long for room: none may overtake it any more"
            elif (place := await self._place(job)) is None:
                continue
            elif isinstance(place, Place):
                await self._start(job_id, place)
            else:
                if place.ends_with_jobs and not has_head:
                    has_head = True
                    if self._head.has_lost_patience(job_id, time.monotonic()):
                        kept_free = _kinds(job)
                refusals[job_id] = place.reason
        await self._tell({jobs.identifier(job): job for job in waiting}, refusals)
        return settling or bool(refusals) or len(waiting) >= _LOOK_AHEAD

    def _next_jobs(self, connection: sa.Connection, ready_ns: int) -> list[training_pb2.TrainingJob]:
        """Return the first jobs, and some of those behind them: others each time, until all have had their turn."""
        look = partial(queue.in_order, connection, self._config.priority_ageing, ready_ns=ready_ns, limit=_LOOK_AHEAD)
        self._passed += _LOOK_AHEAD
        found = look(offset=self._passed)
        if not found:
            self._passed = _LOOK_AHEAD
            found = look(offset=self._passed)
        return look() + found

    async def _place(self, job: training_pb2.TrainingJob) -> Place | NoRoom | None:
        """Return a job's place, or why it has none; None where it had to be failed."""
        try:
            await self._disk_room.check(job)
            return await self._placement.place(job)
        except InsufficientDisk as error:
            return NoRoom(error.message, ends_with_jobs=False)
        except Exception:  # One job that can't be judged, for whatever reason, must not hold up those behind it.
            logger.exception("job %s: internal error", job.name)
            await self._append(jobs.identifier(job), [state_event(FAILED, internal_error())])
            return None

    async def _start(self, job_id: str, place: Place) -> None:
        events = [state_event(RUNNING), now(event_pb2.JobEvent(placed=place.event))]
        try:
            job = await self._append(job_id, events)
        except BaseException:
            self._placement.release(job_id)
            raise
        if job is None:
            self._placement.release(job_id)
            return
        if job.attempt == 1:
            self._metrics.queue_wait.observe((job.start_time.ToNanoseconds() - job.create_time.ToNanoseconds()) / 1e9)
        self._runner.begin(job, place.environment)

    async def _tell(self, waiting: dict[str, training_pb2.TrainingJob], refusals: dict[str, str]) -> None:
        """Say why jobs wait, where that has changed."""
        time_s = time.monotonic()
        self._told = {job_id: told for job_id, told in self._told.items() if time_s - told < _TELL_INTERVAL_S}
        for job_id, reason in refusals.items():
            if reason == waiting[job_id].waiting_reason or job_id in self._told:
                continue
            self._told[job_id] = time_s
            refused = event_pb2.PlacementRefused(reason=reason)
            await self._append(job_id, [now(event_pb2.JobEvent(placement_refused=refused))])

    async def _append(self, job_id: str, events: Sequence[event_pb2.JobEvent]) -> training_pb2.TrainingJob | None:
        return await self._log.change(lambda connection: _append_if_queued(connection, job_id, events))


def _kinds(job: training_pb2.TrainingJob) -> frozenset[str]:
    """Return the kinds of device that a job may take."""
    device = job.recipe.execution.device
    return frozenset(("cpu", "cuda")) if device in ("", "auto") else frozenset((device.partition(":")[0],))


def _append_if_queued(
    connection: sa.Connection, job_id: str, events: Sequence[event_pb2.JobEvent]
) -> training_pb2.TrainingJob | None:
    job = jobs.get(connection, job_id)
    if job is None or job.state != QUEUED:  # cancelled, paused or deleted a moment ago
        return None
    return jobs.append(connection, job_id, events)
