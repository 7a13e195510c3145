"""What resolving a spec needs to know of the world, and what it answers."""

from collections.abc import Collection
from dataclasses import dataclass, field

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.violations import Violation


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetFacts:
    """What resolving needs to know of a data set."""

    name: str
    """`datasets/flowers/versions/2`."""
    class_ids: tuple[str, ...]
    """In label order."""
    counts: dict[str, tuple[int, ...]]
    """Images of each class by split: `train`, `val`, `test`."""

    @property
    def default_model(self) -> str:
        """The data set's bare name."""
        return self.name.split("/")[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFacts:
    """What resolving needs to know of the model version that weights come from."""

    name: str
    """`models/flowers/versions/3`."""
    recipe: pb.TrainingSpec
    """What it was trained by: its network and input are those that the weights fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkFacts:
    """What only the built network tells; a description of it has them."""

    parameter_names: tuple[str, ...]
    """As `trainable` patterns match them."""
    block_count: int
    """Blocks before the head."""
    learning_batch_norms: tuple[str, ...]
    """Names of the BatchNorm layers that would learn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Everything that resolving may look at beside the spec."""

    dataset: DatasetFacts | None = None
    """The data set that the spec names; None where there is none, which the caller reports."""
    weight_files: Collection[str] = ()
    """Names of the files in the service's weights folder."""
    source: SourceFacts | None = None
    """The model version that the spec's weights name; None where they name none."""
    network: NetworkFacts | None = None
    """None where they are not known: what needs them is then not checked."""


@dataclass(kw_only=True, slots=True)
class Resolution:
    """What became of a spec."""

    recipe: pb.TrainingSpec
    """Every field that has a meaning resolved; usable only without violations."""
    warnings: list[str] = field(default_factory=list)
    """Things that a careful reader should know."""
    violations: list[Violation] = field(default_factory=list)
    """Fields that can't be used."""
    unbuilt: list[Violation] = field(default_factory=list)
    """Fields whose feature is not built yet."""

    def violate(self, path: str, message: str) -> None:
        """Add a violation: fact, value and remedy."""
        self.violations.append(Violation(field=path, message=message))
