"""NVML as `pynvml` shows it, over GPUs that are not there: the library's own types, errors and signatures."""

from dataclasses import dataclass, field
from typing import Any

import pynvml

GB = 10**9


@dataclass
class FakeGpu:
    """What the driver knows of one GPU."""

    total_bytes: int = 80 * GB
    processes: dict[int, int | None] = field(default_factory=dict)
    """Used bytes by pid; None: not told."""
    hidden_bytes: int = 0
    """Used by what the driver does not list."""
    is_partitioned: bool = False
    is_lost: bool = False

    @property
    def used_bytes(self) -> int:
        """By everybody."""
        return self.hidden_bytes + sum(used or 0 for used in self.processes.values())


class FakeNvml:
    """Its functions take and return what those of `pynvml` do."""

    def __init__(self, *gpus: FakeGpu) -> None:
        self.gpus = list(gpus)
        self.error: int | None = None
        """What every call answers; None: it works."""

    def nvmlInit(self) -> None:
        """Connect."""
        self._check()

    def nvmlDeviceGetCount(self) -> int:
        """Return how many GPUs there are."""
        self._check()
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        """Return the index: it is the handle."""
        self._check()
        if self.gpus[index].is_lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        """Return the identity."""
        return uuid(handle)

    def nvmlDeviceGetName(self, handle: int) -> str:
        """Return the model."""
        return "NVIDIA H200"

    def nvmlDeviceGetMemoryInfo(self, handle: int, version: Any = None) -> pynvml.c_nvmlMemory_t:
        """Return total, free and used bytes."""
        gpu = self.gpus[handle]
        free = gpu.total_bytes - gpu.used_bytes
        assert free >= 0, f"GPU {handle} has given more than it has"
        return pynvml.c_nvmlMemory_t(total=gpu.total_bytes, free=free, used=gpu.used_bytes)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        """Return the processes as the library makes them of its structs."""
        found = []
        for pid, used in self.gpus[handle].processes.items():
            not_told = pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value
            struct = pynvml.c_nvmlProcessInfo_v3_t(pid=pid, usedGpuMemory=not_told if used is None else used)
            told = pynvml.nvmlStructToFriendlyObject(struct)
            if told.usedGpuMemory == not_told:
                told.usedGpuMemory = None
            found.append(told)
        return found

    def nvmlDeviceGetMigMode(self, device: int) -> list[int]:
        """Return whether it is partitioned; most GPUs can not be."""
        if self.gpus[device].is_partitioned:
            return [pynvml.NVML_DEVICE_MIG_ENABLE, pynvml.NVML_DEVICE_MIG_ENABLE]
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    def _check(self) -> None:
        if self.error is not None:
            raise pynvml.NVMLError(self.error)


def uuid(index: int) -> str:
    """Return the identity of a fake GPU."""
    return f"GPU-{index:08x}-0000-0000-0000-000000000000"
