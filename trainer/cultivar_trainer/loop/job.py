"""What the phases and candidates of one job share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from cultivar.v1 import state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.batches import TrainingData, ValidationData
from cultivar_trainer.checkpoint import Checkpoints
from cultivar_trainer.execution import Plan
from cultivar_trainer.journal import Journal
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
    plan: Plan
    """The one that holds now."""
    plans: list[PlanRecord] = field(default_factory=list)
    """Those that held, in their order."""


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
