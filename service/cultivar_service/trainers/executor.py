"""Starts trainer processes, finds them again after a restart, and stops them."""

import asyncio
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from cultivar_contract.run_directory import RunDirectory
from cultivar_service.errors import TrainerNotInstalled

TICK_S = 0.1
"""Seconds between two looks at a trainer."""


class Executor:
    """Starts trainers."""

    def __init__(self, command: tuple[str, ...], *, grace_s: float) -> None:
        self._command = command or _installed_trainer()
        self._grace_s = grace_s

    def check_installed(self) -> None:
        """Check that there is a trainer to start.

        Raises:
            TrainerNotInstalled: there is none.
        """
        if not self._command:
            raise TrainerNotInstalled

    def start(
        self, task: str, directory: RunDirectory, attempt: int, environment: Mapping[str, str] = MappingProxyType({})
    ) -> "Trainer":
        """Start a process that does what the run directory's request says. Blocks for some milliseconds.

        Args:
            task: which.
            directory: the process's.
            attempt: its number.
            environment: added to the service's own, such as the GPU that the process shall see.

        Raises:
            OSError: it can't be started.
        """
        self.check_installed()
        with directory.log(attempt).open("ab") as log:
            # close_fds: a trainer that outlives the service must not hold its listening sockets.
            process = subprocess.Popen(
                [*self._command, task, str(directory.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", **environment},
                start_new_session=True,
                close_fds=True,
            )
        return Trainer(directory, attempt, process, grace_s=self._grace_s)

    def attach(self, directory: RunDirectory, attempt: int) -> "Trainer":
        """Find the process that an earlier service started, dead or alive."""
        return Trainer(directory, attempt, None, grace_s=self._grace_s)


class Trainer:
    """One trainer process: a child of this service, or one that outlived the service before."""

    def __init__(
        self, directory: RunDirectory, attempt: int, child: subprocess.Popen[bytes] | None, *, grace_s: float
    ) -> None:
        self._directory = directory
        self._attempt = attempt
        self._child = child
        self._grace_s = grace_s
        self._seen_alive = child is not None

    async def supervise(self, *, cancel: asyncio.Event, on_tick: Callable[[], Awaitable[None]]) -> None:
        """Wait for the process to end, calling `on_tick` meanwhile and once after; stop it when `cancel` is set."""
        kill_at: float | None = None
        while self.alive():
            await on_tick()
            if not cancel.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await cancel.wait()
                continue
            if kill_at is None:
                if self._signal(signal.SIGTERM):
                    kill_at = time.monotonic() + self._grace_s
            elif time.monotonic() >= kill_at:
                self._signal(signal.SIGKILL)
            await asyncio.sleep(TICK_S)
        self._reap()
        await on_tick()

    def alive(self) -> bool:
        """Tell whether the process is there."""
        if self._child is not None:
            if self._child.returncode is not None:
                return False
            # WNOWAIT leaves a dead child in the process table, so that its number can't become another process's.
            return os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        alive = self._group() is not None
        self._seen_alive |= alive
        return alive

    def describe_end(self) -> str:
        """Say how the process ended, as far as it is known."""
        code = None if self._child is None else self._child.returncode
        if code is None:
            return "while the service was not watching"
        return f"killed by signal {-code}" if code < 0 else f"exit status {code}"

    def end_ns(self) -> int:
        """Return when the process that has just ended did, in Unix time; found dead, by its last sign of life."""
        if self._seen_alive:
            return time.time_ns()
        signs = (self._directory.events(self._attempt), self._directory.log(self._attempt))
        return max((path.stat().st_mtime_ns for path in signs if path.exists()), default=0)

    @property
    def seen_alive(self) -> bool:
        """Whether this service saw the process alive, rather than found it dead."""
        return self._seen_alive

    def release(self) -> None:
        """Let the process live on without this service."""
        if self._child is not None and self._child.returncode is None:
            self._child.returncode = 0  # else its destructor warns of a child that is left behind, which is the aim

    async def kill(self) -> None:
        """End the process group at once."""
        if self.alive():
            self._signal(signal.SIGKILL)
        while self.alive():  # noqa: ASYNC110  another process's end sets no event
            await asyncio.sleep(0.01)
        self._reap()

    def _signal(self, number: signal.Signals) -> bool:
        """Signal the process group, if it is still this trainer's."""
        group = self._group()
        if group is None:
            return False
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return False
        return True

    def _group(self) -> int | None:
        """Return the number of the process and its group; None where it is gone."""
        if self._child is not None:
            return self._child.pid
        holder = self._directory.holder()
        if holder is not None:
            return holder.pid if holder.exists() else None
        return _without_lock(self._directory)

    def _reap(self) -> None:
        if self._child is not None and self._child.returncode is None:
            # Data loaders that outlived their leader go with it; its number is still taken, so they are its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()


async def launch(start: Callable[[], Trainer], *, keep: bool = True) -> Trainer:
    """Start a trainer on a thread. A caller that is cancelled meanwhile waits for the start.

    Args:
        start: starts it.
        keep: whether the trainer of a cancelled caller is let be, or killed.
    """
    starting = asyncio.ensure_future(asyncio.to_thread(start))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        if starting.exception() is None:
            if keep:
                starting.result().release()
            else:
                await starting.result().kill()
        raise


def _installed_trainer() -> tuple[str, ...]:
    # The trainer's own modules come with every installation; what it needs to run comes with the extra `trainer`.
    if all(importlib.util.find_spec(name) is not None for name in ("cultivar_trainer", "torch")):
        return (sys.executable, "-m", "cultivar_trainer")
    return ()


def _without_lock(directory: RunDirectory) -> int | None:
    """Return the trainer of a run directory that has not taken its lock: Python and its imports come first.

    Its command line tells. What it starts has the same, but is in its group.
    """
    path = os.fsencode(directory.path)
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # gone in between
            words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
            if len(words) > 3 and words[-2] == path and os.getpgid(int(name)) == int(name):
                return int(name)
    return None
