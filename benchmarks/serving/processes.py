"""What the kernel says of a server's processes and of the host: CPU time, memory, who else was busy."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since boot, to be subtracted from a later one's."""

    server_s: float
    """Of the server's processes, and of those that they have waited for."""
    client_s: float
    """Of this process."""
    host_s: float
    """Of everything on every core, time that the hypervisor took included."""

    @classmethod
    def now(cls, server: int | None) -> "Usage":
        """Read the clocks; `server` is the id of the server's first process."""
        used = sum(cpu_seconds(one) for one in family(server)) if server else 0.0
        return cls(server_s=used, client_s=cpu_seconds(os.getpid()), host_s=_host_busy_s())

    def since(self, earlier: "Usage") -> "Usage":
        """Return what was used in between."""
        return Usage(
            server_s=self.server_s - earlier.server_s,
            client_s=self.client_s - earlier.client_s,
            host_s=self.host_s - earlier.host_s,
        )

    @property
    def foreign_s(self) -> float:
        """CPU seconds of neither server nor client."""
        return max(0.0, self.host_s - self.server_s - self.client_s)


def family(pid: int) -> list[int]:
    """Return a process, its descendants, and the rest of its session: those whose parents have ended."""
    children: dict[int, list[int]] = {}
    session: list[int] = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            if int(fields[3]) == pid:
                session.append(int(entry.name))
    found = dict.fromkeys([pid, *session])
    queue = list(found)
    for one in queue:
        new = [child for child in children.get(one, ()) if child not in found]
        found.update(dict.fromkeys(new))
        queue.extend(new)
    return [one for one in found if _stat(one) is not None]


def cpu_seconds(pid: int) -> float:
    """Return the user and system seconds of a process and of its children that have ended; 0 where it is gone."""
    fields = _stat(pid)
    return sum(int(one) for one in fields[11:15]) * _TICK_S if fields is not None else 0.0


def proportional_memory_mb(pid: int) -> float:
    """Return the proportional set size (PSS) in MB (10^6 bytes) of a process and its descendants."""
    total = 0
    for one in family(pid):
        with contextlib.suppress(OSError):
            for line in (_PROC / str(one) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total / 1e6


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to each process that is still there."""
    for one in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, number)


def pin(core: int | None) -> None:
    """Keep this process, and what it starts from now on, on one core."""
    if core is not None and core in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Stay on one core for a while: what is started meanwhile stays there for good."""
    before = os.sched_getaffinity(0)
    pin(core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def alive(pids: list[int]) -> list[int]:
    """Return those that still run; zombies don't."""
    return [one for one in pids if (fields := _stat(one)) is not None and fields[0] != "Z"]


def wait_for_end(pid: int, seconds: float) -> None:
    """Wait until a process has ended; at most so long."""
    until = time.monotonic() + seconds
    while alive([pid]) and time.monotonic() < until:
        time.sleep(0.02)


def _stat(pid: int) -> list[str] | None:
    """Return /proc/PID/stat from its third field on: state, parent, ..."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _host_busy_s() -> float:
    with open("/proc/stat") as lines:
        user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, lines.readline().split()[1:])
    return (user + nice + system + irq + softirq + steal) * _TICK_S
