"""Trainer processes as the kernel sees them: which live, on which run directory, and their sudden end."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class LivingTrainer:
    """A trainer process that has not ended."""

    pid: int
    task: str
    """`train`, `import_dataset`, `describe` ..."""
    run: Path
    """Its run directory."""


def living(data: Path) -> list[LivingTrainer]:
    """Return the trainers that work below a data directory, whoever started them.

    A process that is ending has lost its command line before it lets go of its lock, so whatever is returned holds, or
    is about to ask for, its run directory.
    """
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (trainer := _read(int(entry.name), data)) is not None:
            found.append(trainer)
    return found


def kill(trainer: LivingTrainer, data: Path) -> bool:
    """End a trainer with SIGKILL; tell whether it was still there."""
    try:
        handle = os.pidfd_open(trainer.pid)  # it stays this process's, even where the number becomes another's
    except ProcessLookupError:
        return False
    try:
        if _read(trainer.pid, data) != trainer:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def _read(pid: int, data: Path) -> LivingTrainer | None:
    try:
        arguments = os.fsdecode((_PROC / str(pid) / "cmdline").read_bytes()).split("\0")[:-1]
        if "cultivar_trainer" not in arguments or not Path(arguments[-1]).is_relative_to(data):
            return None
        if os.getpgid(pid) != pid:  # a helper that a trainer started
            return None
    except (OSError, ValueError):
        return None
    return LivingTrainer(pid=pid, task=arguments[-2], run=Path(arguments[-1]))
