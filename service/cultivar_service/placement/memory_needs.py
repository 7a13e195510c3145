"""What a job will take: what jobs of its shape took before, else an estimate."""

from collections import OrderedDict
from dataclasses import dataclass

import sqlalchemy as sa
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from cultivar.v1 import state_pb2, training_pb2, training_spec_pb2
from cultivar_contract import memory
from cultivar_service.catalog import datasets, memory_peaks
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.memory_peaks import Peak
from cultivar_service.catalog.references import parse_dataset

_MOST_REMEMBERED = 1000
_SHAPE = FieldMask(
    paths=[
        # The data set, because its pixels stay on the GPU where they fit.
        *("dataset", "data", "architecture", "mode", "last_blocks", "trainable", "retain_blocks", "network"),
        *("input.size", "input.channels", "batch_size", "optimizer.kind", "optimizer.ema_share"),
        *("optimizer.learning_rates", "optimizer.weight_decays"),
        *("execution.micro_batch", "execution.feature_cache", "execution.feature_views"),
        "execution.memory_limit_bytes",
    ]
)
"""The fields that memory depends on. The rest of a plan follows from them and the device; where long jobs are compiled
and short ones are not, the larger peak stands for both."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryPrediction:
    """What a job is expected to take."""

    peak: Peak
    is_measured: bool
    """Whether jobs of its shape were measured; else it is an estimate from above."""
    source: str
    """Where it comes from, as reasons say it."""


class MemoryNeeds:
    """Predicts what jobs take, and remembers what they took."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        # All jobs that wait are predicted again whenever one ends.
        self._remembered: OrderedDict[tuple[str, int], MemoryPrediction] = OrderedDict()

    async def predict(self, job: training_pb2.TrainingJob, *, gpu_total_bytes: int) -> MemoryPrediction:
        """Predict a job's peak.

        Args:
            job: its recipe is resolved.
            gpu_total_bytes: memory of the largest GPU that it may run on; 0: it runs on the CPU.
        """
        recipe = job.recipe
        if job.HasField("combination"):
            return _of_combination(job, gpu_total_bytes)
        key = (_shape(recipe, on_gpu=gpu_total_bytes > 0), gpu_total_bytes)
        if key not in self._remembered:
            self._remembered[key] = await self._look_up(recipe, *key)
        self._remembered.move_to_end(key)
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return self._remembered[key]

    async def learn(self, recipe: training_spec_pb2.TrainingSpec, peak: Peak, *, on_gpu: bool) -> None:
        """Remember what a job has taken, for later jobs of its shape."""
        shape = _shape(recipe, on_gpu=on_gpu)
        await self._catalog.write(lambda connection: memory_peaks.raise_to(connection, shape, peak))
        for key in [key for key in self._remembered if key[0] == shape]:
            del self._remembered[key]

    async def _look_up(
        self, recipe: training_spec_pb2.TrainingSpec, shape: str, gpu_total_bytes: int
    ) -> MemoryPrediction:
        def read(connection: sa.Connection) -> tuple[Peak | None, dict[str, int], int]:
            dataset = datasets.find(connection, parse_dataset(recipe.dataset))
            facts = None if dataset is None else datasets.facts(dataset)
            counts = {} if facts is None else {split: sum(images) for split, images in facts.counts.items()}
            classes = 0 if facts is None else len(facts.class_ids)
            return memory_peaks.find(connection, shape), counts, classes

        peak, counts, classes = await self._catalog.read(read)
        if peak is not None:
            return MemoryPrediction(peak=peak, is_measured=True, source=f"measured for {_title(recipe)}")
        found = memory.estimate(recipe, counts, max(2, classes), gpu_total_bytes=gpu_total_bytes)
        peak = Peak(gpu_bytes=found.gpu_bytes, host_bytes=found.host_bytes)
        return MemoryPrediction(peak=peak, is_measured=False, source=f"estimated for {_title(recipe)}")


def _of_combination(job: training_pb2.TrainingJob, gpu_total_bytes: int) -> MemoryPrediction:
    found = memory.estimate_combination(job.recipe, job.combination.parameters, gpu_total_bytes=gpu_total_bytes)
    return MemoryPrediction(
        peak=Peak(gpu_bytes=found.gpu_bytes, host_bytes=found.host_bytes),
        is_measured=False,
        source=f"estimated for {len(job.combination.members)} members",
    )


def measured(job: training_pb2.TrainingJob) -> Peak:
    """Return what a job was measured to take: after its first update, and in its latest epoch with its validation."""
    epoch = job.latest_epoch
    in_epoch = epoch.gpu_memory_bytes + memory.CUDA_CONTEXT_BYTES if epoch.HasField("gpu_memory_bytes") else 0
    return Peak(
        gpu_bytes=max(job.memory.gpu_bytes, in_epoch),
        host_bytes=max(job.memory.host_bytes, epoch.host_memory_bytes),
    )


def is_in_last_phase(job: training_pb2.TrainingJob) -> bool:
    """Tell whether what a job was measured to take is what it takes at its peak: GRADUAL begins with the head alone."""
    gradual = job.recipe.mode == training_spec_pb2.FINE_TUNING_MODE_GRADUAL
    return not gradual or job.latest_epoch.phase == state_pb2.TRAINING_PHASE_TRAINING


def _shape(recipe: training_spec_pb2.TrainingSpec, *, on_gpu: bool) -> str:
    kept = training_spec_pb2.TrainingSpec()
    _SHAPE.MergeMessage(recipe, kept)
    return f"{'cuda' if on_gpu else 'cpu'} {json_format.MessageToJson(kept, indent=None, sort_keys=True)}"


def _title(recipe: training_spec_pb2.TrainingSpec) -> str:
    mode = training_spec_pb2.FineTuningMode.Name(recipe.mode).removeprefix("FINE_TUNING_MODE_").lower()
    batch = recipe.execution.micro_batch or recipe.batch_size or "of all images"
    return f"{recipe.architecture} {mode.replace('_', ' ')} {recipe.input.size} px batch {batch}"
