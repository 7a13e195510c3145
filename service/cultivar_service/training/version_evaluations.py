"""Measures model versions: which images are meant, what is known of them, and which stay sealed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from cultivar.v1 import dataset_pb2, evaluation_pb2, model_pb2
from cultivar.v1 import training_spec_pb2 as spec_pb2
from cultivar_contract import package
from cultivar_contract.package import DamagedPackage
from cultivar_contract.violations import Violation
from cultivar_service.catalog import readings
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.datasets import SPLIT_NAMES
from cultivar_service.catalog.references import parse_version
from cultivar_service.config import Config
from cultivar_service.errors import FailedPrecondition, InvalidRequest
from cultivar_service.training.evaluations import Evaluations, Subject

_NEVER = spec_pb2.TestEvaluation.Name(spec_pb2.TEST_EVALUATION_NEVER)


class VersionEvaluations:
    """Evaluations of READY versions.

    On the data set version that a model was trained on, a split means the images that its job selected of it; so a
    deferred test gives what the job would have measured at its end.
    """

    def __init__(self, config: Config, catalog: Catalog, evaluations: Evaluations) -> None:
        self._config = config
        self._catalog = catalog
        self._evaluations = evaluations

    async def evaluate(
        self, version: model_pb2.ModelVersion, dataset: dataset_pb2.Dataset, split: dataset_pb2.DatasetSplit
    ) -> AsyncGenerator[evaluation_pb2.EvaluationUpdate, None]:
        """Yield how far the evaluation is, and at last its result.

        Args:
            version: a READY one, as the catalog has it.
            dataset: a READY version.
            split: one of its splits.

        Raises:
            InvalidRequest: the model does not know all classes.
            FailedPrecondition: TEST_SEALED: its job was never to measure these test images; PACKAGE_DAMAGED.
            TrainerNotInstalled, QueueFull, DeadlineExceeded, Unavailable: it can't be measured.
        """
        model, number = parse_version(version.name)
        folder = self._config.models / model / str(number)
        try:
            manifest = (await asyncio.to_thread(package.open_package, folder)).manifest
        except DamagedPackage as error:
            raise FailedPrecondition(f"{version.name}: {error}", reason="PACKAGE_DAMAGED") from error
        class_ids = [one.id for one in dataset.classes]
        if dataset.digest and manifest.get("dataset", {}).get("digest") == dataset.digest:
            _check_seal(manifest, version, dataset, split)
            split = readings.selected(manifest, SPLIT_NAMES[split.split]) or split
            class_ids = [one.id for one in version.classes]
        else:
            _check_classes(version, dataset)
        if not await self._catalog.read(lambda connection: readings.is_recorded(connection, manifest, version)):
            await self._catalog.write(lambda connection: readings.record(connection, manifest, version))
        subject = Subject(
            digest=version.onnx_sha256,
            model_version=version.name,
            package=str(folder.resolve()),
            architecture=version.architecture,
        )
        updates = self._evaluations.evaluate(subject, dataset, split, class_ids=class_ids)
        async with aclosing(updates):
            async for update in updates:
                yield update


def _check_seal(
    manifest: dict[str, Any],
    version: model_pb2.ModelVersion,
    dataset: dataset_pb2.Dataset,
    split: dataset_pb2.DatasetSplit,
) -> None:
    never = manifest.get("recipe", {}).get("testEvaluation") == _NEVER
    if split.split == dataset_pb2.SPLIT_TEST and never:
        raise FailedPrecondition(
            f"{version.name} was trained with test_evaluation=never: the test images of {dataset.name} stay sealed for "
            "it: train again with test_evaluation=deferred to measure them later, or use another data set",
            reason="TEST_SEALED",
            violations=[Violation(field="split", message=f"the test images of {dataset.name} are sealed")],
        )


def _check_classes(version: model_pb2.ModelVersion, dataset: dataset_pb2.Dataset) -> None:
    known = {one.id for one in version.classes}
    unknown = [one.id for one in dataset.classes if one.id not in known]
    if unknown:
        shown_ids = f"{', '.join(unknown[:5])}{' ...' if len(unknown) > 5 else ''}"
        raise InvalidRequest.at(
            "dataset",
            f"{len(unknown)} of the {len(dataset.classes)} classes of {dataset.name} are unknown to {version.name}: "
            f"{shown_ids}: use a data set of its classes",
        )
