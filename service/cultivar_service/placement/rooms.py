"""Which GPU has room for a job: the rules, on facts alone."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from cultivar_service.placement.gpus import Gpu, GpuProcess

_EMPTY_SHARE = 0.1
"""Share of a GPU's memory that drivers take of it where nobody computes, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What a job is expected to take of a GPU."""

    needed_bytes: int
    """At its peak, the CUDA context included."""
    is_measured: bool
    """Whether jobs of its shape were measured; else it is an estimate from above."""
    source: str
    """Where it comes from, as reasons say it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tenant:
    """A process of ours on a GPU: a trainer, or the service itself where it serves there."""

    uuid: str
    """The GPU's."""
    pid: int | None
    """None while it is not known."""
    needed_bytes: int
    """What it may take at most."""
    held_bytes: int = 0
    """What it is known to have by other means than NVML."""
    is_serving: bool = False
    """Whether it is the service, which may have no model on the GPU, and so counts as a process only once listed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """One GPU, and what is left of it."""

    gpu: Gpu
    reserved_bytes: int
    """What our processes may still take beyond what they use."""
    num_processes: int
    """Everybody's, trainers that NVML does not list yet among them."""
    max_processes: int
    """At which no job is added."""
    has_jobs: bool
    """Whether a trainer of ours is there."""
    others_used_bytes: int
    """Used memory that is not known to be serving's."""
    is_shared: bool
    """Whether processes that are not serving's are there."""
    free_without_jobs_bytes: int
    """Memory that will be left once our jobs there have ended, if others keep what they have."""

    @property
    def free_bytes(self) -> int:
        """Memory left for a new job."""
        return max(0, self.gpu.free_bytes - self.reserved_bytes)

    @property
    def is_empty(self) -> bool:
        """Whether nobody computes there but serving, as far as NVML tells: processes may be hidden, memory is not."""
        hidden = self.others_used_bytes > _EMPTY_SHARE * self.gpu.total_bytes
        return not (self.has_jobs or self.is_shared or hidden)

    def takes(self, prediction: Prediction) -> bool:
        """Tell whether a job may start there.

        An estimate keeps no job off a GPU where nobody computes: no better place will ever come.
        """
        if self.num_processes >= self.max_processes:
            return False
        return prediction.needed_bytes <= self.free_bytes or (self.is_empty and not prediction.is_measured)

    def will_take(self, prediction: Prediction) -> bool:
        """Tell whether a job may start there once our jobs there have ended, as far as memory tells."""
        if not self.has_jobs:
            return False
        is_emptied = self.free_without_jobs_bytes >= (1 - _EMPTY_SHARE) * self.gpu.total_bytes
        return prediction.needed_bytes <= self.free_without_jobs_bytes or (is_emptied and not prediction.is_measured)

    def refusal(self, prediction: Prediction) -> str:
        """Say what is lacking."""
        name = f"GPU {self.gpu.index}"
        if self.num_processes >= self.max_processes:
            return f"{name}: {self.num_processes} of {self.max_processes} processes"
        return f"{name}: {gigabytes(self.free_bytes)} free, {gigabytes(prediction.needed_bytes)} needed"


def rooms(gpus: Iterable[Gpu], tenants: Collection[Tenant], *, max_processes: int) -> list[Room]:
    """Return what is left of each GPU."""
    return [_room(gpu, [one for one in tenants if one.uuid == gpu.uuid], max_processes) for gpu in gpus]


def choose(candidates: Sequence[Room], prediction: Prediction) -> Room | None:
    """Return the GPU where fewest compute, then where most memory is free, then the first; None: no room.

    Processes on one GPU take turns. In the simulation (benchmarks/placement, 10 seeds), where that costs nothing, a
    queue took 382 s so, 401 s by most free memory alone and 369 s by the tightest fit.
    """
    taking = [room for room in candidates if room.takes(prediction)]
    # An empty GPU that is too small by an estimate comes last.
    fitting = [room for room in taking if prediction.needed_bytes <= room.free_bytes] or taking
    return min(fitting, key=lambda room: (room.num_processes, -room.free_bytes, room.gpu.index), default=None)


def refusals(candidates: Sequence[Room], prediction: Prediction) -> str:
    """Say why no GPU has room."""
    told = "; ".join(room.refusal(prediction) for room in candidates) + f" ({prediction.source})"
    most = max(room.gpu.total_bytes for room in candidates)
    if prediction.needed_bytes <= most:
        return told
    if prediction.is_measured:
        return f"{told}; more than any GPU here has: use a smaller execution.micro_batch or input.size"
    return f"{told}; more than any GPU here has, if the estimate is right: waits for one where nobody computes"


def reason(room: Room, prediction: Prediction) -> str:
    """Say why a job goes to a GPU."""
    told = (
        f"GPU {room.gpu.index}: {gigabytes(room.free_bytes)} free, {gigabytes(prediction.needed_bytes)} needed, "
        f"{room.num_processes} of {room.max_processes} processes ({prediction.source})"
    )
    if prediction.needed_bytes > room.free_bytes:
        told += "; tried all the same, for it is an estimate and nobody else computes there"
    return told


def gigabytes(size_bytes: int) -> str:
    """Return a size as reasons say it."""
    return f"{size_bytes / 1e9:.1f} GB"


def _room(gpu: Gpu, tenants: Collection[Tenant], max_processes: int) -> Room:
    listed = {process.pid: process for process in gpu.processes}
    missing = [one for one in tenants if not one.is_serving and one.pid not in listed]
    # In a container NVML may list our processes under the host's pids: those that hold memory are then among the
    # processes that can't be seen from here, and must not count twice.
    nameless = sum(not process.is_seen for process in gpu.processes)
    holders = sum(one.held_bytes > 0 for one in missing)
    unlisted = len(missing) - holders + max(0, holders - nameless)
    serving = {one.pid for one in tenants if one.is_serving}
    jobs_used = sum(_used(one, listed.get(one.pid or 0)) for one in tenants if not one.is_serving)
    serving_reserved = sum(_reserved(one, listed.get(one.pid or 0)) for one in tenants if one.is_serving)
    serving_used = sum(process.used_bytes or 0 for process in gpu.processes if process.pid in serving)
    return Room(
        gpu=gpu,
        reserved_bytes=sum(_reserved(one, listed.get(one.pid or 0)) for one in tenants),
        num_processes=len(gpu.processes) + unlisted,
        max_processes=max_processes,
        has_jobs=any(not one.is_serving for one in tenants),
        others_used_bytes=gpu.used_bytes - serving_used,
        is_shared=any(process.pid not in serving for process in gpu.processes),
        free_without_jobs_bytes=max(0, gpu.free_bytes + jobs_used - serving_reserved),
    )


def _reserved(tenant: Tenant, process: GpuProcess | None) -> int:
    """Return what a process of ours may still take of its GPU, in bytes."""
    return max(0, tenant.needed_bytes - _used(tenant, process))


def _used(tenant: Tenant, process: GpuProcess | None) -> int:
    """Return what a process of ours has of its GPU, in bytes."""
    if process is not None and process.used_bytes is not None:
        return process.used_bytes
    return tenant.held_bytes
