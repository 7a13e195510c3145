"""What the service asks a trainer process to do: one request type per task."""

from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from google.protobuf import json_format

from cultivar.v1 import training_spec_pb2

Request = TypeVar("Request", "ImportRequest", "TrainRequest", "DescribeRequest")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRequest:
    """Task `import_dataset`: leaves the version's files in RUN_DIR/dataset and a Dataset message in the result."""

    builtin: str
    """Name of a built-in data set; empty for a folder."""
    folder: str
    """Absolute path of a folder; empty for a built-in."""
    class_names: str
    """Absolute path of the class-name file; empty where there is none."""
    split_seed: int
    """Seed of drawn splits."""
    downloads: str
    """Folder that keeps downloaded archives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """Task `train`: leaves a model package in RUN_DIR/package."""

    job: str
    """`trainingJobs/<id>`."""
    recipe: dict[str, Any]
    """The resolved TrainingSpec as proto JSON."""
    dataset: str
    """Absolute path of the data set version's files."""
    caches: str
    """Folder of derived stores and features."""
    cache_budget_bytes: int
    """Size that the caches may take together."""
    weights: str
    """Folder of weight files; also keeps downloaded ones where it can be written."""
    downloads: str
    """Folder that keeps downloaded weights."""

    def spec(self) -> training_spec_pb2.TrainingSpec:
        """Return the recipe as a message."""
        return json_format.ParseDict(self.recipe, training_spec_pb2.TrainingSpec(), ignore_unknown_fields=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class DescribeRequest:
    """Task `describe`: leaves an ArchitectureDescription message in the result."""

    architecture: str
    """A known name."""
    mode: int
    """Number of a FineTuningMode."""
    num_classes: int
    """2 or more."""
    input_size: int
    """Pixels."""
    stem: int
    """Number of a Stem."""


def to_json(request: ImportRequest | TrainRequest | DescribeRequest) -> dict[str, Any]:
    """Return the form that the run directory keeps."""
    return asdict(request)


def from_json(kind: type[Request], value: dict[str, Any]) -> Request:
    """Read the form that the run directory keeps; fields of newer writers are ignored.

    Raises:
        TypeError: a field is missing.
    """
    return kind(**{name: value[name] for name in kind.__slots__ if name in value})
