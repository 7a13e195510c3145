"""The figures of a study's trials, taken from their jobs' records and events."""

import sqlalchemy as sa

from cultivar.v1 import event_pb2, study_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_service.catalog import jobs

_EVENTS_PER_READ = 500
METRICS = {
    pb.SELECTION_METRIC_LOSS: "loss",
    pb.SELECTION_METRIC_TOP1: "accuracy",
    pb.SELECTION_METRIC_TOP5: "top5_accuracy",
    pb.SELECTION_METRIC_MACRO_F1: "macro_f1",
}
"""Field of SplitMetrics that each selection metric is."""


def value_of(metrics: event_pb2.SplitMetrics, metric: pb.SelectionMetric) -> float:
    """Return the selection metric's value."""
    return float(getattr(metrics, METRICS[metric]))


def take(connection: sa.Connection, trial: study_pb2.StudyTrial, job: training_pb2.TrainingJob) -> None:
    """Bring a trial up to date with its job.

    What it took to train is summed up over its epochs once it has ended: an epoch that a later attempt repeated counts
    once, as it would have without the interruption.
    """
    trial.state = job.state
    trial.best_epoch = job.best_epoch.epoch
    trial.train_loss, trial.train_accuracy = job.best_epoch.train_loss, job.best_epoch.train_accuracy
    if job.HasField("error"):
        trial.error.CopyFrom(job.error)
    else:
        trial.ClearField("error")
    if job.state not in jobs.FINAL:
        return
    validation = next((one for one in job.metrics if one.split == "val"), None)
    if job.state == jobs.SUCCEEDED and validation is not None:
        trial.model_version = job.model_version
        trial.validation.CopyFrom(validation)
    _sum_up(connection, trial, jobs.identifier(job))


def _sum_up(connection: sa.Connection, trial: study_pb2.StudyTrial, job_id: str) -> None:
    epochs: dict[tuple[int, int], event_pb2.EpochFinished] = {}
    images, number = 0, 0
    while events := jobs.events_after(connection, job_id, number, _EVENTS_PER_READ):
        for event in events:
            if event.HasField("epoch_finished"):
                epochs[event.epoch_finished.candidate, event.epoch_finished.epoch] = event.epoch_finished
            elif event.HasField("data_prepared"):
                images = next((one.image_count for one in event.data_prepared.splits if one.split == "train"), images)
        number = events[-1].number
    steps: dict[int, int] = {}  # of each candidate, which counts its own
    for (candidate, _), one in epochs.items():
        steps[candidate] = max(one.step, steps.get(candidate, 0))
    trial.updates = sum(steps.values())
    trial.images_seen = images * len(epochs)
    trial.seconds = sum(one.train_seconds + one.val_seconds for one in epochs.values())
