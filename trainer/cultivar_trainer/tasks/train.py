"""Task train: from a recipe to a proved model package."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cultivar.v1 import event_pb2, state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files, tasks
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.preprocessing import Preprocessing
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer import batches, execution, features, finetuning, loop, normalisation, report
from cultivar_trainer.augmentation import mixing, pipeline
from cultivar_trainer.batches import AugmentedPixels, CachedFeatures, PlainPixels, TrainingData
from cultivar_trainer.checkpoint import Checkpoints
from cultivar_trainer.datasets.selection import Selection, select
from cultivar_trainer.datasets.stores import Caches, PixelStore, aspect_store, pixel_store
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.execution import Plan
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks import weights
from cultivar_trainer.networks.builders import Built, build
from cultivar_trainer.networks.network import Network
from cultivar_trainer.packaging import PackageInputs, write_package


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    """All that training needs, on the device."""

    selection: Selection
    preprocessing: Preprocessing
    stores: dict[str, PixelStore]
    train: PlainPixels | AugmentedPixels
    validation: PlainPixels
    built: Built

    @property
    def network(self) -> Network:
        return self.built.network


def run(run_directory: RunDirectory, request: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Leave a model package in RUN_DIR/package; the answer summarises it."""
    asked = tasks.from_json(tasks.TrainRequest, request)
    recipe = asked.spec()
    with _memory_told(recipe):
        return _run(run_directory, asked, recipe, journal)


def _run(
    run_directory: RunDirectory, asked: tasks.TrainRequest, recipe: pb.TrainingSpec, journal: Journal
) -> dict[str, Any]:
    journal.phase(state_pb2.TRAINING_PHASE_PREPARING)
    plan = execution.plan(recipe)
    execution.apply(plan)
    files.write_json(run_directory.plan, plan.to_json())
    caches = Caches(Path(asked.caches), asked.cache_budget_bytes)
    with DatasetVersion(Path(asked.dataset)) as dataset:
        prepared = _prepare(asked, recipe, plan, dataset, caches, journal)
        digest = finetuning.freeze_digest(prepared.network)
        shutil.rmtree(run_directory.checkpoint, ignore_errors=True)
        history = _train(recipe, plan, prepared, Checkpoints(run_directory.checkpoint), caches, journal)
        digest = finetuning.check_frozen(prepared.network, digest)
        report.write_history(run_directory.path / "history.json", history, recipe.selection_metric)
        report.write_curves(run_directory.path / "curves.svg", history)
        return write_package(
            run_directory,
            PackageInputs(
                job=asked.job,
                recipe=recipe,
                plan=plan,
                network=prepared.network,
                weights=prepared.built.weights,
                freeze_digest=digest,
                dataset=dataset,
                selection=prepared.selection,
                preprocessing=prepared.preprocessing,
                stores=prepared.stores,
                history=history,
            ),
            journal,
        )


@contextmanager
def _memory_told(recipe: pb.TrainingSpec) -> Iterator[None]:
    """Turn running out of memory, on the GPU or the host, into a failure with a remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch's allocator for the CPU raises a plain RuntimeError.
        known = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
        if not known:
            raise
        raise TaskFailed(
            "OUT_OF_MEMORY",
            f"memory does not suffice for batch_size {recipe.batch_size} at {recipe.input.size} px: use less of either",
        ) from error


def _prepare(
    asked: tasks.TrainRequest,
    recipe: pb.TrainingSpec,
    plan: Plan,
    dataset: DatasetVersion,
    caches: Caches,
    journal: Journal,
) -> _Prepared:
    started = time.perf_counter()
    architecture = ARCHITECTURES[recipe.architecture]
    preprocessing = architecture.preprocessing(recipe)
    selection = select(dataset, recipe.data, with_test=recipe.test_evaluation == pb.TEST_EVALUATION_AT_END)
    stores = {
        split: pixel_store(dataset, samples, preprocessing, caches, journal)
        for split, samples in selection.splits.items()
        if split != "test"  # test data are read once, at the end
    }
    if recipe.input.normalisation in normalisation.MEASURED:
        preprocessing = _measure(recipe, stores["train"], preprocessing, journal)
    device = torch.device(plan.device)
    layout = torch.channels_last if plan.memory_format == "channels_last" else torch.contiguous_format
    train, validation = (
        batches.plain_pixels(stores[split], [one.label for one in selection.splits[split]], device, layout)
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
    return _Prepared(
        selection=selection,
        preprocessing=preprocessing,
        stores=stores,
        train=augmented or train,
        validation=validation,
        built=_build(asked, recipe, plan, preprocessing, len(selection.classes), journal),
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
    preprocessing: Preprocessing,
    num_classes: int,
    journal: Journal,
) -> Built:
    file = None
    if recipe.weights:
        file = weights.find(recipe.architecture, recipe.weights, Path(asked.weights), Path(asked.downloads), journal)
    built = build(recipe, num_classes, file)
    for buffer, values in ((built.network.mean, preprocessing.mean), (built.network.std, preprocessing.std)):
        buffer.copy_(torch.tensor(values)[None, :, None, None])
    layout = torch.channels_last if plan.memory_format == "channels_last" else torch.contiguous_format
    built.network.to(torch.device(plan.device), memory_format=layout)  # type: ignore[call-overload]
    finetuning.freeze(built.network, recipe.mode)
    journal.network_built(
        event_pb2.NetworkBuilt(
            parameters=sum(one.numel() for one in built.network.parameters()),
            trainable_parameters=sum(one.numel() for one in finetuning.trainable_parameters(built.network)),
            weights=built.weights,
        ),
        plan.to_json(),
    )
    return built


def _train(
    recipe: pb.TrainingSpec,
    plan: Plan,
    prepared: _Prepared,
    checkpoints: Checkpoints,
    caches: Caches,
    journal: Journal,
) -> loop.History:
    network = prepared.network
    train: TrainingData = prepared.train
    validation: PlainPixels | CachedFeatures = prepared.validation
    forward = network.__call__
    views = recipe.execution.feature_views
    if _caches_features(recipe) and (views or isinstance(prepared.train, PlainPixels)):
        journal.phase(state_pb2.TRAINING_PHASE_CACHING_FEATURES)
        train, validation = (
            features.cached_features(
                network,
                pixels,
                split=split,
                pixels_key=prepared.stores[split].key,
                plan=plan,
                caches=caches,
                journal=journal,
                views=split_views,
            )
            for split, pixels, split_views in (
                ("train", prepared.train, max(1, views)),
                ("val", prepared.validation, 1),
            )
        )
        forward = network.classify
    journal.phase(state_pb2.TRAINING_PHASE_TRAINING)
    return loop.fit(
        network,
        forward=forward,
        train=train,
        validation=validation,
        num_classes=len(prepared.selection.classes),
        recipe=recipe,
        plan=plan,
        checkpoints=checkpoints,
        journal=journal,
    )


def _caches_features(recipe: pb.TrainingSpec) -> bool:
    wanted = recipe.mode == pb.FINE_TUNING_MODE_HEAD and recipe.execution.feature_cache == pb.FEATURE_CACHE_AUTO
    return wanted and not mixing.is_mixed(recipe.augmentation)  # mixing is of pixels
