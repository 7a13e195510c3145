"""The host beside its GPUs: cores, memory, and the processes of trainers."""

import os
from dataclasses import dataclass
from pathlib import Path

from cultivar_contract.run_directory import RunDirectory
from cultivar_service.config import cores

_CGROUP = Path("/sys/fs/cgroup")
"""Where a container sees its own limits (cgroup v2)."""


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Memory in bytes."""

    total_bytes: int
    available_bytes: int
    """What a new process could have without anybody swapping."""


class HostReader:
    """Reads the kernel's figures, and run directories' locks. Each call blocks for a millisecond at most."""

    def __init__(self, runs: Path, *, meminfo: Path = Path("/proc/meminfo"), cgroup: Path = _CGROUP) -> None:
        self._runs = runs
        self._meminfo = meminfo
        self._cgroup = cgroup

    @property
    def cores(self) -> int:
        """Cores that this process and its trainers may use."""
        return cores()

    def memory(self) -> HostMemory:
        """Return the host's memory, or the container's where that is less."""
        lines = (line.split() for line in self._meminfo.read_text().splitlines())
        figures = {words[0].rstrip(":"): int(words[1]) << 10 for words in lines}
        total, available = figures["MemTotal"], figures["MemAvailable"]
        limit = _number(self._cgroup / "memory.max")
        if limit is not None:
            used = (_number(self._cgroup / "memory.current") or 0) - _inactive_files(self._cgroup)
            total, available = min(total, limit), min(available, limit - used)
        return HostMemory(total, max(0, available))

    def trainer(self, job_id: str) -> int | None:
        """Return the pid of a job's trainer; None where none is known to have taken its lock."""
        try:
            process = RunDirectory(self._runs / job_id).holder()
        except OSError:
            return None  # it then counts in full, which is safe
        return None if process is None else process.pid

    def resident_bytes(self, pid: int) -> int:
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
