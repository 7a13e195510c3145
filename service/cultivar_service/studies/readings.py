"""Measures trials' models on test images, after the winner is chosen: each model once, as the seal counts it."""

from contextlib import aclosing

from cultivar.v1 import dataset_pb2, event_pb2, study_pb2
from cultivar_service.catalog import datasets, models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import dataset_not_found, model_not_found, parse_dataset, parse_version
from cultivar_service.errors import FailedPrecondition
from cultivar_service.training.version_evaluations import VersionEvaluations


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

    def __init__(self, catalog: Catalog, evaluations: VersionEvaluations) -> None:
        self._catalog = catalog
        self._evaluations = evaluations

    async def read(self, dataset_name: str, version: str) -> event_pb2.SplitMetrics:
        """Return a model version's figures on the test images that its job selected.

        Args:
            dataset_name: `datasets/flowers/versions/2`, which the version was trained on.
            version: `models/flowers/versions/3`.

        Raises:
            CultivarError: it can't be measured.
        """
        reference = parse_dataset(dataset_name)
        dataset = await self._catalog.read(lambda connection: datasets.find(connection, reference))
        if dataset is None:
            raise dataset_not_found(dataset_name)
        split = find_test_split(dataset)
        if split is None:
            raise FailedPrecondition(f"{dataset_name} has no test images", reason="EMPTY_SPLIT")
        model, number = parse_version(version)
        resource = await self._catalog.read(lambda connection: models.get_version(connection, model, number))
        if resource is None:
            raise model_not_found(version)
        async with aclosing(self._evaluations.evaluate(resource, dataset, split)) as updates:
            async for update in updates:
                if update.HasField("evaluation"):
                    return update.evaluation.metrics
        raise AssertionError("an evaluation ends with its figures or an error")
