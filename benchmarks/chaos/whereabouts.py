"""What the service and its trainers are doing at this moment, as their files tell it."""

import os
import time
from enum import StrEnum
from pathlib import Path

from benchmarks.chaos import trainers
from benchmarks.chaos.service import ServiceProcess
from benchmarks.chaos.trainers import LivingTrainer
from cultivar.v1 import state_pb2
from cultivar_contract.run_directory import RunDirectory, read_events

_SCAN_S = 0.1
"""Seconds between two looks through all processes, which costs more than a look at some files."""
_PUBLISHING_S = 1.5
"""Seconds after a trainer's result in which the service makes a version of it."""

_WRITING_S = 0.5
"""Age of a temporary file that is still being written."""


class Place(StrEnum):
    """Where a kill falls."""

    START_UP = "start-up"
    """The service does not answer yet."""
    IMPORT = "import"
    """A trainer imports a data set."""
    PREPARATION = "preparation"
    """A trainer starts, loads data and weights, or computes features."""
    TRAINING = "training"
    CHECKPOINT = "checkpoint"
    """A checkpoint is being written."""
    EXPORT = "export"
    """Exporting and evaluating."""
    PUBLISH = "publish"
    """A trainer has left its result; the service makes a version of it."""
    IDLE = "idle"
    """Nothing of the above."""


_PHASES = {
    state_pb2.TRAINING_PHASE_UNSPECIFIED: Place.PREPARATION,
    state_pb2.TRAINING_PHASE_PREPARING: Place.PREPARATION,
    state_pb2.TRAINING_PHASE_CACHING_FEATURES: Place.PREPARATION,
    state_pb2.TRAINING_PHASE_HEAD_WARMUP: Place.TRAINING,
    state_pb2.TRAINING_PHASE_TRAINING: Place.TRAINING,
    state_pb2.TRAINING_PHASE_EXPORTING: Place.EXPORT,
    state_pb2.TRAINING_PHASE_EVALUATING: Place.EXPORT,
}


class Whereabouts:
    """Looks, as often as asked, at what goes on."""

    def __init__(self, service: ServiceProcess) -> None:
        self._service = service
        self._scanned = 0.0
        self._trainers: list[LivingTrainer] = []
        self._phases: dict[Path, tuple[int, state_pb2.TrainingPhase]] = {}
        self._runs: dict[Path, float] = {}

    def trainers(self) -> list[LivingTrainer]:
        """Return the trainers that live, or did a moment ago."""
        if time.monotonic() - self._scanned > _SCAN_S:
            self._trainers = trainers.living(self._service.data)
            self._scanned = time.monotonic()
            now = time.time()
            self._runs |= {one.run: now for one in self._trainers if one.task == "train"}
        return self._trainers

    def look(self) -> dict[Place, Path]:
        """Return every place where something goes on now, each with the run directory it is about."""
        found: dict[Place, Path] = {}
        for trainer in self.trainers():
            if trainer.task == "import_dataset":
                found[Place.IMPORT] = trainer.run
            elif trainer.task == "train":
                found[_PHASES.get(self._phase(trainer.run), Place.TRAINING)] = trainer.run
                if _is_writing(RunDirectory(trainer.run).checkpoint):
                    found[Place.CHECKPOINT] = trainer.run
        if self._service.alive and not self._service.serving:
            found[Place.START_UP] = self._service.data
        if (run := self._just_finished()) is not None:
            found[Place.PUBLISH] = run
        return found or {Place.IDLE: self._service.data}

    def _phase(self, run: Path) -> state_pb2.TrainingPhase:
        try:
            attempts = [int(one.name) for one in (run / "attempts").iterdir()]
        except OSError:
            attempts = []
        path = RunDirectory(run).events(max(attempts, default=1))
        offset, phase = self._phases.get(path, (0, state_pb2.TRAINING_PHASE_UNSPECIFIED))
        events, offset = read_events(path, offset)
        for event in events:
            if event.HasField("phase_entered"):
                phase = event.phase_entered
        self._phases[path] = (offset, phase)
        return phase

    def _just_finished(self) -> Path | None:
        now = time.time()
        for run, seen in list(self._runs.items()):
            if now - seen > 2 * _PUBLISHING_S:
                del self._runs[run]
                continue
            try:
                finished = (run / "result.json").stat().st_mtime
            except OSError:
                continue
            if now - finished < _PUBLISHING_S:
                return run
        return None


def _is_writing(checkpoint: Path) -> bool:
    """Tell whether a temporary file is there that a killed trainer has not left long ago."""
    try:
        with os.scandir(checkpoint) as entries:
            return any(one.name.startswith(".") and time.time() - one.stat().st_mtime < _WRITING_S for one in entries)
    except OSError:  # no checkpoint yet, or renamed just now
        return False
