"""The host's GPUs as NVML tells of them: memory, and the processes that compute on them."""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pynvml

logger = logging.getLogger(__name__)

_PATIENCE_S = 2.0


class Nvml(Protocol):
    """What is asked of the library; `pynvml` itself, or its like."""

    def nvmlInit(self) -> Any:
        """Connect to the driver."""

    def nvmlDeviceGetCount(self) -> Any:
        """Return how many GPUs there are."""

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        """Return what the calls below take."""

    def nvmlDeviceGetUUID(self, handle: Any) -> Any:
        """Return `GPU-...`."""

    def nvmlDeviceGetName(self, handle: Any) -> Any:
        """Return the model."""

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any:
        """Return total, free and used bytes."""

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> Any:
        """Return pid and usedGpuMemory of each process that computes."""

    def nvmlDeviceGetMigMode(self, device: Any) -> Any:
        """Return whether it is partitioned, now and after a reset."""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that computes on a GPU."""

    pid: int
    used_bytes: int | None
    """None where the driver does not tell."""
    is_seen: bool
    """Whether this process table has it; in a container, pids may be the host's and mean nothing here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One GPU, now."""

    index: int
    """As NVML numbers it."""
    uuid: str
    """Its identity, also after a restart."""
    name: str
    """Its model."""
    total_bytes: int
    used_bytes: int
    """By everybody."""
    free_bytes: int
    processes: tuple[GpuProcess, ...] = ()
    """Everybody's."""


class DriverSilent(Exception):
    """The driver of GPUs that are there does not answer."""


class GpuReader:
    """Reads NVML on a thread of its own, so that a hung driver holds up nobody for long."""

    def __init__(self, *, visible: str | None = None, nvml: Nvml = pynvml, patience_s: float = _PATIENCE_S) -> None:
        """Prepare; nothing is asked yet.

        Args:
            visible: CUDA_VISIBLE_DEVICES of the service; None: all GPUs. NVML's order is CUDA's on hosts with one
                kind of GPU, else with CUDA_DEVICE_ORDER=PCI_BUS_ID.
            nvml: the library.
            patience_s: how long one look may take.
        """
        self._visible = visible
        self._nvml = nvml
        self._patience_s = patience_s
        self._look: concurrent.futures.Future[list[Gpu]] | None = None
        self._initialised = False
        self._found_some = False

    async def read(self) -> list[Gpu]:
        """Return the GPUs that may be used, in the order in which CUDA numbers them; none on a host without.

        Left out are those that are cut into MIG devices, and those that don't tell their memory. Callers at the same
        time share a look.

        Raises:
            DriverSilent: there are GPUs, or may be, and the driver does not answer.
        """
        if self._look is None or self._look.done():
            self._look = self._begin()
        try:
            async with asyncio.timeout(self._patience_s):
                return await asyncio.wrap_future(self._look)
        except TimeoutError:
            raise DriverSilent(f"the GPU driver has not answered for {self._patience_s:g} s") from None
        except pynvml.NVMLError as error:
            raise DriverSilent(f"the GPU driver says: {error}") from error

    def _begin(self) -> concurrent.futures.Future[list[Gpu]]:
        answer: concurrent.futures.Future[list[Gpu]] = concurrent.futures.Future()
        answer.set_running_or_notify_cancel()  # a caller that gives up can't cancel it under the thread's hands

        def look() -> None:
            try:
                answer.set_result(self._read())
            except Exception as error:
                answer.set_exception(error)

        # Of its own and a daemon: a thread pool would wait for a hung driver at exit.
        threading.Thread(target=look, name="nvml-placement", daemon=True).start()
        return answer

    def _read(self) -> list[Gpu]:
        if not self._initialised:
            try:
                self._nvml.nvmlInit()
            except pynvml.NVMLError as error:
                if self._found_some:
                    raise
                logger.debug("no GPUs: %s", error)
                return []
            self._initialised = True
        try:
            found = [self._describe(index) for index in range(self._nvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError:
            self._initialised = False  # a driver that was restarted wants a new start
            raise
        gpus = [gpu for gpu in found if gpu is not None]
        if self._found_some and not gpus:
            raise DriverSilent(f"none of {len(found)} GPUs tells its memory any more")
        chosen = usable(gpus, self._visible)
        if gpus and not self._found_some:
            logger.info(
                "%d GPU(s), of which jobs may use %s", len(found), ", ".join(str(gpu.index) for gpu in chosen) or "none"
            )
        self._found_some = bool(gpus)
        return chosen

    def _describe(self, index: int) -> Gpu | None:
        """Return one GPU; None where no job can be placed: it is partitioned, or fell off the bus."""
        nvml = self._nvml
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            uuid, name = str(nvml.nvmlDeviceGetUUID(handle)), str(nvml.nvmlDeviceGetName(handle))
        except pynvml.NVMLError_Uninitialized:
            raise
        except pynvml.NVMLError as error:
            logger.debug("GPU %d: %s", index, error)
            return None
        with contextlib.suppress(pynvml.NVMLError):  # most GPUs can't be partitioned
            if nvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE:
                return None
        processes = []
        with contextlib.suppress(pynvml.NVMLError):  # not supported, or not told in a container
            processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        return Gpu(
            index=index,
            uuid=uuid,
            name=name,
            total_bytes=memory.total,
            used_bytes=memory.used,
            free_bytes=memory.free,
            processes=tuple(
                GpuProcess(one.pid, one.usedGpuMemory, Path(f"/proc/{one.pid}").exists()) for one in processes
            ),
        )


def usable(gpus: Sequence[Gpu], visible: str | None) -> list[Gpu]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, in its order, read as CUDA does.

    It names indices or beginnings of UUIDs, and ends at the first that means no GPU; MIG devices are none.
    """
    if visible is None:
        return list(gpus)
    chosen: list[Gpu] = []
    for name in (part.strip() for part in visible.split(",")):
        found = next((gpu for gpu in gpus if name and (str(gpu.index) == name or _begins(gpu.uuid, name))), None)
        if found is None or found in chosen:
            break
        chosen.append(found)
    return chosen


def _begins(uuid: str, name: str) -> bool:
    return name.startswith("GPU-") and uuid.startswith(name)
