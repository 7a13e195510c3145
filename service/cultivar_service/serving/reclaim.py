"""Gives the memory of dropped versions back to the operating system.

glibc keeps what is freed for the next allocation. `malloc_trim` gives back what lies free between things in use; it
walks the heap and holds its locks meanwhile, so it runs off the event loop, and once for many versions that go
together. It leaves the free end of every thread's heap, and how much may lie there glibc raises to 64 MB by itself as
soon as it has seen large blocks come and go, as networks do. So that limit is set: docs/benchmarks.md has the figures.
"""

import asyncio
import contextlib
import ctypes
import os
import weakref
from collections.abc import Callable
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_THRESHOLD_BYTES = 4 << 20
"""Larger blocks are mappings of their own, which go at once; a heap's free end that is larger is given back. Decoded
images of a usual size and batches of them are smaller, so requests allocate from memory that is there."""
_OWN_LIMITS = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"}
"""Variables with which the operator has set them already: mallopt(3)."""
_DELAY_S = 0.25
"""Versions that go within this time are reclaimed together."""


class Reclaimer:
    """Reclaims memory some time after objects that it watches are gone."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        # Absent outside glibc, whose allocator is the one that needs them.
        libc = ctypes.CDLL(None)
        self._trim: Callable[[int], Any] | None = getattr(libc, "malloc_trim", None)
        if self._trim is not None and not os.environ.keys() & _OWN_LIMITS:
            for limit in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
                libc.mallopt(limit, _THRESHOLD_BYTES)

    def watch(self, version: object) -> None:
        """Reclaim once `version` has gone, in whichever thread lets go of it last."""
        weakref.finalize(version, self.soon).atexit = False

    def soon(self) -> None:
        """Reclaim in a moment. From any thread, also from within garbage collection."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(self._arrange)

    def _arrange(self) -> None:
        if self._timer is None and self._trim is not None:
            self._timer = self._loop.call_later(_DELAY_S, self._run)

    def _run(self) -> None:
        self._timer = None
        if self._trim is not None:
            with contextlib.suppress(RuntimeError):  # as above
                self._loop.run_in_executor(None, self._trim, 0)
