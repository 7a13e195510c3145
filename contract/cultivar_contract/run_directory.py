"""The folder between the service and one trainer process: request, plan, events, checkpoints, result, lock."""

import errno
import fcntl
import json
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from cultivar.v1 import event_pb2
from cultivar_contract import files

SCHEMA_VERSION = 1
"""Of request.json and result.json; a newer one is refused."""
_FLOCK = "hhqqi4x"  # struct flock on 64-bit Linux: type, whence, start, length, pid
_MAX_EVENT_BYTES = 4 << 20
_RESERVE_BYTES = 64 << 10
"""Room for a result that tells of a failure, and for the last lines of the log."""


class AlreadyRunning(RuntimeError):
    """Another process holds the run directory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A trainer process, told apart from a later one with the same number."""

    pid: int
    """Also its process group."""
    boot_id: str
    """Of the kernel it runs on."""
    start_ticks: int
    """Clock ticks between the kernel's start and the process's."""

    @classmethod
    def current(cls) -> "Process":
        """Describe the calling process."""
        return cls(pid=os.getpid(), boot_id=_boot_id(), start_ticks=_start_ticks(os.getpid()))

    def exists(self) -> bool:
        """Tell whether this very process is there, as a zombie or not."""
        try:
            return self.boot_id == _boot_id() and self.start_ticks == _start_ticks(self.pid)
        except (OSError, ValueError, IndexError):
            return False


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths and files of one run."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """Folder of the newest checkpoint and the one before."""
        return self.path / "checkpoint"

    @property
    def package(self) -> Path:
        """Folder of the finished model package."""
        return self.path / "package"

    @property
    def plan(self) -> Path:
        """The execution plan that holds now."""
        return self.path / "plan.json"

    def attempt(self, number: int) -> Path:
        """Folder of one attempt's events and log."""
        return self.path / "attempts" / str(number)

    def events(self, attempt: int) -> Path:
        """Events of one attempt, one JSON object a line."""
        return self.attempt(attempt) / "events.jsonl"

    def log(self, attempt: int) -> Path:
        """Standard output and error of one attempt."""
        return self.attempt(attempt) / "trainer.log"

    @property
    def reserve(self) -> Path:
        """File that keeps room for the result of a run that finds the disk full."""
        return self.path / "reserve"

    def take_reserve(self) -> None:
        """Take the room that the result will need, if there is any."""
        files.reserve(self.reserve, _RESERVE_BYTES)

    def earlier_events(self, attempt: int) -> Iterator[event_pb2.JobEvent]:
        """Yield the whole events of all attempts before one, in their order."""
        for number in range(1, attempt):
            events, offset = read_events(self.events(number), 0)
            while events:
                yield from events
                events, offset = read_events(self.events(number), offset)

    def write_request(self, attempt: int, request: dict[str, Any]) -> None:
        """Write what the next trainer process shall do; clears the result of the attempt before."""
        self.attempt(attempt).mkdir(parents=True, exist_ok=True)
        (self.path / "result.json").unlink(missing_ok=True)
        body = {"schema_version": SCHEMA_VERSION, "attempt": attempt, "request": request}
        files.write_json(self.path / "request.json", body)

    def read_request(self) -> tuple[int, dict[str, Any]]:
        """Return the attempt and the request.

        Raises:
            OSError, ValueError, KeyError: there is none that this version can read.
        """
        body = _read(self.path / "request.json")
        return int(body["attempt"]), dict(body["request"])

    def write_result(self, result: "Result") -> None:
        """Write what became of the run: the trainer's last act. Gives the reserve's room back."""
        self.reserve.unlink(missing_ok=True)
        files.write_json(
            self.path / "result.json",
            {
                "schema_version": SCHEMA_VERSION,
                "attempt": result.attempt,
                "outcome": result.outcome,
                "reason": result.reason,
                "message": result.message,
                "value": result.value,
            },
        )

    def read_result(self, attempt: int) -> "Result | None":
        """Return what became of an attempt; None while it has left no result.

        Raises:
            ValueError: the result is damaged or newer than this version.
        """
        try:
            body = _read(self.path / "result.json")
        except FileNotFoundError:
            return None
        try:
            result = Result(
                attempt=int(body["attempt"]),
                outcome=str(body["outcome"]),
                reason=str(body["reason"]),
                message=str(body["message"]),
                value=dict(body["value"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"result.json lacks {error}") from error
        return result if result.attempt == attempt else None

    @contextmanager
    def locked(self, *, patience_s: float = 2.0) -> Iterator[None]:
        """Hold the run directory; the kernel lets go when the process ends, however it ends.

        Raises:
            AlreadyRunning: another process held it for `patience_s` seconds.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            deadline = time.monotonic() + patience_s
            while True:
                try:
                    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > deadline:
                        raise AlreadyRunning(str(self.path)) from error
                    time.sleep(0.05)
            process = Process.current()
            os.ftruncate(descriptor, 0)
            os.pwrite(
                descriptor,
                json.dumps(
                    {"pid": process.pid, "boot_id": process.boot_id, "start_ticks": process.start_ticks}
                ).encode(),
                0,
            )
            yield
        finally:
            os.close(descriptor)

    def holder(self) -> Process | None:
        """Return the living process that holds the lock; asking takes no lock and so disturbs nobody."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))[0]
            if kind == fcntl.F_UNLCK:
                return None
            body = json.loads(os.pread(descriptor, 4096, 0))
            return Process(pid=int(body["pid"]), boot_id=str(body["boot_id"]), start_ticks=int(body["start_ticks"]))
        except (ValueError, KeyError, TypeError):  # taken a moment ago, its name not yet written
            return None
        finally:
            os.close(descriptor)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a run."""

    attempt: int
    outcome: str
    """SUCCEEDED, FAILED or CANCELLED."""
    reason: str = ""
    """UPPER_SNAKE_CASE where it failed."""
    message: str = ""
    """Fact, value and remedy where it failed."""
    value: dict[str, Any]
    """What the task found, as JSON."""


class EventWriter:
    """Appends events to a run's log; each line reaches the kernel whole, or not at all, before the next begins."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)  # a buffer would hold what a full disk refused, and try again later

    def __enter__(self) -> "EventWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, event: event_pb2.JobEvent) -> None:
        """Stamp an event with the time and append it.

        Raises:
            OSError: it can't be written, as on a full disk; then nothing of it stays.
        """
        event.time.GetCurrentTime()
        line = json_format.MessageToJson(event, indent=None).encode() + b"\n"
        start = os.fstat(self._file.fileno()).st_size
        written = self._file.write(line)
        if written < len(line):
            os.ftruncate(self._file.fileno(), start)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)


def read_events(path: Path, offset: int) -> tuple[list[event_pb2.JobEvent], int]:
    """Return the whole events from byte `offset` on, and the offset after them; a line being written is left."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(_MAX_EVENT_BYTES)
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    events = []
    for line in data[:end].splitlines():
        try:
            events.append(json_format.Parse(line, event_pb2.JobEvent(), ignore_unknown_fields=True))
        except json_format.ParseError:  # half a line that a killed attempt left
            continue
    return events, offset + end


def _read(path: Path) -> dict[str, Any]:
    body = files.read_json(path)
    if not isinstance(body, dict) or int(body.get("schema_version", 0)) > SCHEMA_VERSION:
        raise ValueError(f"{path.name} was written by a newer version: upgrade this one")
    return body


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_ticks(pid: int) -> int:
    # Field 22 of proc(5)'s stat; the command in field 2 may hold spaces and brackets.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
