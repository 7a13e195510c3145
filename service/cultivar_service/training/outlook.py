"""Where waiting jobs stand, and when they will start if those before them take as long as estimated."""

import asyncio
import heapq
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cultivar.v1 import training_pb2
from cultivar_service.catalog import jobs, queue
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.job_record import QUEUED
from cultivar_service.training.job_log import JobLog
from cultivar_service.training.runner import Runner

_MAX_AGE_S = 1.0
_LEARNED_FROM = 200
"""Finished jobs, the newest ones, that estimates come from."""
Shape = tuple[str, str, int, int]
"""Data set version, architecture, mode and how models are combined: jobs that share these take about as long for an
epoch."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a waiting job is told."""

    position: int
    """1 for the next one."""
    start_ns: int | None
    """When it will start, in Unix time; None where that can't be told."""


class Outlook:
    """Forecasts for the queue, made when asked for: nothing of it is stored."""

    def __init__(self, catalog: Catalog, log: JobLog, runner: Runner, *, ageing: float) -> None:
        self._catalog = catalog
        self._log = log
        self._runner = runner
        self._ageing = ageing
        self._forecasts: dict[str, Forecast] = {}
        self._made = (-1, -math.inf)
        self._making = asyncio.Lock()

    async def tell(self, found: Sequence[training_pb2.TrainingJob]) -> None:
        """Set position and expected start of the jobs that wait."""
        if not any(job.state == QUEUED for job in found):
            return
        async with self._making:
            forecasts = await self._current()
        for job in found:
            forecast = forecasts.get(jobs.identifier(job))
            if job.state == QUEUED and forecast is not None:
                job.queue_position = forecast.position
                if forecast.start_ns is not None:
                    job.expected_start_time.FromNanoseconds(forecast.start_ns)

    async def _current(self) -> dict[str, Forecast]:
        # A thousand waiting jobs take some 20 ms to forecast: those who ask in quick succession share one.
        changes, made = self._made
        if changes != self._log.changes or time.monotonic() - made > _MAX_AGE_S:
            self._made = (self._log.changes, time.monotonic())
            waiting, finished = await self._catalog.read(
                lambda connection: (
                    queue.in_order(connection, self._ageing),
                    jobs.newest_succeeded(connection, _LEARNED_FROM),
                )
            )
            epoch_s = epoch_seconds(finished)
            queued = {jobs.identifier(job) for job in waiting}
            left_s = [
                left if (left := attempt.left_s()) is not None else estimate(attempt.job, epoch_s)
                for job_id, attempt in self._runner.attempts.items()
                if job_id not in queued  # else its trainer has just ended, to be tried again
            ]
            self._forecasts = forecast(waiting, epoch_s, left_s, now_ns=time.time_ns())
        return self._forecasts


def epoch_seconds(finished: Iterable[training_pb2.TrainingJob]) -> dict[Shape, float]:
    """Return the mean seconds for an epoch, all else included, of finished jobs of each shape."""
    found: dict[Shape, list[float]] = defaultdict(list)
    for job in finished:
        ran_s = job.run_seconds or (job.end_time.ToNanoseconds() - job.start_time.ToNanoseconds()) / 1e9
        found[_shape(job)].append(ran_s / max(1, job.recipe.epochs))
    return {shape: sum(values) / len(values) for shape, values in found.items()}


def estimate(job: training_pb2.TrainingJob, epoch_s: dict[Shape, float]) -> float:
    """Return the seconds that a job is expected to run from its start on; infinite where that is not known."""
    return epoch_s.get(_shape(job), math.inf) * max(1, job.recipe.epochs)


def forecast(
    waiting: Sequence[training_pb2.TrainingJob],
    epoch_s: dict[Shape, float],
    left_s: Sequence[float],
    *,
    now_ns: int,
) -> dict[str, Forecast]:
    """Return the forecasts of waiting jobs, by job.

    As many jobs are taken to run at a time as run now: what has room beside what is not known before.

    Args:
        waiting: in their order.
        epoch_s: seconds for an epoch, by shape.
        left_s: seconds that each running job has left; infinite where not known.
        now_ns: Unix time.
    """
    free_s = sorted(left_s) or [0.0]  # a heap: when each place becomes free
    forecasts = {}
    for position, job in enumerate(waiting, 1):
        start_s = heapq.heappop(free_s)
        if job.HasField("retry_time"):
            start_s = max(start_s, (job.retry_time.ToNanoseconds() - now_ns) / 1e9)
        heapq.heappush(free_s, start_s + estimate(job, epoch_s))
        start_ns = now_ns + round(start_s * 1e9) if math.isfinite(start_s) else None
        forecasts[jobs.identifier(job)] = Forecast(position, start_ns)
    return forecasts


def _shape(job: training_pb2.TrainingJob) -> Shape:
    return job.recipe.dataset, job.recipe.architecture, job.recipe.mode, job.combination.method
