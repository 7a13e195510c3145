"""Task train: from a recipe to a proved model package."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cultivar.v1 import event_pb2, state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files, package, tasks
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.package import Package
from cultivar_contract.preprocessing import Preprocessing
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer import batches, execution, features, finetuning, losses, normalisation, report, tuning
from cultivar_trainer.augmentation import mixing, pipeline
from cultivar_trainer.batches import AugmentedPixels, PlainPixels, TrainingData, ValidationData
from cultivar_trainer.checkpoint import Checkpoints, movable_names, restore_tensors
from cultivar_trainer.datasets.selection import Selection, select
from cultivar_trainer.datasets.stores import Caches, PixelStore, aspect_store, pixel_store
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.execution import Plan
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.candidates import candidates, search
from cultivar_trainer.loop.fit import make_room
from cultivar_trainer.loop.head_search import search_heads
from cultivar_trainer.loop.history import Histories, History
from cultivar_trainer.loop.job import HEAD_WARMUP, TRAINING, Job, Phase
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
    execution.apply(plan, recipe.execution.memory_limit_bytes)
    files.write_json(run_directory.plan, plan.to_json())
    caches = Caches(Path(asked.caches), asked.cache_budget_bytes)
    source = package.open_package(Path(asked.source)) if asked.source else None
    with DatasetVersion(Path(asked.dataset)) as dataset:
        prepared = _prepare(asked, recipe, plan, dataset, source, caches, journal)
        if recipe.execution.tuning == pb.TUNING_MEASURED:
            plan = _tune(plan, prepared, journal)
            files.write_json(run_directory.plan, plan.to_json())
        certificate = finetuning.freeze_certificate(prepared.network)
        shutil.rmtree(run_directory.checkpoint, ignore_errors=True)
        job = Job(
            recipe=recipe,
            network=prepared.network,
            num_classes=len(prepared.selection.classes),
            class_weights=_class_weights(recipe, prepared.selection, plan),
            checkpoints=Checkpoints(run_directory.checkpoint),
            journal=journal,
            movable=movable_names(prepared.network),
            plan=plan,
        )
        histories = _train(job, prepared, caches)
        digest = finetuning.check_frozen(prepared.network, certificate)
        report.write_history(run_directory.path / "history.json", histories, recipe.selection_metric)
        report.write_curves(run_directory.path / "curves.svg", histories.best)
        return write_package(
            run_directory,
            PackageInputs(
                job=asked.job,
                recipe=recipe,
                plan=job.plan,
                plans=job.plans,
                network=prepared.network,
                weights=prepared.built.weights,
                source=source,
                freeze_digest=digest,
                dataset=dataset,
                selection=prepared.selection,
                preprocessing=prepared.preprocessing,
                stores=prepared.stores,
                histories=histories,
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
    source: Package | None,
    caches: Caches,
    journal: Journal,
) -> _Prepared:
    started = time.perf_counter()
    architecture = ARCHITECTURES[recipe.architecture]
    preprocessing = architecture.preprocessing(recipe, None if source is None else source.preprocessing)
    selection = select(dataset, recipe.data, with_test=recipe.test_evaluation == pb.TEST_EVALUATION_AT_END)
    stores = {
        split: pixel_store(dataset, samples, preprocessing, caches, journal)
        for split, samples in selection.splits.items()
        if split != "test"  # test data are read once, at the end
    }
    if recipe.input.normalisation in normalisation.MEASURED:
        preprocessing = _measure(recipe, stores["train"], preprocessing, journal)
    device = torch.device(plan.device)
    layout = execution.layout_of(plan)
    train, validation = (
        batches.plain_pixels(
            stores[split],
            [one.label for one in selection.splits[split]],
            device,
            layout,
            recipe.execution.memory_limit_bytes,
        )
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


def _class_weights(recipe: pb.TrainingSpec, selection: Selection, plan: Plan) -> torch.Tensor | None:
    counts = [0] * len(selection.classes)
    for sample in selection.splits["train"]:
        counts[sample.label] += 1
    found = losses.class_weights(recipe.loss, [one.id for one in selection.classes], counts)
    return None if found is None else found.to(plan.device)


def _train(job: Job, prepared: _Prepared, caches: Caches) -> Histories:
    """Train every phase of every candidate; the network keeps the selected weights."""
    recipe, several = job.recipe, len(candidates(job.recipe)) > 1
    on_features = _backbone_rests(job.network) and _caches_features(recipe)
    data = _on_features(job, prepared, caches) if on_features else _on_pixels(job, prepared)
    if recipe.mode != pb.FINE_TUNING_MODE_GRADUAL:
        job.journal.phase(state_pb2.TRAINING_PHASE_TRAINING)
        if several and on_features:
            try:
                return search_heads(job, _phase(job, TRAINING, History(), data, number=0))
            except torch.OutOfMemoryError:
                pass  # goes on outside: the exception holds the frames that hold the tensors
            make_room(job)
            job.plans.clear()
            job.journal.warning("memory does not suffice for all candidates at once: they train one after the other")
        return search(job, lambda history, number: iter([_phase(job, TRAINING, history, data, number)]))

    finetuning.freeze(job.network, recipe, head_only=True)
    head_data = _on_features(job, prepared, caches) if _caches_features(recipe) else data

    def phases(history: History, number: int) -> Iterator[Phase]:
        finetuning.freeze(job.network, recipe, head_only=True)
        certificate = finetuning.freeze_certificate(job.network)
        job.journal.phase(HEAD_WARMUP)
        yield _phase(job, HEAD_WARMUP, history, head_data, number)
        finetuning.check_frozen(job.network, certificate)
        restore_tensors(job.network, job.checkpoints.load_best()["tensors"])
        finetuning.freeze(job.network, recipe)
        job.journal.phase(state_pb2.TRAINING_PHASE_TRAINING)
        yield _phase(job, TRAINING, history, data, number)

    return search(job, phases)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Data:
    """What a phase learns from."""

    forward: Callable[[torch.Tensor], torch.Tensor]
    train: TrainingData
    validation: ValidationData


def _phase(job: Job, kind: state_pb2.TrainingPhase, history: History, data: _Data, number: int) -> Phase:
    recipe, gradual = job.recipe, job.recipe.mode == pb.FINE_TUNING_MODE_GRADUAL
    warming = kind == HEAD_WARMUP
    head_epochs = recipe.gradual.head_epochs if gradual else 0
    return Phase(
        kind=kind,
        first_epoch=len(history.epochs),
        epochs=head_epochs if warming else recipe.epochs - head_epochs,
        learning_rate=recipe.gradual.head_learning_rate if warming else history.learning_rate,
        weight_decay=history.weight_decay,
        schedule=pb.ScheduleSpec(kind=pb.SCHEDULE_KIND_CONSTANT) if warming else recipe.schedule,
        candidate=number,
        forward=data.forward,
        train=data.train,
        validation=data.validation,
    )


def _tune(plan: Plan, prepared: _Prepared, journal: Journal) -> Plan:
    """Measure which plan is the fastest, and put network and data into its memory format."""
    count = min(plan.micro_batch, len(prepared.train.labels))
    chosen, figures = tuning.measured(plan, prepared.network, prepared.train.inputs(torch.arange(count), 0))
    prepared.network.to(memory_format=execution.layout_of(chosen))
    train = prepared.train.plain if isinstance(prepared.train, AugmentedPixels) else prepared.train
    train.memory_format = prepared.validation.memory_format = execution.layout_of(chosen)
    event = event_pb2.PlanChanged(reason=f"measured: {figures}", phase=state_pb2.TRAINING_PHASE_PREPARING)
    journal.plan_changed(event, chosen.to_json())
    return chosen


def _on_pixels(job: Job, prepared: _Prepared) -> _Data:
    forward: Any = torch.compile(job.network) if job.plan.compiled else job.network.__call__
    return _Data(forward=forward, train=prepared.train, validation=prepared.validation)


def _on_features(job: Job, prepared: _Prepared, caches: Caches) -> _Data:
    """Run every image through the frozen backbone once, or once per augmented view."""
    job.journal.phase(state_pb2.TRAINING_PHASE_CACHING_FEATURES)
    views = max(1, job.recipe.execution.feature_views)
    pixels: dict[str, PlainPixels | AugmentedPixels] = {"train": prepared.train, "val": prepared.validation}
    train, validation = (
        features.cached_features(
            job.network,
            one,
            split=split,
            pixels_key=prepared.stores[split].key,
            plan=job.plan,
            caches=caches,
            journal=job.journal,
            views=views if split == "train" else 1,
        )
        for split, one in pixels.items()
    )
    return _Data(forward=job.network.classify, train=train, validation=validation)


def _backbone_rests(network: Network) -> bool:
    return not any(one.requires_grad for one in network.backbone.parameters())


def _caches_features(recipe: pb.TrainingSpec) -> bool:
    """Tell whether a frozen backbone gives the same features whenever it sees an image."""
    random = pipeline.is_augmented(recipe.augmentation) and not recipe.execution.feature_views
    cached = recipe.execution.feature_cache == pb.FEATURE_CACHE_AUTO
    return cached and not random and not mixing.is_mixed(recipe.augmentation)
