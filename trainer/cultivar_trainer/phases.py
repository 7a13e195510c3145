"""The phases of a job by its mode, and the data that each of them learns from: pixels, or features computed once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch

from cultivar.v1 import state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer import features, finetuning
from cultivar_trainer.augmentation import mixing, pipeline
from cultivar_trainer.batches import AugmentedPixels, PlainPixels, TrainingData, ValidationData
from cultivar_trainer.checkpoint import Saved, restore_tensors
from cultivar_trainer.datasets.stores import Caches
from cultivar_trainer.loop.candidates import search
from cultivar_trainer.loop.head_search import search_heads
from cultivar_trainer.loop.history import Histories, candidates
from cultivar_trainer.loop.job import HEAD_WARMUP, TRAINING, Job, Phase, Progress
from cultivar_trainer.loop.memory import make_room, use_smaller_passes
from cultivar_trainer.networks.network import Network
from cultivar_trainer.preparation import Prepared


def train(job: Job, prepared: Prepared, caches: Caches, saved: Saved | None = None) -> Histories:
    """Train every phase of every candidate; the network keeps the selected weights.

    Args:
        job: its network is as before training.
        prepared: the data.
        caches: keep features.
        saved: a checkpoint to go on from, whose progress the job has already; None: training begins.
    """
    on_features = _backbone_rests(job.network) and _caches_features(job.recipe)
    data = _on_features(job, prepared, caches) if on_features else _on_pixels(job, prepared)
    if job.recipe.mode == pb.FINE_TUNING_MODE_GRADUAL:
        return _train_gradually(job, prepared, caches, data, saved)
    job.journal.phase(TRAINING)
    if on_features and _fits_at_once(job, saved):
        try:
            return search_heads(job, replace(_phase(job, TRAINING, data), candidate=0), saved)
        except torch.OutOfMemoryError:
            pass  # goes on outside: the exception holds the frames that hold the tensors
        make_room(job)
        saved, job.progress = None, Progress(histories=candidates(job.recipe))
        job.plans = [one for one in job.plans if one.phase != TRAINING]
        job.journal.warning("memory does not suffice for all candidates at once: they train one after the other")
    return search(job, lambda _: iter([_phase(job, TRAINING, data)]), saved)


def _fits_at_once(job: Job, saved: Saved | None) -> bool:
    """Tell whether there are several candidates, and neither this run nor the one it repeats has trained one alone."""
    alone = saved is not None and not saved.state["at_once"]
    return len(job.progress.histories) > 1 and not alone and not any(one.candidate for one in job.repeated)


def _train_gradually(job: Job, prepared: Prepared, caches: Caches, data: "_Data", saved: Saved | None) -> Histories:
    """Train the head, and then everything from the head's best epoch on."""

    @cache
    def head_data() -> _Data:
        return _on_features(job, prepared, caches) if _caches_features(job.recipe) else data

    def phases(first: state_pb2.TrainingPhase | None) -> Iterator[Phase]:
        if first != TRAINING:
            finetuning.freeze(job.network, job.recipe, head_only=True)
            certificate = finetuning.freeze_certificate(job.network)
            warmup_data = head_data()
            job.journal.phase(HEAD_WARMUP)
            yield _phase(job, HEAD_WARMUP, warmup_data)
            finetuning.check_frozen(job.network, certificate)
            restore_tensors(job.network, job.progress.bests[job.progress.position].tensors)
            finetuning.freeze(job.network, job.recipe)
        job.journal.phase(TRAINING)
        yield _phase(job, TRAINING, data)

    return search(job, phases, saved)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Data:
    """What a phase learns from."""

    forward: Callable[[torch.Tensor], torch.Tensor]
    train: TrainingData
    validation: ValidationData


def _phase(job: Job, kind: state_pb2.TrainingPhase, data: _Data) -> Phase:
    """Return a phase of the candidate under way, which may have begun already."""
    recipe, history, gradual = job.recipe, job.progress.history, job.recipe.mode == pb.FINE_TUNING_MODE_GRADUAL
    warming = kind == HEAD_WARMUP
    head_epochs = recipe.gradual.head_epochs if gradual else 0
    return Phase(
        kind=kind,
        first_epoch=sum(one.phase != kind for one in history.epochs),
        epochs=head_epochs if warming else recipe.epochs - head_epochs,
        learning_rate=recipe.gradual.head_learning_rate if warming else history.learning_rate,
        weight_decay=history.weight_decay,
        schedule=pb.ScheduleSpec(kind=pb.SCHEDULE_KIND_CONSTANT) if warming else recipe.schedule,
        candidate=job.progress.number,
        forward=data.forward,
        train=data.train,
        validation=data.validation,
    )


def _on_pixels(job: Job, prepared: Prepared) -> _Data:
    forward: Any = torch.compile(job.network) if job.plan.compiled else job.network.__call__
    return _Data(forward=forward, train=prepared.train, validation=prepared.validation)


def _on_features(job: Job, prepared: Prepared, caches: Caches) -> _Data:
    """Run every image through the frozen backbone once, or once per augmented view; with smaller passes if need be."""
    phase = state_pb2.TRAINING_PHASE_CACHING_FEATURES
    job.journal.phase(phase)
    while True:
        try:
            return _features(job, prepared, caches)
        except torch.OutOfMemoryError:
            pass  # recovered from outside: the exception holds the frames that hold the tensors
        make_room(job)
        use_smaller_passes(job, phase=phase, candidate=0, step=0)


def _features(job: Job, prepared: Prepared, caches: Caches) -> _Data:
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
            memory_limit_bytes=job.recipe.execution.memory_limit_bytes,
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
