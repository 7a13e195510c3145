"""What of the host's devices is taken: by running jobs, by serving, by others."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cultivar_service.config import Config
from cultivar_service.placement.gpus import DriverSilent, Gpu, GpuReader
from cultivar_service.placement.host import HostMemory, HostReader
from cultivar_service.placement.rooms import Room, Tenant, rooms

_FRESH_S = 0.2
"""Seconds for which an answer holds: whoever places a whole queue asks once. Reservations count at once."""
SERVING = "serving"
"""Owner of the service's own process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """What a job was given."""

    uuid: str = ""
    """The GPU's; empty on a CPU."""
    gpu_index: int = -1
    """The GPU's; -1 on a CPU."""
    gpu_bytes: int = 0
    """What it is expected to take of the GPU at its peak."""
    held_gpu_bytes: int = 0
    """What its trainer has told that it has, which counts where NVML does not tell."""
    host_bytes: int
    """What it is expected to take of the host at its peak."""
    cores: int
    """0 on a GPU: its trainer waits for the GPU most of the time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostRoom:
    """The host, and what is left of it."""

    cores: int
    cores_used: int
    """By running jobs on the CPU."""
    total_bytes: int
    free_bytes: int
    """Available, less what running jobs may still take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What the devices have room for, now."""

    rooms: tuple[Room, ...]
    """Of the GPUs, in the order in which CUDA numbers them; empty on a host without."""
    host: HostRoom
    owners: Mapping[int, str]
    """`trainingJobs/<id>` or `serving` by pid."""
    silence: str
    """Why the GPUs, which are there, can't be told; else empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    """What others than this service know."""

    time: float
    """When they were asked; monotonic seconds."""
    gpus: Sequence[Gpu]
    silence: str
    pids: Mapping[str, int]
    """Of trainers that have taken their lock, by job id."""
    resident_bytes: Mapping[str, int]
    """By job id."""
    memory: HostMemory


class Occupancy:
    """Keeps the reservations of running jobs, and sets them against what driver and kernel say."""

    def __init__(
        self, config: Config, gpus: GpuReader, host: HostReader, *, serves_on_gpu: bool, fresh_s: float = _FRESH_S
    ) -> None:
        self._config = config
        self._gpus = gpus
        self._host = host
        self._serves_on_gpu = serves_on_gpu
        self._fresh_s = fresh_s
        self._facts: _Facts | None = None
        self.reservations: dict[str, Reservation] = {}
        """By job id."""

    @property
    def cores(self) -> int:
        """Cores of the host."""
        return self._host.cores

    async def look(self) -> Look:
        """Set what driver, kernel and run directories said a moment ago against the reservations of now."""
        facts = self._facts
        if facts is None or time.monotonic() - facts.time >= self._fresh_s:
            facts = self._facts = await self._ask()
        owners = {pid: f"trainingJobs/{job_id}" for job_id, pid in facts.pids.items()}
        return Look(
            rooms=tuple(rooms(facts.gpus, self._tenants(facts), max_processes=self._config.max_jobs_per_gpu)),
            host=self._host_room(facts),
            owners={**owners, os.getpid(): SERVING},
            silence=facts.silence,
        )

    def reserved_by_gpu(self) -> Mapping[str, float]:
        """Return what jobs are expected to take of each GPU at their peaks, in bytes, by its index."""
        reserved: dict[str, float] = {}
        for one in list(self.reservations.values()):
            if one.uuid:
                reserved[str(one.gpu_index)] = reserved.get(str(one.gpu_index), 0.0) + one.gpu_bytes
        return reserved

    async def _ask(self) -> _Facts:
        asked = time.monotonic()
        pids, resident_bytes, memory = await asyncio.to_thread(self._ask_kernel)
        # NVML comes last: a trainer that it lists then has a name.
        try:
            gpus, silence = await self._gpus.read(), ""
        except DriverSilent as error:
            gpus, silence = [], str(error)
        return _Facts(time=asked, gpus=gpus, silence=silence, pids=pids, resident_bytes=resident_bytes, memory=memory)

    def _ask_kernel(self) -> tuple[dict[str, int], dict[str, int], HostMemory]:
        found = {job_id: self._host.trainer(job_id) for job_id in list(self.reservations)}
        pids = {job_id: pid for job_id, pid in found.items() if pid is not None}
        return pids, {job_id: self._host.resident_bytes(pid) for job_id, pid in pids.items()}, self._host.memory()

    def _tenants(self, facts: _Facts) -> list[Tenant]:
        tenants = [
            Tenant(
                uuid=one.uuid,
                pid=facts.pids.get(job_id),
                needed_bytes=one.gpu_bytes,
                held_bytes=one.held_gpu_bytes,
            )
            for job_id, one in self.reservations.items()
            if one.uuid
        ]
        if facts.gpus and self._serves_on_gpu:
            share = self._config.serving_gpu_bytes
            # ONNX Runtime computes on CUDA's first GPU.
            tenants.append(Tenant(uuid=facts.gpus[0].uuid, pid=os.getpid(), needed_bytes=share, is_serving=True))
        return tenants

    def _host_room(self, facts: _Facts) -> HostRoom:
        outstanding = sum(
            max(0, one.host_bytes - facts.resident_bytes.get(job_id, 0)) for job_id, one in self.reservations.items()
        )
        return HostRoom(
            cores=self._host.cores,
            cores_used=sum(one.cores for one in self.reservations.values()),
            total_bytes=facts.memory.total_bytes,
            free_bytes=max(0, facts.memory.available_bytes - outstanding),
        )
