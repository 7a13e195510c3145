"""Short-lived trainer processes: a caller waits for each, and takes it with them when they go."""

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cultivar.v1 import event_pb2
from cultivar_contract.run_directory import Result, RunDirectory, read_events
from cultivar_contract.tasks import TaskRequest, to_json
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.errors import (
    CultivarError,
    DeadlineExceeded,
    Exhausted,
    FailedPrecondition,
    QueueFull,
    Unavailable,
)
from cultivar_service.trainers.executor import TICK_S, Executor, launch

MAX_RUNNING = 2
"""Processes of one task at a time."""
MAX_WAITING = 32
"""Calls of one task that wait for a process; more are refused."""
MAX_OUTPUT_BYTES = 64 << 20
"""Largest file that a task may leave for its caller."""
_PASSING = frozenset(("DOWNLOAD_FAILED", "DOWNLOAD_CORRUPT", "OS_ERROR", "TRAINER_ERROR"))
"""Reasons that may have gone when the same call comes again."""
_MAX_MESSAGE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What a task left."""

    value: dict[str, Any]
    """Its result."""
    output: bytes
    """The file that was asked for; empty where none was."""
    left: dict[str, bytes] = field(default_factory=dict)
    """Further files that were asked for and are there, by name."""


class Calls:
    """Runs one task for callers who wait, a few at a time."""

    def __init__(
        self, config: Config, storage: DataDirectory, executor: Executor, task: str, *, deadline_s: float
    ) -> None:
        self._scratch = config.scratch
        self._storage = storage
        self._executor = executor
        self._task = task
        self._deadline_s = deadline_s
        self._slots = asyncio.Semaphore(MAX_RUNNING)
        self._waiting = 0

    async def run(
        self,
        request: TaskRequest,
        *,
        what: str,
        output: str = "",
        left: Sequence[str] = (),
        keep: Callable[[Path], None] | None = None,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[event_pb2.Progress | Done, None]:
        """Yield how far the task is, and at last what it left. Closed before its end, it kills the process.

        Args:
            request: what the task shall do.
            what: what the request is about, for messages.
            output: name of the file in the run directory that the caller wants; a task that leaves none has failed.
            left: names of files that the caller wants where they are there.
            keep: called with the run directory of a task that succeeded, on a thread, to copy what is to stay of it.
            deadline_s: seconds that the process gets, where they are fewer than this task's own.

        Raises:
            TrainerNotInstalled, InsufficientDisk, QueueFull, DeadlineExceeded, Unavailable, FailedPrecondition: it
                can't be done.
        """
        self._executor.check_installed()
        self._storage.check_free_space()
        if self._waiting >= MAX_WAITING:
            raise QueueFull(f"{self._waiting} calls of this kind wait already: try again later", retry_after_s=10)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            with self._storage.full_disk_told(), tempfile.TemporaryDirectory(dir=self._scratch) as folder:
                directory = RunDirectory(Path(folder))
                await asyncio.to_thread(directory.write_request, 1, to_json(request))
                trainer = await launch(lambda: self._executor.start(self._task, directory, 1), keep=False)
                limit_s = min(deadline_s or self._deadline_s, self._deadline_s)
                # Not asyncio.timeout: each step of a stream may run in another asyncio task.
                deadline, offset = time.monotonic() + limit_s, 0
                try:
                    alive = True
                    while alive:
                        alive = trainer.alive()  # before the events are read: none of the last ones is missed
                        if alive and time.monotonic() > deadline:
                            raise self._late(what, limit_s)
                        events, offset = await asyncio.to_thread(read_events, directory.events(1), offset)
                        for event in events:
                            if event.HasField("progress"):
                                yield event.progress
                        if alive:
                            await asyncio.sleep(TICK_S)
                finally:
                    await trainer.kill()
                done = await asyncio.to_thread(self._read, directory, what, output, left)
                if keep is not None:
                    await asyncio.to_thread(keep, directory.path)
                yield done
        finally:
            self._slots.release()

    async def result(
        self,
        request: TaskRequest,
        *,
        what: str,
        output: str = "",
        keep: Callable[[Path], None] | None = None,
        deadline_s: float | None = None,
    ) -> Done:
        """Return what the task left; arguments and errors as in `run`."""
        async with aclosing(self.run(request, what=what, output=output, keep=keep, deadline_s=deadline_s)) as updates:
            async for update in updates:
                if isinstance(update, Done):
                    return update
        raise AssertionError("a task ends with Done or an error")

    def _read(self, directory: RunDirectory, what: str, output: str, left: Sequence[str]) -> Done:
        try:
            result = directory.read_result(1)
        except ValueError:
            result = None
        if result is None or result.outcome != "SUCCEEDED":
            raise self._failed(what, result)
        data = b""
        if output:
            path = directory.path / output
            try:
                size = path.stat().st_size
                data = path.read_bytes() if size <= MAX_OUTPUT_BYTES else b""
            except FileNotFoundError:
                size = 0
            if size > MAX_OUTPUT_BYTES:
                raise FailedPrecondition(
                    f"{what} has {size >> 20} MiB, more than {MAX_OUTPUT_BYTES >> 20}: ask for less",
                    reason=f"{self._task.upper()}_TOO_LARGE",
                )
            if not data:
                raise self._failed(what, None)
        found = {name: directory.path / name for name in left if (directory.path / name).is_file()}
        kept = {name: one.read_bytes() for name, one in found.items() if one.stat().st_size <= MAX_OUTPUT_BYTES}
        return Done(value=result.value, output=data, left=kept)

    def _failed(self, what: str, result: Result | None) -> CultivarError:
        reason = (result.reason if result else "") or "TRAINER_LOST"
        message = result.message if result and result.message else "the trainer ended without a result"
        if reason == "INSUFFICIENT_DISK":
            return Exhausted(message[:_MAX_MESSAGE], reason=reason, retry_after_s=60)
        if result is not None and result.outcome == "FAILED" and reason not in _PASSING:
            return FailedPrecondition(message[:_MAX_MESSAGE], reason=reason)
        return Unavailable(f"{what}: {message}"[:_MAX_MESSAGE], reason=reason, retry_after_s=5)

    def _late(self, what: str, limit_s: float) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{what}: not done within {limit_s:g} s: try again when the host is less busy",
            reason=f"{self._task.upper()}_TIMEOUT",
        )
