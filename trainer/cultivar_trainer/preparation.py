"""What training needs, put on the device: selected images, preprocessing, pixels, and the network."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cultivar.v1 import event_pb2, state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import tasks
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.package import Package
from cultivar_contract.preprocessing import Preprocessing
from cultivar_trainer import batches, execution, finetuning, normalisation, tuning
from cultivar_trainer.augmentation import pipeline
from cultivar_trainer.batches import AugmentedPixels, PlainPixels
from cultivar_trainer.datasets.selection import Selection
from cultivar_trainer.datasets.stores import Caches, PixelStore, aspect_store, pixel_store
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.execution import Plan
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks import weights
from cultivar_trainer.networks.builders import Built, build
from cultivar_trainer.networks.network import Network


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """All that training needs, on the device."""

    selection: Selection
    preprocessing: Preprocessing
    stores: dict[str, PixelStore]
    train: PlainPixels | AugmentedPixels
    validation: PlainPixels
    built: Built

    @property
    def network(self) -> Network:
        """The network to train."""
        return self.built.network


def prepare(
    asked: tasks.TrainRequest,
    recipe: pb.TrainingSpec,
    plan: Plan,
    dataset: DatasetVersion,
    selection: Selection,
    source: Package | None,
    caches: Caches,
    journal: Journal,
) -> Prepared:
    """Decode what is not decoded yet, measure it where the recipe asks for that, and build the network.

    Raises:
        TaskFailed: weights are missing or don't fit.
    """
    started = time.perf_counter()
    architecture = ARCHITECTURES[recipe.architecture]
    preprocessing = architecture.preprocessing(recipe, None if source is None else source.preprocessing)
    stores = {
        split: pixel_store(dataset, samples, preprocessing, caches, journal)
        for split, samples in selection.splits.items()
        if split != "test"  # test data are read once, at the end
    }
    if recipe.input.normalisation in normalisation.MEASURED:
        preprocessing = _measure(recipe, stores["train"], preprocessing, journal)
    device = torch.device(plan.device)
    layout = execution.layout_of(plan)
    limit = recipe.execution.memory_limit_bytes
    train, validation = (
        batches.plain_pixels(stores[split], [one.label for one in selection.splits[split]], device, layout, limit)
        for split in ("train", "val")
    )
    augmented = None
    if pipeline.is_augmented(recipe.augmentation):
        resized = recipe.augmentation.resized_crop > 0
        augmented = AugmentedPixels(
            plain=train,
            aspect=aspect_store(dataset, selection.splits["train"], preprocessing, caches, journal)
            if resized
            else None,
            labels=train.labels,
            spec=recipe.augmentation,
            seed=recipe.seed,
            size=recipe.input.size,
        )
    journal.data_prepared(
        event_pb2.DataPrepared(
            splits=selection.summary(),
            sample_shape=[preprocessing.channels, recipe.input.size, recipe.input.size],
            seconds=time.perf_counter() - started,
        )
    )
    return Prepared(
        selection=selection,
        preprocessing=preprocessing,
        stores=stores,
        train=augmented or train,
        validation=validation,
        built=_build(asked, recipe, plan, selection, preprocessing, source, journal),
    )


def _measure(
    recipe: pb.TrainingSpec, store: PixelStore, preprocessing: Preprocessing, journal: Journal
) -> Preprocessing:
    """Return the preprocessing with the mean and standard deviation, or minimum and range, of the training images."""
    spec = recipe.input
    measured = normalisation.measure(store.images, spec.normalisation, ratio=spec.normalisation_ratio, seed=recipe.seed)
    for channel in measured.constant_channels:
        journal.warning(
            f"channel {channel + 1} has one value in all {measured.image_count} training images that were measured, so "
            "it is not scaled: look at the images, or use another input.normalisation"
        )
    journal.normalisation_measured(
        event_pb2.NormalisationMeasured(mean=measured.mean, std=measured.std, image_count=measured.image_count)
    )
    return replace(preprocessing, mean=measured.mean, std=measured.std)


def _build(
    asked: tasks.TrainRequest,
    recipe: pb.TrainingSpec,
    plan: Plan,
    selection: Selection,
    preprocessing: Preprocessing,
    source: Package | None,
    journal: Journal,
) -> Built:
    file = None
    if source is not None:
        file = weights.of_package(recipe.weights, source.path)
    elif recipe.weights:
        file = weights.find(recipe.architecture, recipe.weights, Path(asked.weights), Path(asked.downloads), journal)
    class_ids = tuple(one.id for one in selection.classes)
    built = build(
        recipe,
        len(class_ids),
        mean=preprocessing.mean,
        std=preprocessing.std,
        weights=file,
        # A head that knows the same classes goes on learning; any other is new, as is that of a network cut here.
        keep_head=source is not None
        and source.class_ids == class_ids
        and recipe.retain_blocks == int(source.manifest["recipe"].get("retainBlocks", 0)),
    )
    built.network.to(torch.device(plan.device), memory_format=execution.layout_of(plan))  # type: ignore[call-overload]
    finetuning.freeze(built.network, recipe)
    journal.network_built(
        event_pb2.NetworkBuilt(
            parameters=sum(one.numel() for one in built.network.parameters()),
            trainable_parameters=sum(one.numel() for one in finetuning.trainable_parameters(built.network)),
            weights=built.weights,
        ),
        plan.to_json(),
    )
    return built


def tune(plan: Plan, prepared: Prepared, journal: Journal) -> Plan:
    """Measure which plan is the fastest, and put network and data into its memory format."""
    count = min(plan.micro_batch, len(prepared.train.labels))
    chosen, figures = tuning.measured(plan, prepared.network, prepared.train.inputs(torch.arange(count), 0))
    prepared.network.to(memory_format=execution.layout_of(chosen))
    train = prepared.train.plain if isinstance(prepared.train, AugmentedPixels) else prepared.train
    train.memory_format = prepared.validation.memory_format = execution.layout_of(chosen)
    event = event_pb2.PlanChanged(reason=f"measured: {figures}", phase=state_pb2.TRAINING_PHASE_PREPARING)
    journal.plan_changed(event, chosen.to_json())
    return chosen
