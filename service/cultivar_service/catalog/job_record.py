"""What events make of a job's record."""

from cultivar.v1 import event_pb2, state_pb2, training_pb2, training_spec_pb2

QUEUED = state_pb2.TRAINING_JOB_STATE_QUEUED
RUNNING = state_pb2.TRAINING_JOB_STATE_RUNNING
PAUSING = state_pb2.TRAINING_JOB_STATE_PAUSING
PAUSED = state_pb2.TRAINING_JOB_STATE_PAUSED
CANCELLING = state_pb2.TRAINING_JOB_STATE_CANCELLING
SUCCEEDED = state_pb2.TRAINING_JOB_STATE_SUCCEEDED
FAILED = state_pb2.TRAINING_JOB_STATE_FAILED
CANCELLED = state_pb2.TRAINING_JOB_STATE_CANCELLED
FINAL = frozenset((SUCCEEDED, FAILED, CANCELLED))
ProgressMark = tuple[int, int, int]
"""Finished candidates, epoch and step of a job's newest checkpoint."""
ACTIVE = frozenset((RUNNING, PAUSING, CANCELLING))
"""States in which a job has a trainer."""
_MAX_WARNINGS = 100
_MAX_SYMPTOMS = 100
_FIGURES = {
    training_spec_pb2.SELECTION_METRIC_TOP5: "val_top5_accuracy",
    training_spec_pb2.SELECTION_METRIC_MACRO_F1: "val_macro_f1",
}


def identifier(job: training_pb2.TrainingJob) -> str:
    """Return a job's bare identifier."""
    return job.name.removeprefix("trainingJobs/")


def state_name(state: state_pb2.TrainingJobState) -> str:
    """Return a state's name without its prefix."""
    return state_pb2.TrainingJobState.Name(state).removeprefix("TRAINING_JOB_STATE_")


def state_event(state: state_pb2.TrainingJobState, error: event_pb2.Failure | None = None) -> event_pb2.JobEvent:
    """Make the event of a job's new state, now."""
    return now(event_pb2.JobEvent(state_changed=event_pb2.StateChanged(state=state, error=error)))


def now(event: event_pb2.JobEvent) -> event_pb2.JobEvent:
    """Say that an event happens now."""
    event.time.GetCurrentTime()
    return event


def progress_mark(job: training_pb2.TrainingJob) -> ProgressMark:
    """Return how far a job's newest checkpoint is; a larger mark is a newer checkpoint."""
    return len(job.candidates), job.checkpoint.epoch, job.checkpoint.step


def apply(job: training_pb2.TrainingJob, event: event_pb2.JobEvent) -> None:
    """Bring a job's record up to date."""
    kind = event.WhichOneof("event")
    if kind not in ("progress", "warning", "symptom_found"):
        job.ClearField("progress")
    match kind:
        case "state_changed":
            _change_state(job, event)
        case "phase_entered":
            job.phase = event.phase_entered
        case "training_resumed":
            job.phase = event.training_resumed.phase
        case "progress":
            job.progress.CopyFrom(event.progress)
        case "epoch_finished":
            job.latest_epoch.CopyFrom(event.epoch_finished)
            if _is_best(job, event.epoch_finished):
                job.best_epoch.CopyFrom(event.epoch_finished)
        case "candidate_finished":
            _finish_candidate(job, event.candidate_finished)
        case "checkpoint_written":
            _write_checkpoint(job, event.checkpoint_written)
        case "memory_measured":
            job.memory.CopyFrom(event.memory_measured)
        case "members_compared":
            job.members_compared.CopyFrom(event.members_compared)
        case "fit_assessed":
            job.fit.CopyFrom(event.fit_assessed)
        case "export_verified":
            job.export_verified.CopyFrom(event.export_verified)
        case "split_evaluated":
            others = [one for one in job.metrics if one.split != event.split_evaluated.split]
            del job.metrics[:]
            job.metrics.extend([*others, event.split_evaluated])
        case "version_published":
            job.model_version = event.version_published.model_version
        case "reproduced":
            job.reproduction.CopyFrom(event.reproduced)
            job.model_version = job.reproduces
        case "placed":
            job.placement.CopyFrom(event.placed)
        case "placement_refused":
            job.waiting_reason = event.placement_refused.reason
        case "attempt_failed":
            _fail_attempt(job, event)
        case "symptom_found" if len(job.symptoms) < _MAX_SYMPTOMS:
            job.symptoms.append(event.symptom_found)
        case "warning" if len(job.warnings) < _MAX_WARNINGS:
            job.warnings.append(event.warning)


def _is_best(job: training_pb2.TrainingJob, epoch: event_pb2.EpochFinished) -> bool:
    """Tell whether an epoch is the best of the whole job: the trainer says it of each candidate by itself."""
    if not epoch.best or not job.HasField("best_epoch") or job.best_epoch.candidate == epoch.candidate:
        return epoch.best
    metric = job.recipe.selection_metric
    if metric == training_spec_pb2.SELECTION_METRIC_LOSS:
        return epoch.val_loss < job.best_epoch.val_loss
    name = _FIGURES.get(metric, "val_accuracy")
    return bool(getattr(epoch, name) > getattr(job.best_epoch, name))


def _finish_candidate(job: training_pb2.TrainingJob, finished: event_pb2.CandidateFinished) -> None:
    before = [one for one in job.candidates if one.candidate != finished.candidate]
    if len(before) == len(job.candidates):
        job.attempts_without_progress = 0
        job.ClearField("checkpoint")  # the next candidate's begin at its first epoch again
    del job.candidates[:]
    job.candidates.extend([*before, finished])


def _write_checkpoint(job: training_pb2.TrainingJob, written: event_pb2.CheckpointWritten) -> None:
    # An attempt that had to start over writes checkpoints that are no progress, until it is where another was before.
    if not job.HasField("checkpoint") or (written.epoch, written.step) > (job.checkpoint.epoch, job.checkpoint.step):
        job.attempts_without_progress = 0
        job.checkpoint.CopyFrom(written)


def _fail_attempt(job: training_pb2.TrainingJob, event: event_pb2.JobEvent) -> None:
    failed = event.attempt_failed
    job.attempts_without_progress = failed.attempts_without_progress
    if failed.retry_seconds:
        job.retry_time.FromNanoseconds(event.time.ToNanoseconds() + round(failed.retry_seconds * 1e9))


def _change_state(job: training_pb2.TrainingJob, event: event_pb2.JobEvent) -> None:
    before, job.state = job.state, event.state_changed.state
    if event.state_changed.HasField("error"):
        job.error.CopyFrom(event.state_changed.error)
    if job.state not in ACTIVE:
        job.ClearField("phase")
    if job.state != QUEUED:
        job.ClearField("retry_time")
        job.ClearField("waiting_reason")
    if job.state == RUNNING:
        job.attempt += 1
        if not job.HasField("start_time"):
            job.start_time.CopyFrom(event.time)
    elif job.state == PAUSED:
        job.attempts_without_progress = 0  # somebody looked at it, and will at what follows
    elif job.state == QUEUED and before in FINAL:
        job.export_only = True
        job.attempts_without_progress = 0
        job.ClearField("error")
        job.ClearField("end_time")
    elif job.state in FINAL:
        job.end_time.CopyFrom(event.time)
