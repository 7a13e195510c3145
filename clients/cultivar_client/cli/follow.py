"""Follows a training job: a live bar on a terminal, plain lines elsewhere."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cultivar.v1 import event_pb2, state_pb2, training_pb2
from cultivar_client.cli import figures, session
from cultivar_client.client import Client


class JobView:
    """Shows a job's events: each fact on a line, and epochs on a line each or, on a terminal, in one bar."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._warnings: set[str] = set()
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False), BarColumn(bar_width=16), console=console
            )
            self._task = self._bar.add_task("waiting", total=None)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def line(self, text: str) -> None:
        """Prints one line, above the bar where there is one."""
        self._console.print(text, soft_wrap=True)

    def warn(self, warnings: Iterable[str]) -> None:
        """Prints each warning once."""
        for warning in warnings:
            if warning not in self._warnings:
                self._warnings.add(warning)
                self.line(f"warning: {warning}")

    def show(self, event: event_pb2.JobEvent) -> None:
        """Shows one event."""
        match event.WhichOneof("event"):
            case "state_changed":
                self._show_state(event)
            case "phase_entered":
                self._update(figures.phase(event.phase_entered))
            case "progress":
                self._show_progress(event.progress)
            case "data_prepared":
                self._show_data(event.data_prepared)
            case "network_built":
                self._show_network(event.network_built)
            case "epoch_finished":
                self._show_epoch(event.epoch_finished)
            case "export_verified":
                self.line(figures.export_line(event.export_verified))
            case "fit_assessed":
                self.line(f"fit  {figures.fit_line(event.fit_assessed)}")
                if event.fit_assessed.remedy:
                    self.line(f"try  {event.fit_assessed.remedy}")
            case "split_evaluated":
                self.line(figures.metrics_line(event.split_evaluated))
            case "version_published":
                published = event.version_published
                liveness = "live" if published.live else "not live"
                self.line(f"published {published.model_version} ({liveness}: {published.reason})")
            case "candidate_finished":
                self.line(figures.candidate_line(event.candidate_finished))
            case "early_stopped":
                stopped = event.early_stopped
                self.line(f"stopped early after epoch {stopped.epoch}: the best was epoch {stopped.best_epoch}")
            case "plan_changed":
                changed = event.plan_changed
                self.line(
                    f"another plan ({changed.reason}) from {figures.phase(changed.phase)}, update {changed.step}: "
                    f"{changed.plan_json}"
                )
            case "normalisation_measured":
                self.line(figures.normalisation_line(event.normalisation_measured))
            case "placed" if event.placed.uuid:  # on a CPU there is nothing to choose
                self.line(f"placed on {figures.placement_line(event.placed)}")
            case "placement_refused":
                self.line(f"waits for {event.placement_refused.reason}")
            case "attempt_failed":
                failed = event.attempt_failed
                self.line(
                    f"attempt {event.attempt} failed: {failed.cause.message}; "
                    f"another follows in {figures.duration(failed.retry_seconds)}"
                )
            case "training_resumed":
                self.line(f"goes on from epoch {event.training_resumed.epoch}, update {event.training_resumed.step}")
            case "members_compared":
                for line in figures.member_lines(event.members_compared):
                    self.line(line)
            case "symptom_found":
                self.line(f"symptom  {figures.symptom_line(event.symptom_found)}")
            case "reproduced":
                for line in figures.reproduction_lines(event.reproduced):
                    self.line(line)
            case "warning":
                self.warn([event.warning])

    def _show_state(self, event: event_pb2.JobEvent) -> None:
        state = event.state_changed.state
        if state == state_pb2.TRAINING_JOB_STATE_RUNNING and event.attempt > 1:
            self.line(f"attempt {event.attempt}")
        self._update(figures.state(state))

    def _show_progress(self, progress: event_pb2.Progress) -> None:
        if self._bar is not None:
            self._update(figures.progress_line(progress), progress.done, progress.total)
        elif progress.stage != self._stage:
            # Without a terminal each step gets one line, not one for each of its per cents.
            self._stage = progress.stage
            self.line(progress.stage)

    def _show_data(self, data: event_pb2.DataPrepared) -> None:
        counts = "  ".join(f"{split.split} {figures.count(split.image_count)}" for split in data.splits)
        shape = " x ".join(str(extent) for extent in data.sample_shape)
        self.line(f"data  {counts} images  sample {shape}  ({figures.duration(data.seconds)})")

    def _show_network(self, network: event_pb2.NetworkBuilt) -> None:
        line = f"network  {figures.count(network.parameters)} parameters"
        line += f", {figures.count(network.trainable_parameters)} of them learn"
        if network.HasField("weights"):
            line += f"  weights {network.weights.source}"
        self.line(line)

    def _show_epoch(self, epoch: event_pb2.EpochFinished) -> None:
        if self._bar is None:
            self.line(figures.epoch_line(epoch))
        else:
            self._update(figures.epoch_summary(epoch), epoch.epoch, epoch.epochs)

    def _update(self, description: str, done: int = 0, total: int = 0) -> None:
        if self._bar is None:
            return
        if total:
            self._bar.update(self._task, description=description, completed=done, total=total)
        else:
            self._bar.update(self._task, description=description)


async def follow(
    client: Client, job: training_pb2.TrainingJob, console: Console, *, after_event: int = 0
) -> training_pb2.TrainingJob:
    """Shows a job's events until it has ended and returns the job as it ended.

    Being cancelled (Ctrl-C) ends the watching, not the job, and says so. Raises CultivarError.
    """
    view = JobView(console)
    view.line(f"job {job.name}")
    view.warn(job.warnings)
    try:
        with view:
            async for event in client.watch_training_job(job.name, after_event=after_event):
                view.show(event)
    except asyncio.CancelledError:
        typer.echo(
            f"the job goes on: watch it with `cultivar jobs watch {job.name}`, "
            f"stop it with `cultivar jobs cancel {job.name}`",
            err=True,
        )
        raise
    return await client.get_training_job(job.name)


def outcome(job: training_pb2.TrainingJob) -> int:
    """Returns the exit code for how a job ended, and prints why where it did not succeed."""
    if job.state == state_pb2.TRAINING_JOB_STATE_SUCCEEDED:
        return session.DONE
    reason = f": {job.error.message}" if job.error.message else ""
    return session.fail(f"{job.name} {figures.state(job.state)}{reason}")
