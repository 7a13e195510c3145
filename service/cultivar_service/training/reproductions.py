"""What a model version's training is repeated from, and how the repetition compares."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from cultivar.v1 import event_pb2, training_pb2, training_spec_pb2
from cultivar_contract import files, package
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.names import is_file_name
from cultivar_contract.package import DamagedPackage, Package
from cultivar_service.catalog import datasets
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import parse_version
from cultivar_service.config import Config
from cultivar_service.errors import FailedPrecondition
from cultivar_service.training.comparison import compare

_MODELS = "models/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How a training went, as far as a repetition has to know."""

    plans: list[dict[str, Any]]
    """Execution plans in the order in which they held, as the manifest has them."""
    stop_after_epochs: int = 0
    """Whole epochs of all candidates after which it was ended and its best exported; 0: it went to its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a version was made of."""

    recipe: training_spec_pb2.TrainingSpec
    """Resolved, on a data set version that is here."""
    course: Course


class Reproductions:
    """Reads the packages of versions that are to be made again."""

    def __init__(self, config: Config, catalog: Catalog) -> None:
        self._config = config
        self._catalog = catalog

    async def origin(self, name: str) -> Origin:
        """Return what a version was made of, all of which is still here.

        Args:
            name: `models/flowers/versions/3`.

        Raises:
            FailedPrecondition: PACKAGE_DAMAGED, or DATASET_GONE, SOURCE_VERSION_GONE, WEIGHTS_GONE.
        """
        manifest = (await asyncio.to_thread(self._open, name)).manifest
        if "combination" in manifest:
            raise FailedPrecondition(
                f"{name} was made of other versions, without training: reproduce its members", reason="COMBINED_MODEL"
            )
        try:
            recipe = json_format.ParseDict(
                manifest["recipe"], training_spec_pb2.TrainingSpec(), ignore_unknown_fields=True
            )
            digest = str(manifest["dataset"]["digest"])
            plans = [dict(one) for one in manifest["plans"]]
            stop_after_epochs = int(manifest.get("stopped_after_epochs", 0))
            initial = str((manifest.get("weights") or {}).get("sha256", ""))
        except (KeyError, TypeError, ValueError, AttributeError, json_format.ParseError) as error:
            raise _damaged(name, f"its manifest lacks {error}") from error
        if not plans:
            raise _damaged(name, "its manifest names no plan")
        if recipe.architecture not in ARCHITECTURES:
            raise _damaged(name, f"this service knows no {recipe.architecture!r}")
        found = await self._catalog.read(lambda connection: datasets.by_digest(connection, digest, recipe.dataset))
        if found is None:
            raise FailedPrecondition(
                f"the data set that {name} was trained on, {recipe.dataset} with digest {digest[:12]}, is gone: "
                "import it again",
                reason="DATASET_GONE",
            )
        recipe.dataset = found
        await asyncio.to_thread(self._check_weights, name, recipe, initial)
        return Origin(recipe=recipe, course=Course(plans=plans, stop_after_epochs=stop_after_epochs))

    async def course(self, name: str) -> Course:
        """Return how a version's training went.

        Raises:
            FailedPrecondition: as for `origin`.
        """
        return (await self.origin(name)).course

    async def compare(self, job: training_pb2.TrainingJob, folder: Path) -> event_pb2.Reproduction:
        """Compare a job's package with the version that the job reproduces; asking again gives the same answer.

        Raises:
            FailedPrecondition: PACKAGE_DAMAGED: the version was deleted meanwhile, or one of both can't be read.
        """

        def read() -> event_pb2.Reproduction:
            then = self._open(job.reproduces)
            try:
                return compare(then, package.open_package(folder))
            except DamagedPackage as error:
                raise _damaged(job.reproduces, str(error)) from error

        return await asyncio.to_thread(read)

    def _open(self, name: str) -> Package:
        try:
            return package.open_package(self._folder(name))
        except DamagedPackage as error:
            raise _damaged(name, str(error)) from error

    def _folder(self, name: str) -> Path:
        model, version = parse_version(name)
        return self._config.models / model / str(version)

    def _check_weights(self, name: str, recipe: training_spec_pb2.TrainingSpec, expected: str) -> None:
        """Check that the weights that a version started from are here; those of torchvision's enums can be fetched."""
        weights = recipe.weights
        if weights.startswith(_MODELS):
            path, reason = self._folder(weights) / "weights.npz", "SOURCE_VERSION_GONE"
        elif weights and weights not in ARCHITECTURES[recipe.architecture].weights and is_file_name(weights):
            path, reason = self._config.weights_dir / weights, "WEIGHTS_GONE"
        else:
            return
        if not path.is_file() or files.sha256_file(path) != expected:
            raise FailedPrecondition(
                f"{weights}, whose weights {name} started from, is gone or another one now: bring back those with "
                f"sha256 {expected[:12]}",
                reason=reason,
            )


def _damaged(name: str, why: str) -> FailedPrecondition:
    return FailedPrecondition(f"{name} can't be repeated: {why}", reason="PACKAGE_DAMAGED")
