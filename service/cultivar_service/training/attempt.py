"""One attempt at a job: how it began, how far it is, and whether it shall end."""

import asyncio
import time
from collections.abc import Mapping

from cultivar.v1 import event_pb2, training_pb2
from cultivar_service.catalog.job_record import progress_mark


class Attempt:
    """One attempt at a job, under way."""

    def __init__(self, job: training_pb2.TrainingJob, environment: Mapping[str, str] | None) -> None:
        self.job = job
        """Its record, as it was last seen."""
        self.environment = environment
        """What the trainer's process needs to see its device; None: an earlier service has started it."""
        self.begun_at = progress_mark(job)
        """How far the newest checkpoint was when it began."""
        self.start_ns = 0
        """When it began, in Unix time."""
        self.stop = asyncio.Event()
        """Set when the trainer shall end."""
        self.demand: event_pb2.Failure | None = None
        """Why the service ends it; None: it doesn't, or somebody asked for the stop."""
        self._shown_at = time.monotonic()

    def fail(self, failure: event_pb2.Failure) -> None:
        """Stop the trainer; the job fails."""
        self.demand = self.demand or failure
        self.stop.set()

    def show(self, job: training_pb2.TrainingJob) -> None:
        """Take in what the trainer told."""
        if job.latest_epoch != self.job.latest_epoch:
            self._shown_at = time.monotonic()
        self.job = job

    def check_time(self) -> None:
        """Stop the trainer where the job has run as long as it may; an export is let be, being the rescue from that."""
        limit_s = self.job.recipe.scheduling.max_run_seconds
        ran_s = self.job.run_seconds + (time.time_ns() - self.start_ns) / 1e9
        if limit_s and ran_s >= limit_s and not self.job.export_only:
            message = (
                f"the job ran {ran_s:.0f} s, its scheduling.max_run_seconds are {limit_s:g}: export its best epoch"
            )
            self.fail(event_pb2.Failure(reason="DEADLINE_EXCEEDED", message=message))

    def left_s(self) -> float | None:
        """Return the estimated seconds to the end of training; None where no epoch has told."""
        if not self.job.latest_epoch.eta_seconds:
            return None
        return max(0.0, self.job.latest_epoch.eta_seconds - (time.monotonic() - self._shown_at))
