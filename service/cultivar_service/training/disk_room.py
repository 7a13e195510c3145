"""Whether the disk has room for what a job is going to write."""

import asyncio

from cultivar.v1 import dataset_pb2, training_pb2, training_spec_pb2
from cultivar_contract import derived
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.run_directory import RunDirectory
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.datasets import find
from cultivar_service.catalog.job_record import identifier
from cultivar_service.catalog.references import parse_dataset
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config

_PARAMETER_BYTES = 4
_CHECKPOINT_COPIES = 15
"""Copies of what learns: the newest checkpoint, the one before and one being written have weights, average and two
moments each, the best epoch and the selected one only weights, and one of them may be being written."""
_PACKAGE_COPIES = 2
"""Copies of all weights in a package: the graph and weights.npz."""
_CROP_SIDE = 1.15
"""Shorter side of the images that training crops from, in inputs."""
_ASPECT = 4 / 3
"""Longer side over shorter side of a usual photograph."""


class DiskRoom:
    """Compares free space with what jobs are expected to write."""

    def __init__(self, config: Config, catalog: Catalog, storage: DataDirectory) -> None:
        self._caches = config.caches
        self._runs = config.runs
        self._catalog = catalog
        self._storage = storage

    async def check(self, job: training_pb2.TrainingJob) -> None:
        """Check that a job can start.

        Raises:
            InsufficientDisk: it can't. It may later: nothing is wrong with the job.
        """
        reference = parse_dataset(job.recipe.dataset)
        dataset = await self._catalog.read(lambda connection: find(connection, reference))
        await asyncio.to_thread(self._check, job, dataset or dataset_pb2.Dataset())

    def _check(self, job: training_pb2.TrainingJob, dataset: dataset_pb2.Dataset) -> None:
        # Stores are in the caches already, or older entries of the caches make room for them.
        given_back = sum(entry.size_bytes for entry in derived.entries(self._caches))
        checkpoint = RunDirectory(self._runs / identifier(job)).checkpoint
        written = sum(file.stat().st_size for file in checkpoint.glob("*"))  # by earlier attempts
        combines = job.HasField("combination")
        self._storage.check_free_space(
            (_PARAMETER_BYTES * job.combination.parameters * _PACKAGE_COPIES if combines else package_bytes(job.recipe))
            + (0 if job.export_only or combines else max(0, checkpoint_bytes(job.recipe) - written))
            + max(0, store_bytes(job.recipe, dataset) - given_back)
        )


def package_bytes(recipe: training_spec_pb2.TrainingSpec) -> int:
    """Return about how many bytes a job's package takes."""
    return _weights_bytes(recipe) * _PACKAGE_COPIES


def checkpoint_bytes(recipe: training_spec_pb2.TrainingSpec) -> int:
    """Return about how many bytes a job's checkpoints take together, at most."""
    only_head_learns = recipe.mode == training_spec_pb2.FINE_TUNING_MODE_HEAD
    return 0 if only_head_learns else _weights_bytes(recipe) * _CHECKPOINT_COPIES


def store_bytes(recipe: training_spec_pb2.TrainingSpec, dataset: dataset_pb2.Dataset) -> int:
    """Return about how many bytes the decoded training and validation images take."""
    counts = {one.split: one.image_count for one in dataset.splits}
    pixels = recipe.input.size**2 * recipe.input.channels
    train = counts.get(dataset_pb2.SPLIT_TRAIN, 0) * pixels * _CROP_SIDE**2 * _ASPECT
    return round(train + counts.get(dataset_pb2.SPLIT_VAL, 0) * pixels)


def _weights_bytes(recipe: training_spec_pb2.TrainingSpec) -> int:
    return ARCHITECTURES[recipe.architecture].parameters * _PARAMETER_BYTES
