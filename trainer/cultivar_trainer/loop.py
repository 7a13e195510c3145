"""The training loop: epochs of updates, each followed by validation; the best epoch's weights are kept."""

import math
import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from cultivar.v1 import event_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer import evaluation
from cultivar_trainer.augmentation import mixing
from cultivar_trainer.batches import CachedFeatures, PlainPixels, TrainingData
from cultivar_trainer.checkpoint import Checkpoints, moving_tensors, restore_tensors
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.execution import Plan
from cultivar_trainer.finetuning import trainable_parameters
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks.network import Network
from cultivar_trainer.optimization import Schedule, build_optimizer, build_schedule
from cultivar_trainer.randomness import Stream, permutation, scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """Figures of one epoch."""

    epoch: int
    """1 for the first."""
    learning_rate: float
    """Of its last update."""
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_top5_accuracy: float
    train_seconds: float
    val_seconds: float
    images_per_second: float
    step: int
    """Updates made so far."""


@dataclass(kw_only=True, slots=True)
class History:
    """All epochs, and which one is the best."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    """Number of the selected epoch; 0 before the first."""

    @property
    def best(self) -> Epoch:
        """The selected epoch's figures."""
        return self.epochs[self.best_epoch - 1]


def fit(
    network: Network,
    *,
    forward: Callable[[Tensor], Tensor],
    train: TrainingData,
    validation: PlainPixels | CachedFeatures,
    num_classes: int,
    recipe: pb.TrainingSpec,
    plan: Plan,
    checkpoints: Checkpoints,
    journal: Journal,
) -> History:
    """Train for the recipe's epochs and leave the best epoch's weights in the network.

    Args:
        network: its trainable parameters learn.
        forward: maps the data's inputs to logits: the whole network, or its head on cached features.
        train: training samples.
        validation: validation samples; they choose the epoch.
        num_classes: width of the logits.
        recipe: resolved.
        plan: applied already.
        checkpoints: get the state after every epoch.
        journal: gets an event after every epoch.

    Raises:
        TaskFailed: LOSS_NOT_FINITE.
    """
    batches_per_epoch = len(epoch_batches(len(train.labels), recipe, epoch=0))
    optimizer = build_optimizer(trainable_parameters(network), recipe.optimizer, fused=plan.fused_optimizer)
    schedule = build_schedule(
        recipe.schedule, peak=recipe.optimizer.learning_rate, epochs=recipe.epochs, steps_per_epoch=batches_per_epoch
    )
    history, step = History(), 0
    for epoch in range(recipe.epochs):
        started = time.perf_counter()
        loss, accuracy = train_one_epoch(
            network,
            forward,
            train,
            optimizer,
            schedule,
            num_classes=num_classes,
            epoch=epoch,
            first_step=step,
            recipe=recipe,
            plan=plan,
            journal=journal,
        )
        step += batches_per_epoch
        trained = time.perf_counter()
        network.eval()
        metrics = evaluation.evaluate(forward, validation.in_order())
        if not math.isfinite(metrics.loss):
            raise _diverged(step - 1, schedule.learning_rate(step - 1))
        figures = Epoch(
            epoch=epoch + 1,
            learning_rate=schedule.learning_rate(step - 1),
            train_loss=loss,
            train_accuracy=accuracy,
            val_loss=metrics.loss,
            val_accuracy=metrics.accuracy,
            val_top5_accuracy=metrics.top5_accuracy,
            train_seconds=trained - started,
            val_seconds=time.perf_counter() - trained,
            images_per_second=len(train.labels) / (trained - started),
            step=step,
        )
        history.epochs.append(figures)
        if history.best_epoch == 0 or is_better(figures, history.best, recipe.selection_metric):
            history.best_epoch = epoch + 1
            checkpoints.save_best({"epoch": epoch + 1, "tensors": moving_tensors(network)})
        checkpoints.save(
            {
                "epoch": epoch + 1,
                "step": step,
                "tensors": moving_tensors(network),
                "optimizer": optimizer.state_dict(),
                "history": [asdict(one) for one in history.epochs],
                "best_epoch": history.best_epoch,
                "plan": plan.to_json(),
            }
        )
        journal.epoch_finished(_event(figures, history, recipe, plan))
    restore_tensors(network, checkpoints.load_best()["tensors"])
    network.eval()
    return history


