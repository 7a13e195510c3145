"""What the kernel says of a server's processes and of the host: CPU time, memory, who else was busy."""

import contextlib
import os
import signal
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
    """Return a process and its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid] if _stat(pid) is not None else []
    for one in found:
        found.extend(children.get(one, ()))
    return found


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


def alive(pids: list[int]) -> list[int]:
    """Return those that still run; zombies don't."""
    return [one for one in pids if (fields := _stat(one)) is not None and fields[0] != "Z"]


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
