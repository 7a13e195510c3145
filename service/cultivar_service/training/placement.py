"""Where a job runs: a device with room for it, or why there is none yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cultivar.v1 import event_pb2, training_pb2
from cultivar_service.catalog import jobs
from cultivar_service.config import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A device that was reserved for a job."""

    event: event_pb2.Placed
    """What the job's log says of it."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What the trainer's process needs to see this device alone."""


@dataclass(frozen=True, slots=True)
class NoRoom:
    """Why a job has to wait."""

    reason: str


class Placement:
    """Reserves devices for jobs."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._jobs: set[str] = set()

    async def place(self, job: training_pb2.TrainingJob) -> Place | NoRoom:
        """Reserve a device for a job that is about to start."""
        if len(self._jobs) >= self._config.max_running_jobs:
            return NoRoom(f"{len(self._jobs)} job(s) run, as many as this host may run at a time")
        self._jobs.add(jobs.identifier(job))
        return Place(event=event_pb2.Placed(device="cpu", reason="the only device"))

    def adopt(self, job: training_pb2.TrainingJob) -> None:
        """Reserve the device that a job has whose trainer outlived the service before."""
        self._jobs.add(jobs.identifier(job))

    async def learn(self, job: training_pb2.TrainingJob) -> None:
        """Take in what a running job's `memory` says, for its reservation and for later jobs of its shape."""

    def release(self, job_id: str) -> None:
        """Give a job's device back; a job without one has nothing to give."""
        self._jobs.discard(job_id)
