"""Measures trials' models on test images, after the winner is chosen: each model once, as the seal counts it."""

from collections.abc import Sequence
from contextlib import aclosing

from cultivar.v1 import dataset_pb2, event_pb2, study_pb2
from cultivar_service.catalog import datasets, models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import dataset_not_found, model_not_found, parse_dataset, parse_version
from cultivar_service.config import Config
from cultivar_service.errors import FailedPrecondition
from cultivar_service.training.evaluations import Evaluations, Subject


def to_read(study: study_pb2.TrainingStudy) -> list[study_pb2.StudyTrial]:
    """Return the trials whose models are yet to be measured on test images."""
    if study.spec.test == study_pb2.STUDY_TEST_NONE:
        return []
    each = study.spec.test == study_pb2.STUDY_TEST_EACH
    wanted = [one for one in study.trials if one.model_version and (each or one.variant == study.winner)]
    return [one for one in wanted if not one.HasField("test")]


def find_test_split(dataset: dataset_pb2.Dataset) -> dataset_pb2.DatasetSplit | None:
    """Return a data set's test split; None where it has no test images."""
    return next((one for one in dataset.splits if one.split == dataset_pb2.SPLIT_TEST and one.image_count), None)


class Readings:
    """Reads test images for studies."""

    def __init__(self, config: Config, catalog: Catalog, evaluations: Evaluations) -> None:
        self._config = config
        self._catalog = catalog
        self._evaluations = evaluations

    async def read(self, dataset_name: str, version: str) -> event_pb2.SplitMetrics:
        """Return a model version's figures on a data set version's test images.

        Args:
            dataset_name: `datasets/flowers/versions/2`.
            version: `models/flowers/versions/3`.

        Raises:
            CultivarError: it can't be measured.
        """
        dataset = await self._dataset(dataset_name)
        split = find_test_split(dataset)
        if split is None:
            raise FailedPrecondition(f"{dataset_name} has no test images", reason="EMPTY_SPLIT")
        model, number = parse_version(version)
        resource = await self._catalog.read(lambda connection: models.get_version(connection, model, number))
        if resource is None:
            raise model_not_found(version)
        known = {one.id for one in resource.classes}
        if any(one.id not in known for one in dataset.classes):
            raise FailedPrecondition(
                f"{version} knows {len(known)} of the {len(dataset.classes)} classes of {dataset_name}: whole test "
                "splits are read, so keep all classes or import a data set of these",
                reason="CLASSES_LEFT_OUT",
            )
        subject = Subject(
            digest=resource.onnx_sha256,
            model_version=version,
            package=str((self._config.models / model / str(number)).resolve()),
            architecture=resource.architecture,
        )
        async with aclosing(self._evaluations.evaluate(subject, dataset, split, None)) as updates:
            async for update in updates:
                if update.HasField("evaluation"):
                    return update.evaluation.metrics
        raise AssertionError("an evaluation ends with its figures or an error")

    async def _dataset(self, name: str) -> dataset_pb2.Dataset:
        reference = parse_dataset(name)
        found = await self._catalog.read(lambda connection: datasets.find(connection, reference))
        if found is None:
            raise dataset_not_found(name)
        return found


def warnings_of(spec: study_pb2.TrainingStudySpec, dataset: dataset_pb2.Dataset, kept: Sequence[str]) -> list[str]:
    """Say beforehand what there is to know of a study's test readings.

    Args:
        spec: the study's.
        dataset: the version that is learned from.
        kept: class ids that take part; empty: all.
    """
    if spec.test == study_pb2.STUDY_TEST_NONE or find_test_split(dataset) is None:
        return []  # that there are no test images, every recipe says
    if kept:
        return [
            "Test images will not be read: whole test splits are, and data.classes leaves out some of the data set's "
            "classes."
        ]
    data = spec.base.data
    if data.max_test_images or data.max_test_images_per_class:
        return ["Test figures are of the whole test split: the limits on test images don't count there."]
    return []
