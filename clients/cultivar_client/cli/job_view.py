"""How a training job looks on a terminal: a line of a list, or everything that is known of it."""

from collections.abc import Iterable

import typer

from cultivar.v1 import state_pb2, training_pb2, training_spec_pb2
from cultivar_client.cli import figures
from cultivar_client.cli.output import print_facts
from cultivar_client.enums import enum_label

COLUMNS = ("name", "state", "data set", "architecture", "mode", "epoch>", "best val_acc>", "created (UTC)")
"""Of a list of jobs."""

_MODE = training_spec_pb2.DESCRIPTOR.enum_types_by_name["FineTuningMode"]


def row(job: training_pb2.TrainingJob) -> tuple[object, ...]:
    """Returns a job's line in a list; of one that combines models, how it does so and the accuracy that this gave."""
    recipe, accuracy = job.recipe, ""
    if job.HasField("combination"):
        training: tuple[str, ...] = enum_label(figures.METHOD, job.combination.method), "", ""
        if job.HasField("members_compared"):
            accuracy = f"{job.members_compared.combined_accuracy:.4f}"
    else:
        training = recipe.architecture, enum_label(_MODE, recipe.mode), f"{job.latest_epoch.epoch}/{recipe.epochs}"
        if job.HasField("best_epoch"):
            accuracy = f"{job.best_epoch.val_accuracy:.4f}"
    place = f"#{job.queue_position}" if job.queue_position else ""
    state = " ".join(filter(None, (figures.state(job.state), figures.phase(job.phase), place)))
    return job.name, state, recipe.dataset, *training, accuracy, figures.moment(job.create_time)


def print_job(job: training_pb2.TrainingJob) -> None:
    """Prints all that is known of a job, and how to follow it."""
    recipe = job.recipe
    print_facts(
        [
            ("name", job.name),
            ("state", figures.state(job.state)),
            ("phase", figures.phase(job.phase)),
            ("progress", figures.progress_line(job.progress)),
            ("data set", recipe.dataset),
            ("model", recipe.model),
            *_course(job),
            ("device", recipe.execution.device),
            ("purpose", "exports its best epoch only" if job.export_only else ""),
            ("reproduces", job.reproduces),
            ("attempt", figures.attempts(job)),
            ("ran", figures.duration(job.run_seconds) if job.run_seconds else ""),
            ("position", job.queue_position or ""),
            ("expected start", figures.moment(job.expected_start_time)),
            ("next try", figures.moment(job.retry_time)),
            ("waits for", job.waiting_reason),
            ("placed on", figures.placement_line(job.placement) if job.HasField("placement") else ""),
            ("created", figures.moment(job.create_time)),
            ("started", figures.moment(job.start_time)),
            ("ended", figures.moment(job.end_time)),
            *(("warning", warning) for warning in job.warnings),
            *(("symptom", figures.symptom_line(symptom)) for symptom in job.symptoms),
            *(("candidate", figures.candidate_line(candidate)) for candidate in job.candidates),
            ("latest", figures.epoch_line(job.latest_epoch) if job.HasField("latest_epoch") else ""),
            ("best", figures.epoch_line(job.best_epoch) if job.HasField("best_epoch") else ""),
            ("fit", figures.fit_line(job.fit) if job.HasField("fit") else ""),
            ("try", job.fit.remedy),
            ("export", figures.export_line(job.export_verified) if job.HasField("export_verified") else ""),
            *(("metrics", figures.metrics_line(metrics)) for metrics in job.metrics),
            *(("members", line) for line in figures.member_lines(job.members_compared)),
            ("version", job.model_version),
            ("error", job.error.message),
        ]
    )
    hint = {
        state_pb2.TRAINING_JOB_STATE_QUEUED: "follow it with `cultivar jobs watch {}`",
        state_pb2.TRAINING_JOB_STATE_RUNNING: "follow it with `cultivar jobs watch {}`",
        state_pb2.TRAINING_JOB_STATE_PAUSED: "let it go on with `cultivar jobs resume {}`",
    }.get(job.state)
    if hint is not None:
        typer.echo("\n" + hint.format(job.name))


def _course(job: training_pb2.TrainingJob) -> list[tuple[str, object]]:
    """Returns what a job trains, and how; none of it where it combines models, whose recipes differ."""
    if job.HasField("combination"):
        return [("combines", figures.combination_line(job.combination))]
    recipe = job.recipe
    return [
        ("architecture", recipe.architecture),
        ("mode", enum_label(_MODE, recipe.mode)),
        ("weights", recipe.weights),
        ("epochs", recipe.epochs),
        ("batch size", recipe.batch_size),
        ("learning rate", _numbers(recipe.optimizer.learning_rates or [recipe.optimizer.learning_rate])),
        ("weight decay", _numbers(recipe.optimizer.weight_decays)),
    ]


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
