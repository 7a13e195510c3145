"""The parts of TrainingService and ModelService that measure a model on a data set."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

from cultivar.v1 import dataset_pb2, evaluation_pb2
from cultivar_contract import files
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.violations import Violation
from cultivar_service.api.lookup import file_names, missing_dataset, ready_dataset
from cultivar_service.caller import Caller
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.datasets import SPLIT_NAMES
from cultivar_service.config import Config
from cultivar_service.errors import InvalidRequest, required, shown
from cultivar_service.serving.resolver import Resolver
from cultivar_service.training.evaluations import Evaluations, Subject
from cultivar_service.training.version_evaluations import VersionEvaluations


class EvaluationApi:
    """Answers what TrainingService and ModelService say of figures."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        resolver: Resolver,
        evaluations: Evaluations,
        version_evaluations: VersionEvaluations,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._resolver = resolver
        self._evaluations = evaluations
        self._version_evaluations = version_evaluations

    async def evaluate_architecture(
        self, request: evaluation_pb2.EvaluateArchitectureRequest, _: Caller
    ) -> AsyncIterator[evaluation_pb2.EvaluationUpdate]:
        """Answer how far the evaluation of published weights is, then its result."""
        weight_files = await asyncio.to_thread(file_names, self._config.weights_dir)
        violations = _check_weights(request, weight_files)
        dataset = await ready_dataset(self._catalog, request.dataset, "dataset")
        split, wrong = _split(dataset, request.split)
        if dataset is None or split is None or violations + wrong:
            raise InvalidRequest(violations + wrong)
        identity = request.weights
        if request.weights not in ARCHITECTURES[request.architecture].weights:
            identity = await asyncio.to_thread(files.sha256_file, self._config.weights_dir / request.weights)
        subject = Subject(
            digest=hashlib.sha256(json.dumps([request.architecture, identity]).encode()).hexdigest(),
            architecture=request.architecture,
            weights=request.weights,
        )
        class_ids = [one.id for one in dataset.classes]
        updates = self._evaluations.evaluate(subject, dataset, split, class_ids=class_ids)
        async with aclosing(updates):
            async for update in updates:
                yield update

    async def evaluate_model_version(
        self, request: evaluation_pb2.EvaluateModelVersionRequest, _: Caller
    ) -> AsyncIterator[evaluation_pb2.EvaluationUpdate]:
        """Answer how far the evaluation of a model version is, then its result."""
        required(request.name, "name")
        version = await self._resolver.ready(request.name, "name")
        dataset = await ready_dataset(self._catalog, request.dataset, "dataset")
        split, wrong = _split(dataset, request.split)
        if dataset is None or split is None or wrong:
            raise InvalidRequest(wrong)
        async with aclosing(self._version_evaluations.evaluate(version, dataset, split)) as updates:
            async for update in updates:
                yield update


def _check_weights(request: evaluation_pb2.EvaluateArchitectureRequest, weight_files: list[str]) -> list[Violation]:
    violations = []
    architecture = ARCHITECTURES.get(request.architecture)
    published = sorted(name for name, one in ARCHITECTURES.items() if one.weights)
    if architecture is None or not architecture.weights:
        fact = f"{shown(request.architecture)} has no published weights" if request.architecture else "is required"
        message = f"{fact}: use one of {', '.join(published)}, or evaluate a model"
        violations.append(Violation(field="architecture", message=message))
    if not request.weights:
        violations.append(Violation(field="weights", message="is required: `cultivar architectures` lists them"))
    elif (
        architecture is not None and request.weights not in architecture.weights and request.weights not in weight_files
    ):
        members = ", ".join(sorted(architecture.weights))
        message = f"{shown(request.weights)} is unknown: use {members or 'those of another network'}, or the name of a "
        violations.append(Violation(field="weights", message=message + "file in the service's weights folder"))
    return violations


def _split(dataset: dataset_pb2.Dataset | None, asked: int) -> tuple[dataset_pb2.DatasetSplit | None, list[Violation]]:
    """Return the split that is asked for, by default the test split where there is one."""
    if asked and asked not in SPLIT_NAMES:
        return None, [Violation(field="split", message=f"{asked} is no split: use those of Split")]
    if dataset is None:
        return None, [missing_dataset("dataset")]
    found = {int(one.split): one for one in dataset.splits if one.image_count}
    split = found.get(asked) if asked else found.get(dataset_pb2.SPLIT_TEST) or found.get(dataset_pb2.SPLIT_VAL)
    if split is not None:
        return split, []
    name = SPLIT_NAMES[asked] if asked else "test and val"  # type: ignore[index]
    has = ", ".join(SPLIT_NAMES[one.split] for one in found.values())
    return None, [Violation(field="split", message=f"{dataset.name} has no {name} images: use {has}")]
