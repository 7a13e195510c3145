"""What diagnostics look at in training: the network under way, or its head on cached features."""

from collections.abc import Callable

from torch import nn

from cultivar_trainer.batches import CachedFeatures
from cultivar_trainer.diagnostics.job_diagnostics import Look
from cultivar_trainer.diagnostics.measurement import Subject
from cultivar_trainer.loop.history import Epoch
from cultivar_trainer.loop.job import Job, Phase


def before_training(job: Job, phase: Phase, head: nn.Module | None = None, *, candidate: int | None = None) -> None:
    """Look at a candidate before its first update.

    Args:
        job: has the network.
        phase: the candidate's first.
        head: the one to look at, where several learn at once; None: the network's.
        candidate: its number, where several learn at once.
    """
    if job.diagnostics is not None:
        number = phase.candidate if candidate is None else candidate
        job.diagnostics.before_training(number, _look(job, phase, head))


def after_epoch(
    job: Job,
    phase: Phase,
    figures: Epoch,
    head: nn.Module | None = None,
    *,
    candidate: int | None = None,
    last: bool,
) -> None:
    """Show an epoch's figures, and look at the network where it is time to.

    Args:
        job: has the network, with the weights that learn.
        phase: the one under way.
        figures: the epoch's.
        head: as in `before_training`.
        candidate: likewise.
        last: whether no epoch of the candidate follows.
    """
    if job.diagnostics is None:
        return
    job.diagnostics.after_epoch(
        phase.candidate if candidate is None else candidate,
        _look(job, phase, head),
        epoch=figures.epoch,
        last=last,
        scalars={
            "Loss/train": figures.train_loss,
            "Loss/validation": figures.val_loss,
            "Accuracy/train": figures.train_accuracy,
            "Accuracy/validation": figures.val_accuracy,
            "Learning rate": figures.learning_rate,
        },
        train_loss=figures.train_loss,
        val_loss=figures.val_loss,
    )


def diverged(
    job: Job, phase: Phase, epoch: int, head: nn.Module | None = None, *, candidate: int | None = None
) -> None:
    """Tell of a loss that is no finite number, after so many whole epochs; the rest as in `before_training`."""
    if job.diagnostics is not None:
        number = phase.candidate if candidate is None else candidate
        job.diagnostics.diverged(number, _look(job, phase, head), epoch=epoch)


def _look(job: Job, phase: Phase, head: nn.Module | None) -> Callable[[], Look]:
    def look() -> Look:
        # Gradients are found in float32, which takes twice the memory of shorter products.
        shortened = job.plan.autocast != "float32"
        return Look(
            subject=_subject(job, phase, head),
            validation=phase.validation,
            class_weights=job.class_weights,
            batch_size=max(1, min(job.plan.evaluation_batch, job.plan.micro_batch // (2 if shortened else 1))),
        )

    return look


def _subject(job: Job, phase: Phase, head: nn.Module | None) -> Subject:
    network = job.network
    on_features = isinstance(phase.validation, CachedFeatures)
    own = network.head if head is None else head
    modules = [] if on_features else list(network.backbone.named_modules())
    modules += [(network.original_name(name), module) for name, module in own.named_modules()]
    parameters = {} if on_features else dict(network.backbone.named_parameters())
    parameters |= {network.original_name(name): one for name, one in own.named_parameters()}
    forward = network.__call__
    if on_features:
        forward = network.classify
    if head is not None:
        forward = lambda features: head(features.reshape(-1, *network.feature_shape)).flatten(1)  # noqa: E731
    return Subject(
        forward=forward,
        modules=modules,
        parameters={name: one for name, one in parameters.items() if one.requires_grad},
        frozen=network.frozen,
    )
