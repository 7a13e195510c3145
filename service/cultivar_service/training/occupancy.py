"""What of the host's devices is taken: by running jobs, by serving, by others."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cultivar_contract.run_directory import RunDirectory
from cultivar_service.config import Config, cores
from cultivar_service.training import host
from cultivar_service.training.gpus import DriverSilent, Gpu, GpuReader
from cultivar_service.training.rooms import Room, Tenant, rooms

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

    rooms: tuple[Room, ...] = ()
    """Of the GPUs, in the order in which CUDA numbers them; empty on a host without."""
    host: HostRoom
    owners: Mapping[int, str] = MappingProxyType({})
    """`trainingJobs/<id>` or `serving` by pid."""
    silence: str = ""
    """Why the GPUs, which are there, can't be told; else empty."""


class Occupancy:
    """Keeps the reservations of running jobs, and sets them against what driver and kernel say."""

    def __init__(self, config: Config, gpus: GpuReader, *, serves_on_gpu: bool) -> None:
        self._config = config
        self._gpus = gpus
        self._serves_on_gpu = serves_on_gpu
        self.reservations: dict[str, Reservation] = {}
        """By job id."""

    async def look(self) -> Look:
        """Ask the driver, the kernel and the run directories."""
        pids = await asyncio.to_thread(self._pids)  # before NVML is asked: a trainer that it lists then has a name
        try:
            gpus, silence = await self._gpus.read(), ""
        except DriverSilent as error:
            gpus, silence = [], str(error)
        owners = {pid: f"trainingJobs/{job_id}" for job_id, pid in pids.items() if pid is not None}
        return Look(
            rooms=tuple(rooms(gpus, self._tenants(gpus, pids), max_processes=self._config.max_jobs_per_gpu)),
            host=await asyncio.to_thread(self._host_room, pids),
            owners={**owners, os.getpid(): SERVING},
            silence=silence,
        )

    def reserved_by_gpu(self) -> Mapping[str, float]:
        """Return what jobs are expected to take of each GPU at their peaks, in bytes, by its index."""
        reserved: dict[str, float] = {}
        for one in list(self.reservations.values()):
            if one.uuid:
                reserved[str(one.gpu_index)] = reserved.get(str(one.gpu_index), 0.0) + one.gpu_bytes
        return reserved

    def _tenants(self, gpus: list[Gpu], pids: Mapping[str, int | None]) -> list[Tenant]:
        tenants = [
            Tenant(uuid=one.uuid, pid=pids.get(job_id), needed_bytes=one.gpu_bytes, held_bytes=one.held_gpu_bytes)
            for job_id, one in self.reservations.items()
            if one.uuid
        ]
        if gpus and self._serves_on_gpu:
            share = self._config.serving_gpu_bytes
            # ONNX Runtime computes on CUDA's first GPU.
            tenants.append(Tenant(uuid=gpus[0].uuid, pid=os.getpid(), needed_bytes=share, is_serving=True))
        return tenants

    def _pids(self) -> dict[str, int | None]:
        """Return the pids of jobs' trainers; None for those that have not yet taken their lock."""
        holders = {job_id: RunDirectory(self._config.runs / job_id).holder() for job_id in list(self.reservations)}
        return {job_id: None if process is None else process.pid for job_id, process in holders.items()}

    def _host_room(self, pids: Mapping[str, int | None]) -> HostRoom:
        memory, reservations = host.read_memory(), dict(self.reservations)
        outstanding = sum(
            max(0, one.host_bytes - host.resident_bytes(pids.get(job_id) or 0)) for job_id, one in reservations.items()
        )
        return HostRoom(
            cores=cores(),
            cores_used=sum(one.cores for one in reservations.values()),
            total_bytes=memory.total_bytes,
            free_bytes=max(0, memory.available_bytes - outstanding),
        )
