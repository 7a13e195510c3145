"""Measures models on splits of data sets: each pair once, from then on by what was stored."""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from google.protobuf import json_format

from cultivar.v1 import dataset_pb2, evaluation_pb2, event_pb2
from cultivar_contract import files
from cultivar_contract.package import REPORT_JSON, REPORT_PAGE
from cultivar_contract.tasks import EvaluateRequest
from cultivar_service.catalog import evaluations
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.datasets import SPLIT_NAMES
from cultivar_service.catalog.references import parse_dataset
from cultivar_service.config import Config
from cultivar_service.errors import Unavailable
from cultivar_service.trainers.calls import Calls, Done

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is measured: a model package, or a network with published weights."""

    digest: str
    """sha256 that stands for it."""
    model_version: str = ""
    """`models/flowers/versions/3`."""
    package: str = ""
    """Absolute path of the package."""
    architecture: str
    """The network."""
    weights: str = ""
    """Enum member or file name, where there is no package."""

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.model_version or f"{self.architecture} {self.weights}"


@dataclass(slots=True)
class _Turn:
    """Those who ask for one measurement."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Evaluations:
    """What was measured, and how to measure more."""

    def __init__(self, config: Config, catalog: Catalog, calls: Calls) -> None:
        self._config = config
        self._catalog = catalog
        self._calls = calls
        self._turns: dict[evaluations.EvaluationKey, _Turn] = {}

    async def evaluate(
        self,
        subject: Subject,
        dataset: dataset_pb2.Dataset,
        split: dataset_pb2.DatasetSplit,
        *,
        class_ids: Sequence[str],
    ) -> AsyncGenerator[evaluation_pb2.EvaluationUpdate, None]:
        """Yield how far the evaluation is, and at last its result.

        Args:
            subject: what is measured.
            dataset: a READY version.
            split: one of its splits, or what a job selected of it, with the digest of the images that are meant.
            class_ids: those that the images' labels count.

        Raises:
            TrainerNotInstalled, QueueFull, DeadlineExceeded, Unavailable, FailedPrecondition: it can't be measured.
        """
        key = evaluations.key_of(split.digest, subject.digest, class_ids)
        async with self._turn(key):
            stored = await self._catalog.read(lambda connection: evaluations.find(connection, key))
            if stored is not None:
                yield await self._answer(_evaluation(subject, dataset, split, stored.metrics, stored=True))
                return
            async with aclosing(self._measure(subject, dataset, split, key)) as updates:
                async for update in updates:
                    yield update

    @asynccontextmanager
    async def _turn(self, key: evaluations.EvaluationKey) -> AsyncIterator[None]:
        """Let those who ask the same at the same time wait for the one reading, and find its figures."""
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[key]

    async def _measure(
        self,
        subject: Subject,
        dataset: dataset_pb2.Dataset,
        split: dataset_pb2.DatasetSplit,
        key: evaluations.EvaluationKey,
    ) -> AsyncGenerator[evaluation_pb2.EvaluationUpdate, None]:
        reference = parse_dataset(dataset.name)
        request = EvaluateRequest(
            architecture="" if subject.package else subject.architecture,
            weights=subject.weights,
            package=subject.package,
            dataset=str((self._config.datasets / reference.dataset / str(reference.version)).resolve()),
            split=SPLIT_NAMES[split.split],
            weights_folder=str(self._config.weights_dir.resolve()),
            downloads=str(self._config.downloads.resolve()),
            dataset_name=dataset.name,
        )
        reports = (REPORT_PAGE, REPORT_JSON) if subject.package else ()
        what = f"evaluating {subject.title} on {dataset.name}"
        async with aclosing(self._calls.run(request, what=what, left=reports)) as updates:
            async for update in updates:
                if isinstance(update, Done):
                    evaluation = _evaluation(subject, dataset, split, _metrics(update), stored=False)
                    await asyncio.to_thread(self._keep, key.folder, update.left)
                    await self._catalog.write(partial(evaluations.add, key=key, split=split.split, made=evaluation))
                    yield await self._answer(evaluation)
                else:
                    yield evaluation_pb2.EvaluationUpdate(progress=update)

    def _keep(self, name: str, reports: dict[str, bytes]) -> None:
        """Keep an evaluation's report, whole or not at all; its figures count even where the disk is full."""
        if not reports:
            return
        target = self._config.evaluations / name
        try:
            partial_folder = Path(tempfile.mkdtemp(dir=self._config.scratch))
            try:
                for file, data in reports.items():
                    (partial_folder / file).write_bytes(data)
                partial_folder.chmod(0o755)
                files.sync_tree(partial_folder)
                shutil.rmtree(target, ignore_errors=True)  # of a reading that was never recorded
                partial_folder.replace(target)
                files.sync_folder(target.parent)
            finally:
                shutil.rmtree(partial_folder, ignore_errors=True)
        except OSError as error:
            logger.error("the report of evaluation %s could not be kept: %s", name, error.strerror)

    async def _answer(self, evaluation: evaluation_pb2.Evaluation) -> evaluation_pb2.EvaluationUpdate:
        """Return the result, with the number of models that have been measured on its images by now."""
        evaluation.models_measured = await self._catalog.read(
            lambda connection: evaluations.models_measured(connection, evaluation.split_digest)
        )
        return evaluation_pb2.EvaluationUpdate(evaluation=evaluation)


def _metrics(done: Done) -> event_pb2.SplitMetrics:
    try:
        return json_format.ParseDict(done.value, event_pb2.SplitMetrics(), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise Unavailable(
            "the trainer's figures can't be read: evaluate again", reason="TRAINER_LOST", retry_after_s=5
        ) from error


def _evaluation(
    subject: Subject,
    dataset: dataset_pb2.Dataset,
    split: dataset_pb2.DatasetSplit,
    metrics: event_pb2.SplitMetrics,
    *,
    stored: bool,
) -> evaluation_pb2.Evaluation:
    return evaluation_pb2.Evaluation(
        model_version=subject.model_version,
        architecture=subject.architecture,
        weights=subject.weights,
        dataset=dataset.name,
        metrics=metrics,
        stored=stored,
        split_digest=split.digest,
        model_digest=subject.digest,
    )
