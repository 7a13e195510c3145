"""Task train: from a recipe to a proved model package."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch

from cultivar.v1 import state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files, package, tasks
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer import execution, finetuning, losses, phases
from cultivar_trainer.checkpoint import Checkpoints, Saved, digest, movable_names, tensors_of
from cultivar_trainer.datasets.selection import Selection, select
from cultivar_trainer.datasets.stores import Caches
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.diagnostics.job_diagnostics import Diagnostics
from cultivar_trainer.errors import EpochsReached, TaskFailed
from cultivar_trainer.execution import Plan
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop import saving
from cultivar_trainer.loop.history import Histories, candidates
from cultivar_trainer.loop.job import Job, PlanRecord, Progress
from cultivar_trainer.packaging import PackageInputs, write_package
from cultivar_trainer.preparation import Prepared, prepare, tune
from cultivar_trainer.reports import course
from cultivar_trainer.reports.curves import write_curves
from cultivar_trainer.reports.fit import judge
from cultivar_trainer.reports.history import write_history


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
    caches = Caches(Path(asked.caches), asked.cache_budget_bytes)
    source = package.open_package(Path(asked.source)) if asked.source else None
    checkpoints = Checkpoints(run_directory.checkpoint)
    saved = checkpoints.load(journal)
    with DatasetVersion(Path(asked.dataset)) as dataset:
        selection = select(dataset, recipe.data, with_test=recipe.test_evaluation == pb.TEST_EVALUATION_AT_END)
        repeated = _repeated(asked, recipe)
        plan = _kept_plan(run_directory, recipe, saved)
        new = plan is None and not repeated
        plan = plan or (_first(repeated) if repeated else execution.plan(recipe, len(selection.splits["train"])))
        execution.apply(plan, recipe.execution.memory_limit_bytes)
        prepared = prepare(asked, recipe, plan, dataset, selection, source, caches, journal)
        if new and recipe.execution.tuning == pb.TUNING_MEASURED:
            plan = tune(plan, prepared, journal)
        files.write_json(run_directory.plan, plan.to_json())
        certificate = finetuning.freeze_certificate(prepared.network)
        movable = movable_names(prepared.network)
        job = Job(
            recipe=recipe,
            network=prepared.network,
            num_classes=len(prepared.selection.classes),
            class_weights=_class_weights(recipe, prepared.selection, plan),
            checkpoints=checkpoints,
            journal=journal,
            movable=movable,
            origin=f"{digest(tensors_of(prepared.network, movable))} {certificate.digest}",
            plan=plan,
            plan_file=run_directory.plan,
            progress=Progress(histories=candidates(recipe)),
            repeated=repeated,
            stop_after_epochs=asked.stop_after_epochs,
            diagnostics=_diagnostics(recipe, run_directory, prepared, journal),
        )
        histories, ended_early = _trained(job, prepared, caches, saved, export_only=asked.export_only)
        frozen = finetuning.check_frozen(prepared.network, certificate)
        _report(run_directory, recipe, histories, prepared.selection, journal)
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
                freeze_digest=frozen,
                dataset=dataset,
                selection=prepared.selection,
                preprocessing=prepared.preprocessing,
                stores=prepared.stores,
                histories=histories,
                stopped_after_epochs=job.progress.whole_epochs if ended_early else 0,
            ),
            journal,
        )


def _diagnostics(
    recipe: pb.TrainingSpec, run_directory: RunDirectory, prepared: Prepared, journal: Journal
) -> Diagnostics:
    return Diagnostics(
        recipe,
        run_directory.path / "tensorboard",
        journal,
        candidates=len(candidates(recipe)),
        train=prepared.train,
        validation=prepared.validation,
        num_classes=len(prepared.selection.classes),
    )


def _trained(
    job: Job, prepared: Prepared, caches: Caches, saved: Saved | None, *, export_only: bool
) -> tuple[Histories, bool]:
    """Train, go on training, or take what an earlier attempt's training came to; tell whether that is not its end."""
    if saved is not None:
        saving.resume(job, saved)
    if export_only:
        return saving.best_so_far(job), saved is None or saved.state.get("outcome") != {}
    closed = None if saved is None else saving.closed(job, saved.state)
    if closed is not None:
        return closed, False
    try:
        return phases.train(job, prepared, caches, saved), False
    except EpochsReached:
        return saving.best_so_far(job), True


def _report(
    run_directory: RunDirectory, recipe: pb.TrainingSpec, histories: Histories, selection: Selection, journal: Journal
) -> None:
    """Write the history and the curves, and say whether the training underfits or overfits."""
    write_history(run_directory.path, histories, recipe.selection_metric)
    setting = course.setting(recipe, selection)
    measured = course.follow(histories.best, setting)
    fit = judge(measured, setting)
    journal.fit_assessed(fit)
    write_curves(run_directory.path, histories, recipe, measured, fit)


def _repeated(asked: tasks.TrainRequest, recipe: pb.TrainingSpec) -> list[PlanRecord]:
    """Return the plans of the run that this one repeats, for this host's devices; none where it repeats none."""
    try:
        records = [PlanRecord.from_json(one) for one in asked.plans]
    except (KeyError, ValueError, TypeError) as error:
        raise TaskFailed(
            "PLAN_NOT_AVAILABLE", f"the version's plans lack {error}: another release wrote them, repeat it with that"
        ) from error
    return [replace(one, plan=execution.keep(one.plan, recipe)) for one in records]


def _first(repeated: list[PlanRecord]) -> Plan:
    """Return the plan under which the run to repeat computed features, or trained where it computed none."""
    caching = state_pb2.TRAINING_PHASE_CACHING_FEATURES
    cached = list(
        takewhile(lambda one: one.phase == caching, repeated)
    )  # one for each time that memory did not suffice
    return (cached or repeated[:1])[-1].plan


def _kept_plan(run_directory: RunDirectory, recipe: pb.TrainingSpec, saved: Saved | None) -> Plan | None:
    """Return the plan that an earlier attempt had, which the job keeps; None where none came that far."""
    if saved is not None:
        return execution.keep(Plan.from_json(saved.state["plan"]), recipe)
    if run_directory.plan.exists():
        return execution.keep(Plan.from_json(files.read_json(run_directory.plan)), recipe)
    return None


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


def _class_weights(recipe: pb.TrainingSpec, selection: Selection, plan: Plan) -> torch.Tensor | None:
    counts = [0] * len(selection.classes)
    for sample in selection.splits["train"]:
        counts[sample.label] += 1
    found = losses.class_weights(recipe.loss, [one.id for one in selection.classes], counts)
    return None if found is None else found.to(plan.device)
