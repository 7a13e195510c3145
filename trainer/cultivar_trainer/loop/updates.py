"""One pass over the training images: updates, each of one or several forward and backward passes."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.augmentation import mixing
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.execution import autocast
from cultivar_trainer.loop.job import Job, Phase
from cultivar_trainer.loop.learner import Learner
from cultivar_trainer.losses import loss_terms, sample_weights
from cultivar_trainer.randomness import Stream, permutation, scalar


def one_epoch(job: Job, phase: Phase, learner: Learner, on_progress: Callable[[int], None]) -> tuple[float, float]:
    """Make one pass over the training samples; return their mean loss and accuracy as they were seen.

    Args:
        job: its plan says how many images a forward and backward pass takes.
        phase: the data.
        learner: makes the updates.
        on_progress: is told how many images were seen.

    Raises:
        TaskFailed: LOSS_NOT_FINITE.
    """
    job.network.train()
    device = torch.device(job.plan.device)
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    seen, step, epoch = 0, learner.step, phase.first_epoch + learner.epoch
    for step, indices in enumerate(epoch_batches(len(phase.train.labels), job.recipe, epoch=epoch), learner.step):
        seed_dropout(job.recipe, step)
        loss, right = _gradients(job, phase, learner, indices, epoch=epoch, step=step)
        learner.update(step)
        loss_sum += loss * len(indices)
        correct += right
        seen += len(indices)
        # Asking a GPU for a number waits for it: there the end of the epoch is soon enough.
        if device.type == "cpu" and not math.isfinite(loss.item()):
            raise not_finite(step, learner.learning_rate(step))
        on_progress(seen)
    mean_loss = float(loss_sum) / seen
    if not math.isfinite(mean_loss):
        raise not_finite(step, learner.learning_rate(step))
    return mean_loss, int(correct) / seen


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
