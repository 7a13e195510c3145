"""Follows a study, a line for each thing that happens to a trial, and shows the comparison."""

import asyncio
from collections.abc import Iterable

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cultivar.v1 import state_pb2, study_pb2, training_spec_pb2
from cultivar_client.cli import figures, session
from cultivar_client.cli.output import print_table
from cultivar_client.client import Client
from cultivar_client.enums import enum_label

STATE = study_pb2.DESCRIPTOR.enum_types_by_name["TrainingStudyState"]
_METRIC = training_spec_pb2.DESCRIPTOR.enum_types_by_name["SelectionMetric"]
_ENDED = {
    state_pb2.TRAINING_JOB_STATE_SUCCEEDED,
    state_pb2.TRAINING_JOB_STATE_FAILED,
    state_pb2.TRAINING_JOB_STATE_CANCELLED,
}
_STEPS = {
    study_pb2.TRAINING_STUDY_STATE_EVALUATING: "all trials are over: choosing the winner, reading test data, reporting",
    study_pb2.TRAINING_STUDY_STATE_CANCELLING: "cancelling the trials",
}


def state(study: study_pb2.TrainingStudy) -> str:
    """Returns a study's state as people write it: `running`."""
    return enum_label(STATE, study.state)


def ended(study: study_pb2.TrainingStudy) -> str:
    """Returns how many of a study's trials are over: `4/6`."""
    return f"{sum(trial.state in _ENDED for trial in study.trials)}/{len(study.trials)}"


class StudyView:
    """Shows a study's events: a line for each, and on a terminal a bar of the trials that are over."""

    def __init__(self, console: Console, study: study_pb2.TrainingStudy) -> None:
        self._console = console
        self._over: set[str] = set()
        self._warnings: set[str] = set()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            console=console,
            disable=not console.is_terminal,
        )
        self._total = len(study.trials)
        self._task = self.bar.add_task(f"0/{self._total} trials over", total=self._total)

    def line(self, text: str) -> None:
        """Prints one line, above the bar where there is one."""
        self._console.print(text, soft_wrap=True)

    def warn(self, warnings: Iterable[str]) -> None:
        """Prints each warning once."""
        for warning in warnings:
            if warning not in self._warnings:
                self._warnings.add(warning)
                self.line(f"warning: {warning}")

    def show(self, event: study_pb2.StudyEvent) -> None:
        """Shows one event."""
        match event.WhichOneof("event"):
            case "state_changed":
                if step := _STEPS.get(event.state_changed):
                    self.line(step)
            case "trial_changed":
                self._show_trial(event.trial_changed)
            case "trial_tested":
                trial = event.trial_tested
                self.line(f"{_label(trial)}  {figures.metrics_line(trial.test)}")
            case "winner_chosen":
                self.line(f"winner: {event.winner_chosen}")
            case "warning":
                self.warn([event.warning])

    def _show_trial(self, trial: study_pb2.StudyTrial) -> None:
        if trial.state in _ENDED:
            self._over.add(trial.training_job)
            over = f"{len(self._over)}/{self._total} trials over"
            self.bar.update(self._task, description=over, completed=len(self._over))
        if trial.state != state_pb2.TRAINING_JOB_STATE_QUEUED:
            self.line(trial_line(trial))


def trial_line(trial: study_pb2.StudyTrial) -> str:
    """Returns a trial and where it is: its figures on validation images, or why it failed."""
    line = f"{_label(trial)}  {figures.state(trial.state)}  {trial.training_job}"
    if trial.HasField("validation"):
        measured = f"val_loss {trial.validation.loss:.4f}  val_acc {trial.validation.accuracy:.4f}"
        return f"{line}  {measured}  ({_takes(trial.seconds)})"
    return f"{line}: {trial.error.message}" if trial.error.message else line


