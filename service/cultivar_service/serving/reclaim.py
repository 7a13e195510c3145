"""Gives the memory of dropped versions back to the operating system.

glibc keeps what is freed for the next allocation; after a network of a hundred megabytes that is a hundred megabytes
that other processes lack, and fragments of it add up from load to load. `malloc_trim` gives them back. It walks the
heap and holds its locks meanwhile, so it runs off the event loop, and once for many versions that go together.
"""

import asyncio
import contextlib
import ctypes
import weakref
from collections.abc import Callable
from typing import Any

_DELAY_S = 0.25
"""Versions that go within this time are reclaimed together."""


class Reclaimer:
    """Reclaims memory some time after objects that it watches are gone."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        # Absent outside glibc, whose allocator is the one that needs it.
        self._trim: Callable[[int], Any] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)

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
