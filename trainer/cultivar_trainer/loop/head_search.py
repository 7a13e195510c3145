"""Many heads trained at once on cached features: one batched product for all learning rates and weight decays."""

import copy
import math
import time
from contextlib import ExitStack
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from cultivar_trainer import evaluation
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.loop.candidates import candidates, is_selected, tell_finished
from cultivar_trainer.loop.fit import epoch_event
from cultivar_trainer.loop.history import Histories, History
from cultivar_trainer.loop.job import Job, Phase, PlanRecord
from cultivar_trainer.loop.learner import Learner
from cultivar_trainer.loop.updates import epoch_batches, not_finite, seed_dropout
from cultivar_trainer.losses import loss_terms, sample_weights


class HeadStack(nn.Module):
    """Copies of one head whose parameters lie behind each other, so that one product serves all."""

    def __init__(self, head: nn.Module, feature_shape: tuple[int, ...], count: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(copy.deepcopy(head) for _ in range(count))
        """Each head's parameters are views of the stacked ones."""
        self._feature_shape = feature_shape
        self.stacked = {
            name: torch.stack([one.detach()] * count).requires_grad_() for name, one in head.named_parameters()
        }
        """(count, *shape) by name."""
        for number, one in enumerate(self.heads):
            for name, parameter in one.named_parameters():
                parameter.data = self.stacked[name].data[number]

    def forward(self, features: Tensor) -> Tensor:
        """Map flat features (N, F) to the logits of all heads (count, N, K); dropout masks are the same for all."""
        first, shaped = self.heads[0], features.reshape(-1, *self._feature_shape)

        def one(parameters: dict[str, Tensor]) -> Tensor:
            return torch.flatten(functional_call(first, parameters, (shaped,)), 1)

        logits: Tensor = vmap(one, randomness="same")(self.stacked)
        return logits

    def backward(self, loss: Tensor) -> None:
        """Give each head its gradients of a sum over heads.

        `Tensor.backward` lays gradients out as their parameters are, which fused optimisers take for granted.
        """
        for stacked in self.stacked.values():
            stacked.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        for name, stacked in self.stacked.items():
            assert stacked.grad is not None
            for number, head in enumerate(self.heads):
                head.get_parameter(name).grad = stacked.grad[number]


def search_heads(job: Job, phase: Phase) -> Histories:
    """Train all candidates' heads at once, each as it would be trained by itself; leave the best in the network.

    Args:
        job: in mode HEAD.
        phase: the epochs, on cached features; each candidate has its own learning rate and weight decay.

    Raises:
        TaskFailed: LOSS_NOT_FINITE where every candidate diverges before its first epoch's end.
    """
    found = candidates(job.recipe)
    stack = HeadStack(job.network.head, job.network.feature_shape, len(found)).to(job.plan.device)
    steps_per_epoch = len(epoch_batches(len(phase.train.labels), job.recipe, epoch=0))
    learners = [
        Learner(
            head,
            {name: one for name, one in head.named_parameters()},
            depths=dict.fromkeys((name for name, _ in head.named_parameters()), 0),
            recipe=job.recipe,
            phase=replace(phase, learning_rate=history.learning_rate, weight_decay=history.weight_decay),
            plan=job.plan,
            steps_per_epoch=steps_per_epoch,
            history=history,
        )
        for head, history in zip(stack.heads, found, strict=True)
    ]
    job.plans.append(PlanRecord(plan=job.plan, phase=phase.kind, candidate=0, step=0))
    best_weights: list[dict[str, Tensor]] = [{} for _ in found]
    for epoch in range(phase.epochs):
        running = [position for position, one in enumerate(learners) if not one.over and not found[position].diverged]
        if not running:
            break
        _one_epoch(job, phase, stack, learners, found, running, epoch, best_weights)
    selected: int | None = None
    for position in range(len(found)):
        if is_selected(found, position, selected, job.recipe.selection_metric):
            selected = position
    for position in range(len(found)):
        tell_finished(job.journal, found, position, selected, job.recipe.selection_metric)
    if selected is None:
        raise TaskFailed("LOSS_NOT_FINITE", f"every candidate diverged; the last: {found[-1].diverged}")
    job.network.head.load_state_dict(best_weights[selected])
    job.network.eval()
    return Histories(candidates=found, selected=selected)


def _one_epoch(
    job: Job,
    phase: Phase,
    stack: HeadStack,
    learners: list[Learner],
    found: list[History],
    running: list[int],
    epoch: int,
    best_weights: list[dict[str, Tensor]],
) -> None:
    started = time.perf_counter()
    stack.train()
    count = len(phase.train.labels)
    loss_sums = torch.zeros(len(learners), dtype=torch.float64, device=job.plan.device)
    correct = torch.zeros(len(learners), dtype=torch.int64, device=job.plan.device)
    first_step = learners[running[0]].step
    for step, indices in enumerate(epoch_batches(count, job.recipe, epoch=epoch), first_step):
        seed_dropout(job.recipe, step)
        targets = phase.train.labels[indices.to(phase.train.labels.device)]
        logits = stack(phase.train.inputs(indices, epoch))
        total = sample_weights(targets, job.class_weights).sum()
        losses = loss_terms(logits, targets, job.recipe.loss, job.class_weights)[0].sum(dim=1) / total
        stack.backward(losses.sum())
        for position in running:
            learners[position].update(step)
        loss_sums += losses.detach() * len(indices)
        correct += (logits.detach().argmax(2) == targets).sum(dim=1)
    trained = time.perf_counter()
    last = first_step + len(epoch_batches(count, job.recipe, epoch=epoch)) - 1
    stack.eval()
    with ExitStack() as judged:
        for position in running:
            judged.enter_context(learners[position].weights_to_judge())
        logits, labels = _validate(phase, stack, job.plan.evaluation_batch)
        for position in running:
            learner, history = learners[position], found[position]
            metrics = evaluation.measure(logits[position], labels)
            if not math.isfinite(float(loss_sums[position])) or not math.isfinite(metrics.loss):
                history.diverged = str(not_finite(last, learner.learning_rate(last)))
                continue
            figures, best = learner.finish_epoch(
                loss=float(loss_sums[position]) / count,
                accuracy=int(correct[position]) / count,
                metrics=metrics,
                train_seconds=(trained - started) / len(running),
                val_seconds=(time.perf_counter() - trained) / len(running),
            )
            if best:
                head = stack.heads[position]
                best_weights[position] = {name: one.detach().clone() for name, one in head.state_dict().items()}
            eta = (time.perf_counter() - started) * (phase.epochs - epoch - 1)
            job.journal.epoch_finished(
                epoch_event(figures, job=job, best=best, candidate=position + 1, eta_seconds=eta)
            )


@torch.no_grad()
def _validate(phase: Phase, stack: HeadStack, batch_size: int) -> tuple[Tensor, Tensor]:
    """Return the logits of all heads (count, N, K) and the labels (N,), on the CPU."""
    logits, labels = [], []
    for rows, targets in phase.validation.in_order(batch_size):
        logits.append(stack(rows).cpu())
        labels.append(targets.cpu())
    return torch.cat(logits, dim=1), torch.cat(labels)
