"""What the service asks a trainer process to do: one request type per task."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from google.protobuf import json_format

from cultivar.v1 import dataset_pb2, training_spec_pb2


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRequest:
    """What all requests are: JSON in the run directory."""


Request = TypeVar("Request", bound=TaskRequest)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRequest(TaskRequest):
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
    root: str = ""
    """Absolute path of the data sets root, which the source's other paths are relative to; empty for an archive."""
    archive: str = ""
    """Absolute path of an uploaded archive; empty for another source."""
    source: dict[str, Any] = field(default_factory=dict)
    """The DatasetSource message as proto JSON: label lists, folds and all else that the fields above do not say."""

    def source_message(self) -> dataset_pb2.DatasetSource:
        """Return the source as a message, with the seed of its splits."""
        message = json_format.ParseDict(self.source, dataset_pb2.DatasetSource(), ignore_unknown_fields=True)
        message.split_seed = self.split_seed
        return message


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest(TaskRequest):
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

    source: str = ""
    """Absolute path of the model package that the weights come from; empty where they come from none."""
    export_only: bool = False
    """Whether the run's best checkpoint becomes a package, without further training."""
    plans: list[dict[str, Any]] = field(default_factory=list)
    """The manifest's plans, where the job repeats them to reproduce a version; empty: the plan is looked up."""
    stop_after_epochs: int = 0
    """Whole epochs of all candidates together after which the best becomes a package, as in the run that this one
    repeats; 0: training goes on to its end."""

    def spec(self) -> training_spec_pb2.TrainingSpec:
        """Return the recipe as a message."""
        return json_format.ParseDict(self.recipe, training_spec_pb2.TrainingSpec(), ignore_unknown_fields=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class DescribeRequest(TaskRequest):
    """Task `describe`: leaves an ArchitectureDescription message in the result."""

    recipe_json: str
    """A TrainingSpec, resolved as far as the network goes, as proto JSON text."""
    num_classes: int
    """2 or more."""
    batch_size: int
    """Images per pass that memory is estimated for."""

    def spec(self) -> training_spec_pb2.TrainingSpec:
        """Return the recipe as a message."""
        return json_format.Parse(self.recipe_json, training_spec_pb2.TrainingSpec(), ignore_unknown_fields=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewRequest(TaskRequest):
    """Task `preview`: leaves RUN_DIR/preview.png, a row per image: the original, then augmented ones."""

    recipe: dict[str, Any]
    """The resolved TrainingSpec as proto JSON."""
    dataset: str
    """Absolute path of the data set version's files."""
    images: int
    """Training images to show, each in one row."""
    columns: int
    """Augmented views of each, those of the first epochs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateRequest(TaskRequest):
    """Task `evaluate`: leaves a SplitMetrics message in the result, measured through the serving path."""

    architecture: str
    """A known name; empty where a package is named."""
    weights: str
    """Enum member or file name of the architecture's weights."""
    package: str
    """Absolute path of a model package; empty where an architecture is named."""
    dataset: str
    """Absolute path of the data set version's files."""
    split: str
    """`train`, `val` or `test`."""
    weights_folder: str
    """Folder of weight files."""
    downloads: str
    """Folder that keeps downloaded weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyReportRequest(TaskRequest):
    """Task `report_study`: leaves report.html, report.md, curves.svg, curves.png and study.json in RUN_DIR."""

    study: dict[str, Any]
    """The TrainingStudy as proto JSON, its rows filled."""
    runs: dict[str, str]
    """Absolute path of the run directory of each job, by its name."""


def to_json(request: TaskRequest) -> dict[str, Any]:
    """Return the form that the run directory keeps."""
    return asdict(request)


def from_json(kind: type[Request], value: dict[str, Any]) -> Request:
    """Read the form that the run directory keeps; fields of newer writers are ignored.

    Raises:
        TypeError: a field is missing.
    """
    return kind(**{one.name: value[one.name] for one in fields(kind) if one.name in value})
