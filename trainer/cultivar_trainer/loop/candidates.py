"""Learning rates and weight decays to try: trained one after the other, selected on validation data."""

from collections.abc import Callable, Iterator
from itertools import product

from cultivar.v1 import event_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.checkpoint import copy_tensors, restore_tensors
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.fit import fit
from cultivar_trainer.loop.history import Histories, History, is_better
from cultivar_trainer.loop.job import Job, Phase, PlanRecord

Phases = Callable[[History, int], Iterator[Phase]]
"""Yields the phases of the candidate with a history and a number, each prepared when the one before is over."""


def candidates(recipe: pb.TrainingSpec) -> list[History]:
    """Return an empty history for each pair of learning rate and weight decay, in the request's order."""
    spec = recipe.optimizer
    rates = list(spec.learning_rates) or [spec.learning_rate]
    decays = list(spec.weight_decays) or [spec.weight_decay]
    return [History(learning_rate=rate, weight_decay=decay) for rate, decay in product(rates, decays)]


def search(job: Job, phases: Phases) -> Histories:
    """Train every candidate from the same start; leave the selected one's best weights in the network.

    Raises:
        TaskFailed: LOSS_NOT_FINITE where every candidate diverges before its first epoch's end, or the only one at all.
    """
    found = candidates(job.recipe)
    start = copy_tensors(job.network, job.movable)
    selected: int | None = None
    for position, history in enumerate(found):
        number = position + 1 if len(found) > 1 else 0
        if position:
            restore_tensors(job.network, start)
        try:
            for phase in phases(history, number):
                job.plans.append(PlanRecord(plan=job.plan, phase=phase.kind, candidate=number, step=_steps(history)))
                fit(job, phase, history)
        except TaskFailed as failure:
            if failure.reason != "LOSS_NOT_FINITE" or len(found) == 1:
                raise
            history.diverged = str(failure)
        if is_selected(found, position, selected, job.recipe.selection_metric):
            selected = position
            job.checkpoints.select_best()
        if number:
            tell_finished(job.journal, found, position, selected, job.recipe.selection_metric)
    if selected is None:
        raise TaskFailed("LOSS_NOT_FINITE", f"every candidate diverged; the last: {found[-1].diverged}")
    restore_tensors(job.network, job.checkpoints.load_selected()["tensors"])
    job.network.eval()
    return Histories(candidates=found, selected=selected)


def is_selected(found: list[History], position: int, selected: int | None, metric: pb.SelectionMetric) -> bool:
    """Tell whether a finished candidate is better than the best before it; ties go to the earlier one."""
    history = found[position]
    if not history.best_epoch:
        return False
    return selected is None or is_better(history.best.value(metric), found[selected].best.value(metric), metric)


def tell_finished(
    journal: Journal, found: list[History], position: int, selected: int | None, metric: pb.SelectionMetric
) -> None:
    """Tell the world how a candidate did."""
    history = found[position]
    if history.diverged:
        journal.warning(f"candidate {position + 1}: {history.diverged}")
    event = event_pb2.CandidateFinished(
        candidate=position + 1,
        candidates=len(found),
        learning_rate=history.learning_rate,
        weight_decay=history.weight_decay,
        best_epoch=history.best_epoch,
        best=position == selected,
    )
    if history.best_epoch:
        event.value = history.best.value(metric)
    journal.candidate_finished(event)


def _steps(history: History) -> int:
    return history.epochs[-1].step if history.epochs else 0
