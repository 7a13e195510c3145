"""The host's memory: how much there is, how much can be had, how much a process has."""

import os
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
"""Where a container sees its own limits (cgroup v2)."""


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Memory in bytes."""

    total_bytes: int
    available_bytes: int
    """What a new process could have without anybody swapping."""


def read_memory(*, meminfo: Path = Path("/proc/meminfo"), cgroup: Path = _CGROUP) -> HostMemory:
    """Return the kernel's figures, or the container's where they are smaller. Blocks for a millisecond."""
    lines = (line.split() for line in meminfo.read_text().splitlines())
    figures = {words[0].rstrip(":"): int(words[1]) << 10 for words in lines}
    total, available = figures["MemTotal"], figures["MemAvailable"]
    limit = _number(cgroup / "memory.max")
    if limit is not None:
        used = (_number(cgroup / "memory.current") or 0) - _inactive_files(cgroup)
        total, available = min(total, limit), min(available, limit - used)
    return HostMemory(total, max(0, available))


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory; 0 where there is no such process."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _number(file: Path) -> int | None:
    """Return what a cgroup's file says; None where there is none, or no limit."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _inactive_files(cgroup: Path) -> int:
    """Return the bytes of files' pages that count as used and are given up first."""
    try:
        lines = (cgroup / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
