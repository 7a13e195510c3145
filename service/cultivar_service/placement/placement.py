"""Where a job runs: a device with room for it, or why there is none yet."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from cultivar.v1 import event_pb2, training_pb2
from cultivar_contract.memory import CUDA_PROCESS_BYTES, PROCESS_BYTES
from cultivar_service.catalog import jobs
from cultivar_service.config import Config
from cultivar_service.placement.memory_needs import MemoryNeeds, MemoryPrediction, is_in_last_phase, measured
from cultivar_service.placement.occupancy import HostRoom, Occupancy, Reservation
from cultivar_service.placement.rooms import Prediction, Room, choose, gigabytes, reason, refusals
from cultivar_service.telemetry.metrics import PlacementMetrics

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A device that was reserved for a job."""

    event: event_pb2.Placed
    """What the job's log says of it."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What the trainer's process needs to see this device alone: a GPU is then its `cuda:0`, wherever the job went."""


@dataclass(frozen=True, slots=True)
class NoRoom:
    """Why a job has to wait."""

    reason: str
    ends_with_jobs: bool
    """Whether the end of other jobs will make room; where it can't, nothing is kept free for this one."""


class Placement:
    """Reserves devices for jobs."""

    def __init__(self, config: Config, occupancy: Occupancy, needs: MemoryNeeds, metrics: PlacementMetrics) -> None:
        self._config = config
        self._occupancy = occupancy
        self._reservations = occupancy.reservations
        self._needs = needs
        self._metrics = metrics
        self._placing = asyncio.Lock()
        metrics.reserved_bytes.read = occupancy.reserved_by_gpu

    async def place(self, job: training_pb2.TrainingJob) -> Place | NoRoom:
        """Reserve a device for a job that is about to start."""
        await asyncio.sleep(0)  # who asks for a thousand jobs that wait leaves requests their turns
        async with self._placing:  # between the look at what is free and the reservation nobody else may reserve
            self.release(jobs.identifier(job))
            found = await self._find(job)
        if isinstance(found, NoRoom):
            self._metrics.refusals.inc()
        return found

    def adopt(self, job: training_pb2.TrainingJob) -> None:
        """Reserve the device that a job has whose trainer outlived the service before."""
        placed = job.placement
        if placed.uuid:
            reservation = Reservation(
                uuid=placed.uuid,
                gpu_index=int(placed.device.removeprefix("cuda:")),
                gpu_bytes=placed.predicted_bytes,
                host_bytes=job.memory.host_bytes or CUDA_PROCESS_BYTES,
                cores=0,
            )
        else:
            host_bytes = job.memory.host_bytes or placed.predicted_bytes
            reservation = Reservation(host_bytes=host_bytes, cores=self._threads(job))
        self._reservations[jobs.identifier(job)] = reservation

    async def learn(self, job: training_pb2.TrainingJob) -> None:
        """Take in what a running job's `memory` says, for its reservation and for later jobs of its shape.

        Its latest epoch counts as well: validation may take more than the first update did.
        """
        job_id = jobs.identifier(job)
        reservation = self._reservations.get(job_id)
        if reservation is None:
            return
        peak = measured(job)
        gpu_bytes, host_bytes = peak.gpu_bytes, peak.host_bytes
        if not is_in_last_phase(job):
            gpu_bytes, host_bytes = max(gpu_bytes, reservation.gpu_bytes), max(host_bytes, reservation.host_bytes)
        self._reservations[job_id] = replace(
            reservation, gpu_bytes=gpu_bytes, held_gpu_bytes=peak.gpu_bytes, host_bytes=host_bytes
        )
        if is_in_last_phase(job):
            await self._needs.learn(job.recipe, peak, on_gpu=bool(reservation.uuid))

    def release(self, job_id: str) -> None:
        """Give a job's device back; a job without one has nothing to give."""
        self._reservations.pop(job_id, None)

    async def _find(self, job: training_pb2.TrainingJob) -> Place | NoRoom:
        most, running = self._config.max_running_jobs, len(self._reservations)
        if 0 < most <= running:
            told = f"{running} job(s) run, as many as this host may run at a time"
            return NoRoom(told, ends_with_jobs=True)
        asked, look = job.recipe.execution.device, await self._occupancy.look()
        if asked != "cpu" and look.silence:
            return NoRoom(look.silence, ends_with_jobs=False)
        if asked == "cpu" or not look.rooms:
            return await self._on_cpu(job, look.host)
        wanted = [room for room in look.rooms if asked in ("", "auto", f"cuda:{room.gpu.index}")]
        return await self._on_gpu(job, wanted, look.host) if wanted else self._nowhere(job, look.rooms)

    async def _on_gpu(self, job: training_pb2.TrainingJob, wanted: Sequence[Room], host: HostRoom) -> Place | NoRoom:
        largest = max(room.gpu.total_bytes for room in wanted)
        predicted = await self._needs.predict(job, gpu_total_bytes=largest)
        if (lacking := self._host_lacks(predicted, host)) is not None:
            return lacking
        prediction = Prediction(
            needed_bytes=predicted.peak.gpu_bytes, is_measured=predicted.is_measured, source=predicted.source
        )
        room = choose(wanted, prediction)
        if room is None:
            return NoRoom(refusals(wanted, prediction), ends_with_jobs=any(one.will_take(prediction) for one in wanted))
        self._reservations[jobs.identifier(job)] = Reservation(
            uuid=room.gpu.uuid,
            gpu_index=room.gpu.index,
            gpu_bytes=prediction.needed_bytes,
            host_bytes=predicted.peak.host_bytes,
            cores=0,
        )
        event = event_pb2.Placed(
            device=f"cuda:{room.gpu.index}",
            uuid=room.gpu.uuid,
            predicted_bytes=prediction.needed_bytes,
            free_bytes=room.free_bytes,
            reason=reason(room, prediction),
        )
        return Place(event=event, environment={_VISIBLE: room.gpu.uuid})

    async def _on_cpu(self, job: training_pb2.TrainingJob, host: HostRoom) -> Place | NoRoom:
        threads, free_cores = self._threads(job), host.cores - host.cores_used
        if threads > free_cores:
            told = f"cpu: {free_cores} of {host.cores} cores free, {threads} needed"
            return NoRoom(told, ends_with_jobs=True)
        predicted = await self._needs.predict(job, gpu_total_bytes=0)
        if (lacking := self._host_lacks(predicted, host)) is not None:
            return lacking
        needed_bytes = predicted.peak.host_bytes
        self._reservations[jobs.identifier(job)] = Reservation(host_bytes=needed_bytes, cores=threads)
        event = event_pb2.Placed(
            device="cpu",
            predicted_bytes=needed_bytes,
            free_bytes=host.free_bytes,
            reason=(
                f"cpu: {free_cores} of {host.cores} cores free, {threads} needed; "
                f"{gigabytes(host.free_bytes)} free, {gigabytes(needed_bytes)} needed ({predicted.source})"
            ),
        )
        hides_gpus = job.recipe.execution.device == "cpu"
        return Place(event=event, environment={_VISIBLE: ""} if hides_gpus else {})

    def _host_lacks(self, predicted: MemoryPrediction, host: HostRoom) -> NoRoom | None:
        """Say that the host's memory does not suffice; an estimate keeps no job off a host without other jobs."""
        needed_bytes = predicted.peak.host_bytes
        if needed_bytes <= host.free_bytes or not (self._reservations or predicted.is_measured):
            return None
        told = f"host: {gigabytes(host.free_bytes)} free, {gigabytes(needed_bytes)} needed ({predicted.source})"
        if needed_bytes > host.total_bytes:
            told += f"; more than its {gigabytes(host.total_bytes)}: use a smaller execution.micro_batch or input.size"
        return NoRoom(told, ends_with_jobs=bool(self._reservations) and needed_bytes <= host.total_bytes)

    def _nowhere(self, job: training_pb2.TrainingJob, offered: Sequence[Room]) -> Place:
        """Let a job that names a GPU which is not there start without any: its trainer says what is wrong."""
        self._reservations[jobs.identifier(job)] = Reservation(host_bytes=PROCESS_BYTES, cores=0)
        here = ", ".join(f"cuda:{room.gpu.index}" for room in offered)
        told = f"{job.recipe.execution.device} is none of the GPUs that jobs may use here, which are {here}"
        return Place(event=event_pb2.Placed(device="cpu", reason=told), environment={_VISIBLE: ""})

    def _threads(self, job: training_pb2.TrainingJob) -> int:
        """Return the cores that a job on the CPU takes."""
        return min(job.recipe.execution.threads or self._occupancy.cores, self._occupancy.cores)
