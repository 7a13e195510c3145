"""One pass over the training images: updates, each of one or several forward and backward passes."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.augmentation import mixing
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.execution import autocast
from cultivar_trainer.loop.job import Job, Phase
from cultivar_trainer.loop.learner import Learner
from cultivar_trainer.loop.planning import follow
from cultivar_trainer.losses import loss_terms, sample_weights
from cultivar_trainer.randomness import Stream, permutation, scalar


@dataclass(kw_only=True, slots=True)
class EpochUnderWay:
    """What an epoch has shown so far; of one candidate, or of several that train at once."""

    batches: int = 0
    """Updates made."""
    images: int = 0
    """Images seen."""
    loss_sum: Tensor
    """float64, () or (candidates,): the loss summed over images."""
    correct: Tensor
    """int64, () or (candidates,): images that were classified right."""
    seconds: float = 0.0
    """Time spent, over all attempts."""

    @classmethod
    def begun(cls, device: torch.device, shape: tuple[int, ...] = ()) -> "EpochUnderWay":
        """Return an epoch that has seen nothing."""
        return cls(
            loss_sum=torch.zeros(shape, dtype=torch.float64, device=device),
            correct=torch.zeros(shape, dtype=torch.int64, device=device),
        )

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, state: dict[str, Any], device: torch.device) -> "EpochUnderWay":
        """Go on from what `state` returned."""
        sums = {name: state[name].to(device) for name in ("loss_sum", "correct")}
        return cls(**{**state, **sums})


def one_epoch(
    job: Job, phase: Phase, learner: Learner, under_way: EpochUnderWay, between_updates: Callable[[], None]
) -> tuple[float, float]:
    """Make one pass over the training samples; return their mean loss and accuracy as they were seen.

    Args:
        job: its plan says how many images a forward and backward pass takes.
        phase: the data.
        learner: makes the updates.
        under_way: what of the epoch is over; is kept up to date.
        between_updates: is called after each update, when all that training goes on from is at rest.

    Raises:
        TaskFailed: LOSS_NOT_FINITE.
    """
    job.network.train()
    on_cpu = job.plan.device == "cpu"
    epoch = phase.first_epoch + learner.epoch
    batches = epoch_batches(len(phase.train.labels), job.recipe, epoch=epoch)
    started = time.perf_counter() - under_way.seconds
    for number in range(under_way.batches, len(batches)):
        indices, step = batches[number], learner.step + number
        follow(job, phase, step)
        seed_dropout(job.recipe, step)
        loss, right = _gradients(job, phase, learner, indices, epoch=epoch, step=step)
        learner.update(step)
        under_way.loss_sum += loss * len(indices)
        under_way.correct += right
        under_way.images += len(indices)
        under_way.batches += 1
        # Asking a GPU for a number waits for it: there the end of the epoch is soon enough.
        if on_cpu and not math.isfinite(loss.item()):
            raise not_finite(step, learner.learning_rate(step))
        under_way.seconds = time.perf_counter() - started
        between_updates()
    mean_loss = float(under_way.loss_sum) / under_way.images
    if not math.isfinite(mean_loss):
        last = learner.step + len(batches) - 1
        raise not_finite(last, learner.learning_rate(last))
    under_way.seconds = time.perf_counter() - started
    return mean_loss, int(under_way.correct) / under_way.images


def epoch_batches(count: int, recipe: pb.TrainingSpec, *, epoch: int) -> list[Tensor]:
    """Return the positions of each batch of an epoch, shuffled by (seed, epoch).

    A last batch of one image joins the batch before: BatchNorm can't normalise over one, and dropping it would lose it.
    """
    batches = list(torch.split(permutation(recipe.seed, epoch, count), recipe.batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1 and recipe.batch_size > 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def pass_count(images: int, micro_batch: int) -> int:
    """Return in how many passes an update goes over its images.

    As in `epoch_batches` no pass has one image alone, unless all have: three images in passes of two are one pass.
    """
    count = math.ceil(images / micro_batch)
    return count if micro_batch == 1 else max(1, min(count, images // 2))


def seed_dropout(recipe: pb.TrainingSpec, step: int) -> None:
    """Seed torch's own generator, which dropout draws from, for one update."""
    torch.manual_seed(scalar(recipe.seed, step, Stream.DROPOUT) >> 1)


def training_loss(
    logits: Tensor,
    auxiliary: Iterable[tuple[float, Tensor]],
    targets: Tensor,
    spec: pb.LossSpec,
    class_weights: Tensor | None,
    total: Tensor,
) -> Tensor:
    """Return one pass's share of an update's loss, that of auxiliary heads added by their weights.

    Auxiliary heads: Szegedy et al. 2015, section 5.

    Args:
        logits: (N, K).
        auxiliary: weights and logits (N, K) of auxiliary heads.
        targets: classes (N,) or probabilities (N, K).
        spec: the kind of loss.
        class_weights: (K,).
        total: sum of the weights of the update's images, over all of its passes: gradients of passes then add up to
            exactly those of one.
    """
    heads = ((1.0, logits), *auxiliary)
    losses = [weight * loss_terms(one.float(), targets, spec, class_weights)[0].sum() for weight, one in heads]
    return torch.stack(losses).sum() / total


def not_finite(step: int, rate: float) -> TaskFailed:
    """Make the failure of a loss that is no number."""
    return TaskFailed(
        "LOSS_NOT_FINITE",
        f"the loss is no longer a finite number at update {step + 1}, learning rate {rate:.3g}: "
        "use a smaller optimizer.learning_rate, a longer schedule.warmup_epochs or optimizer.clip_norm",
    )


def _gradients(
    job: Job, phase: Phase, learner: Learner, indices: Tensor, *, epoch: int, step: int
) -> tuple[Tensor, Tensor]:
    """Add up the gradients of one update; return its loss and how many images were right."""
    labels = phase.train.labels[indices.to(phase.train.labels.device)]
    total, passes = _passes(job, phase, indices, labels, epoch=epoch, step=step)
    loss = torch.zeros((), device=labels.device)
    right = torch.zeros((), dtype=torch.int64, device=labels.device)
    for inputs, targets in passes:
        with autocast(job.plan):
            logits = phase.forward(inputs).float()
        part = training_loss(logits, job.network.auxiliary_logits, targets, job.recipe.loss, job.class_weights, total)
        learner.backward(part)
        loss += part.detach()
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        right += (logits.detach().argmax(1) == classes).sum()
    return loss, right


def _passes(
    job: Job, phase: Phase, indices: Tensor, labels: Tensor, *, epoch: int, step: int
) -> tuple[Tensor, Iterable[tuple[Tensor, Tensor]]]:
    """Return the sum of the images' weights, and the inputs and targets of each forward pass.

    A batch is mixed as a whole, whatever its passes are.
    """
    count, spec = pass_count(len(indices), job.plan.micro_batch), job.recipe.augmentation
    if not mixing.is_mixed(spec):
        parts = zip(indices.tensor_split(count), labels.tensor_split(count), strict=True)
        inputs = ((phase.train.inputs(part, epoch), targets) for part, targets in parts)
        return sample_weights(labels, job.class_weights).sum(), inputs
    images, mixed = mixing.mix(
        phase.train.inputs(indices, epoch), labels, job.num_classes, spec, seed=job.recipe.seed, step=step
    )
    passes = zip(images.tensor_split(count), mixed.tensor_split(count), strict=True)
    return sample_weights(mixed, job.class_weights).sum(), passes