async def follow(
    client: Client, study: study_pb2.TrainingStudy, console: Console, *, after_event: int = 0
) -> study_pb2.TrainingStudy:
    """Shows a study's events until it has ended and returns the study as it ended.

    Being cancelled (Ctrl-C) ends the watching, not the study, and says so. Raises CultivarError.
    """
    view = StudyView(console, study)
    view.line(f"study {study.name}  {len(study.trials)} trials")
    view.warn(study.warnings)
    try:
        with view.bar:
            async for event in client.watch_training_study(study.name, after_event=after_event):
                view.show(event)
    except asyncio.CancelledError:
        typer.echo(
            f"the study goes on: watch it with `cultivar studies watch {study.name}`, "
            f"stop it with `cultivar studies cancel {study.name}`",
            err=True,
        )
        raise
    return await client.get_training_study(study.name)


def outcome(study: study_pb2.TrainingStudy) -> int:
    """Returns the exit code for how a study ended, and prints why where it did not succeed."""
    if study.state == study_pb2.TRAINING_STUDY_STATE_SUCCEEDED:
        return session.DONE
    reason = f": {study.error.message}" if study.error.message else ""
    return session.fail(f"{study.name} {state(study)}{reason}")


def print_comparison(study: study_pb2.TrainingStudy) -> None:
    """Prints the figures of each variant, what they cost, and the conclusion; fits 100 columns."""
    tested = any(row.test_accuracy.count for row in study.rows)
    columns = ["variant", "trials>", "val acc>", "val loss>", "difference [95 %]>", *(["test acc>"] if tested else [])]
    rows = [
        [
            f"{row.variant} *" if row.variant == study.winner else row.variant,
            f"{row.succeeded}/{row.succeeded + row.failed}",
            statistic(row.validation_accuracy),
            statistic(row.validation_loss),
            _difference(row),
            *([statistic(row.test_accuracy)] if tested else []),
        ]
        for row in study.rows
    ]
    print_table(columns, rows)
    typer.echo()
    costs = [
        (
            row.variant,
            _takes(row.seconds.mean) if row.seconds.count else "",
            figures.count(round(row.updates.mean)) if row.updates.count else "",
            figures.count(round(row.images_seen.mean)) if row.images_seen.count else "",
        )
        for row in study.rows
    ]
    print_table(("one trial of", "takes>", "updates>", "images seen>"), costs)
    metric = study.spec.base.selection_metric or training_spec_pb2.SELECTION_METRIC_TOP1
    typer.echo(
        f"\nmeans over seeds ± standard deviation; difference: to the baseline, in val {enum_label(_METRIC, metric)}"
    )
    if study.conclusion:
        typer.echo(study.conclusion)
    if study.winner:
        typer.echo(f"winner (*)  {study.winner}  {study.winner_model_version}".rstrip())


def print_plan(study: study_pb2.TrainingStudy) -> None:
    """Prints what each variant changes, and why one would."""
    for row in study.rows:
        typer.echo(typer.style(row.variant, bold=True) + ("" if row.changes else "  (as the base)"))
        for change in row.changes:
            typer.echo(f"  {change}")
        if row.principle:
            typer.echo(f"  {row.principle}")


def statistic(value: study_pb2.StudyStatistic) -> str:
    """Returns a mean with its standard deviation, where there are several values: `0.912 ± 0.008`."""
    if not value.count:
        return ""
    return _number(value.mean) + (f" ± {_number(value.std)}" if value.HasField("std") else "")


def _difference(row: study_pb2.StudyRow) -> str:
    difference = row.difference
    if not row.HasField("difference") or not difference.pairs:
        return ""
    interval = ""
    if difference.HasField("low") and difference.HasField("high"):
        interval = f" [{_number(difference.low, '+')}, {_number(difference.high, '+')}]"
    return _number(difference.mean, "+") + interval


def _number(value: float, sign: str = "") -> str:
    # A loss may explode; nobody needs its decimals.
    return f"{value:{sign}.3f}" if abs(value) < 1000 else f"{value:{sign}.2e}"


def _takes(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else figures.duration(seconds)


def _label(trial: study_pb2.StudyTrial) -> str:
    return f"{trial.variant}  seed {trial.seed}"
