"""The models that are combined: opened, checked against each other, and built again as networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format
from torch import Tensor

from cultivar.v1 import event_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import package
from cultivar_contract.package import DamagedPackage, Package
from cultivar_contract.preprocessing import Preprocessing
from cultivar_trainer.datasets import version
from cultivar_trainer.datasets.selection import Selection
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.networks import builders, weights
from cultivar_trainer.networks.network import Network

FIGURES = {
    pb.SELECTION_METRIC_LOSS: "loss",
    pb.SELECTION_METRIC_TOP1: "accuracy",
    pb.SELECTION_METRIC_TOP5: "top5_accuracy",
    pb.SELECTION_METRIC_MACRO_F1: "macro_f1",
}
"""What figures call the metric that models are selected by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One of the models."""

    name: str
    """`models/flowers/versions/3`."""
    package: Package
    recipe: pb.TrainingSpec
    """What it was trained by."""
    validation: event_pb2.SplitMetrics
    """What its package says of the validation images, through ONNX Runtime."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become its inputs."""
        return self.package.preprocessing

    @property
    def onnx_sha256(self) -> str:
        """Digest of its graph, in hexadecimal."""
        return str(self.package.manifest["variants"][0]["sha256"])

    @property
    def start(self) -> tuple[object, ...]:
        """What its weights were before training: a file's digest, or how they were drawn."""
        loaded = self.package.manifest.get("weights") or {}
        if loaded:
            return (str(loaded.get("sha256", "")),)
        return self.recipe.seed, self.recipe.initialisation.SerializeToString(deterministic=True)

    def tensors(self) -> dict[str, Tensor]:
        """Return its weights by name.

        Raises:
            TaskFailed: WEIGHTS_UNREADABLE.
        """
        return weights.read(self.package.path / "weights.npz")

    def network(self) -> Network:
        """Build its network on the CPU.

        Raises:
            TaskFailed: PACKAGE_DAMAGED or WEIGHTS_UNREADABLE.
        """
        inputs = self.preprocessing
        network = builders.network_of(
            self.recipe, len(self.package.class_ids), mean=inputs.mean, std=inputs.std, pretrained=True
        )
        try:
            network.load_tensors(self.tensors())
        except (KeyError, RuntimeError) as error:
            raise _damaged(self.name, f"weights.npz does not fit its recipe ({error})") from error
        return network


def open_members(names: Sequence[str], folders: Sequence[str]) -> list[Member]:
    """Open packages, every file of which is as it was made.

    Args:
        names: of the model versions.
        folders: their packages.

    Raises:
        TaskFailed: PACKAGE_DAMAGED.
    """
    return [_open(name, Path(folder)) for name, folder in zip(names, folders, strict=True)]


def check(members: Sequence[Member], dataset: DatasetVersion, selection: Selection) -> None:
    """Check that members answer the same question, and were selected on the images that compare them here.

    The service has checked what it knew when it was asked; members that were under way then are known only now.

    Raises:
        TaskFailed: MEMBERS_DIFFER.
    """
    class_ids = tuple(one.id for one in selection.classes)
    digest = version.split_digest(selection.splits["val"])
    for member in members:
        manifest, inputs = member.package.manifest, member.preprocessing
        first = members[0].preprocessing
        if member.package.class_ids != class_ids:
            raise _differ(member.name, "other classes")
        if _geometry(inputs) != _geometry(first):
            raise _differ(member.name, f"inputs of {_geometry(inputs)}, not {_geometry(first)}")
        if manifest["dataset"]["digest"] != dataset.digest:
            raise _differ(member.name, "another data set")
        if manifest["dataset"]["splits"]["val"]["digest"] != digest:
            raise _differ(member.name, "other validation images")


def check_soup(members: Sequence[Member]) -> None:
    """Check that weights of members can be averaged: of one network, on numbers made alike, from one start.

    Raises:
        TaskFailed: MEMBERS_DIFFER.
    """
    first = members[0]
    for member in members[1:]:
        if (member.recipe.architecture, member.recipe.network) != (first.recipe.architecture, first.recipe.network):
            raise _differ(member.name, "another network")
        if (member.preprocessing.mean, member.preprocessing.std) != (first.preprocessing.mean, first.preprocessing.std):
            raise _differ(member.name, "another normalisation")
        if member.start != first.start:
            raise TaskFailed(
                "MEMBERS_DIFFER",
                f"{member.name} and {first.name} did not start from the same weights, so that the average of theirs "
                "means nothing: make an ensemble of them",
            )


def value(metrics: event_pb2.SplitMetrics, metric: pb.SelectionMetric) -> float:
    """Return the figure that a selection metric names."""
    return float(getattr(metrics, FIGURES[metric]))


def _open(name: str, folder: Path) -> Member:
    try:
        opened = package.open_package(folder)
        package.verify(opened)
        recipe = json_format.ParseDict(opened.manifest["recipe"], pb.TrainingSpec(), ignore_unknown_fields=True)
        figures = opened.manifest["variants"][0]["metrics"]["val"]
        validation = event_pb2.SplitMetrics(split="val", **figures)
    except (DamagedPackage, KeyError, TypeError, ValueError, json_format.ParseError) as error:
        raise _damaged(name, str(error)) from error
    if recipe.selection_metric not in FIGURES:
        raise _damaged(name, "its recipe names no selection metric")
    if opened.is_ensemble:
        raise TaskFailed("MEMBERS_DIFFER", f"{name} is an ensemble itself: name its members")
    return Member(name=name, package=opened, recipe=recipe, validation=validation)


def _geometry(inputs: Preprocessing) -> str:
    """Return all but the normalisation, which is inside each graph."""
    kind = "grey" if inputs.channels == 1 else "RGB"
    return f"{inputs.size} px {kind}, {inputs.interpolation} from {inputs.resize}, version {inputs.version}"


def _damaged(name: str, why: str) -> TaskFailed:
    return TaskFailed("PACKAGE_DAMAGED", f"the package of {name} can't be used ({why}): leave it out, or train again")


def _differ(name: str, what: str) -> TaskFailed:
    return TaskFailed("MEMBERS_DIFFER", f"{name} has {what}: combine models of one data set, split and input")