def train_one_epoch(
    network: Network,
    forward: Callable[[Tensor], Tensor],
    train: TrainingData,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    *,
    num_classes: int,
    epoch: int,
    first_step: int,
    recipe: pb.TrainingSpec,
    plan: Plan,
    journal: Journal,
) -> tuple[float, float]:
    """Make one pass over the training samples; return their mean loss and accuracy as they were seen."""
    network.train()
    device = torch.device(plan.device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=plan.autocast == "bfloat16")
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    seen = 0
    for number, indices in enumerate(epoch_batches(len(train.labels), recipe, epoch=epoch)):
        step = first_step + number
        rate = schedule.learning_rate(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(scalar(recipe.seed, step, Stream.DROPOUT) >> 1)  # dropout draws from torch's own generator
        targets = train.labels[indices.to(device)]
        inputs, learnt = train.inputs(indices, epoch), targets
        if mixing.is_mixed(recipe.augmentation):
            inputs, learnt = mixing.mix(inputs, targets, num_classes, recipe.augmentation, seed=recipe.seed, step=step)
        with autocast:
            logits = forward(inputs).float()
        loss = training_loss(logits, network.auxiliary_logits, learnt, recipe.loss)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss_sum += loss.detach() * len(indices)
        correct += (logits.argmax(1) == targets).sum()
        seen += len(indices)
        # Asking a GPU for a number waits for it: there the end of the epoch is soon enough.
        if device.type == "cpu" and not math.isfinite(loss.item()):
            raise _diverged(step, rate)
        if seen < len(train.labels):  # the whole epoch has an event of its own
            journal.progress(f"epoch {epoch + 1}/{recipe.epochs}", seen, len(train.labels), "images")
    mean_loss = float(loss_sum) / seen
    if not math.isfinite(mean_loss):
        raise _diverged(first_step + number, rate)
    return mean_loss, int(correct) / seen


def training_loss(
    logits: Tensor, auxiliary: Iterable[tuple[float, Tensor]], targets: Tensor, spec: pb.LossSpec
) -> Tensor:
    """Return the mean smoothed cross-entropy of logits (N, K), plus the weighted ones of auxiliary heads.

    Label smoothing: Szegedy et al. 2016, section 7; auxiliary heads: Szegedy et al. 2015, section 5.
    """
    heads = ((1.0, logits), *auxiliary)
    losses = [
        weight * F.cross_entropy(one.float(), targets, label_smoothing=spec.label_smoothing) for weight, one in heads
    ]
    return torch.stack(losses).sum()


def epoch_batches(count: int, recipe: pb.TrainingSpec, *, epoch: int) -> list[Tensor]:
    """Return the positions of each batch of an epoch, shuffled by (seed, epoch).

    A last batch of one image joins the batch before: BatchNorm can't normalise over one, and dropping it would lose it.
    """
    batches = list(torch.split(permutation(recipe.seed, epoch, count), recipe.batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1 and recipe.batch_size > 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def is_better(candidate: Epoch, best: Epoch, metric: pb.SelectionMetric) -> bool:
    """Compare two epochs by the selection metric; equal ones are not better, so ties go to the earliest."""
    if metric == pb.SELECTION_METRIC_LOSS:
        return candidate.val_loss < best.val_loss
    if metric == pb.SELECTION_METRIC_TOP5:
        return candidate.val_top5_accuracy > best.val_top5_accuracy
    return candidate.val_accuracy > best.val_accuracy


def _event(figures: Epoch, history: History, recipe: pb.TrainingSpec, plan: Plan) -> event_pb2.EpochFinished:
    seconds = sum(one.train_seconds + one.val_seconds for one in history.epochs)
    event = event_pb2.EpochFinished(
        **asdict(figures),
        epochs=recipe.epochs,
        best=history.best_epoch == figures.epoch,
        eta_seconds=seconds / figures.epoch * (recipe.epochs - figures.epoch),
        host_memory_bytes=_resident_bytes(),
    )
    if plan.device.startswith("cuda"):
        event.gpu_memory_bytes = torch.cuda.max_memory_reserved(torch.device(plan.device))
    return event


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _diverged(step: int, rate: float) -> TaskFailed:
    return TaskFailed(
        "LOSS_NOT_FINITE",
        f"the loss is no longer a finite number at update {step + 1}, learning rate {rate:.3g}: "
        "use a smaller optimizer.learning_rate or a longer schedule.warmup_epochs",
    )
