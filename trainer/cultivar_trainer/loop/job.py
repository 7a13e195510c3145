"""What the phases and candidates of one job share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from cultivar.v1 import state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.batches import TrainingData, ValidationData
from cultivar_trainer.checkpoint import Checkpoints, Weights
from cultivar_trainer.diagnostics.job_diagnostics import Diagnostics
from cultivar_trainer.execution import Plan
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.history import History
from cultivar_trainer.networks.network import Network

HEAD_WARMUP = state_pb2.TRAINING_PHASE_HEAD_WARMUP
TRAINING = state_pb2.TRAINING_PHASE_TRAINING


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRecord:
    """A plan and from when it held."""

    plan: Plan
    phase: state_pb2.TrainingPhase
    candidate: int
    """Number of the candidate, 0 where there is one."""
    step: int
    """Updates that the candidate had made before."""

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's form."""
        phase = state_pb2.TrainingPhase.Name(self.phase).removeprefix("TRAINING_PHASE_")
        return {"phase": phase, "candidate": self.candidate, "step": self.step, "plan": self.plan.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "PlanRecord":
        """Read the form that `to_json` gives.

        Raises:
            KeyError, ValueError: it is none.
        """
        phase = state_pb2.TrainingPhase.Value(f"TRAINING_PHASE_{value['phase']}")
        return cls(
            plan=Plan.from_json(value["plan"]),
            phase=cast("state_pb2.TrainingPhase", phase),  # which protobuf's own stubs call a number
            candidate=int(value["candidate"]),
            step=int(value["step"]),
        )


@dataclass(kw_only=True, slots=True)
class Progress:
    """How far the candidates are."""

    histories: list[History]
    """Of all candidates, in the order of the request."""
    position: int = 0
    """Of the candidate under way; that of the first where all train at once."""
    selected: int | None = None
    """Position of the best of the candidates that are over; None before the first."""
    bests: dict[int, Weights] = field(default_factory=dict)
    """Weights of candidates' best epochs, by position: of the selected one and of those under way."""

    @property
    def history(self) -> History:
        """That of the candidate under way."""
        return self.histories[self.position]

    @property
    def number(self) -> int:
        """The candidate's under way: 1 for the first; 0 where there is one."""
        return self.position + 1 if len(self.histories) > 1 else 0

    @property
    def whole_epochs(self) -> int:
        """Those of all candidates together."""
        return sum(len(one.epochs) for one in self.histories)


@dataclass(kw_only=True, slots=True)
class Job:
    """What all phases and candidates share."""

    recipe: pb.TrainingSpec
    network: Network
    num_classes: int
    class_weights: Tensor | None
    """(K,), on the device."""
    checkpoints: Checkpoints
    journal: Journal
    movable: frozenset[str]
    """Names of the tensors that any phase may move, as in the network's state dictionary."""
    origin: str
    """sha256 over the network before training: what a checkpoint belongs to."""
    plan: Plan
    """The one that holds now."""
    plan_file: Path
    """Holds it for the world to see."""
    progress: Progress
    plans: list[PlanRecord] = field(default_factory=list)
    """Those that held, in their order."""
    repeated: Sequence[PlanRecord] = ()
    """Those that held in the run that this one repeats."""
    stop_after_epochs: int = 0
    """Whole epochs of all candidates together after which the run that this one repeats was ended; 0: it was not."""
    diagnostics: Diagnostics | None = None
    """Look at the network while it learns; None: nobody looks."""
    memory_told: bool = False
    """Whether this attempt has told what memory it takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """Some epochs of one candidate."""

    kind: state_pb2.TrainingPhase
    """HEAD_WARMUP or TRAINING."""
    first_epoch: int
    """Epochs of the candidate before this phase."""
    epochs: int
    learning_rate: float
    weight_decay: float
    schedule: pb.ScheduleSpec
    candidate: int
    """1 for the first; 0 where there is one."""
    forward: Callable[[Tensor], Tensor]
    """Maps the data's inputs to logits: the whole network, or its head on cached features."""
    train: TrainingData
    validation: ValidationData
