"""What follows when a trainer has ended and there is nothing to publish: another attempt, a pause, or the job's end."""

from dataclasses import dataclass

from cultivar.v1 import event_pb2, training_pb2
from cultivar_contract.run_directory import Result
from cultivar_service.catalog.job_record import CANCELLED, CANCELLING, FAILED, PAUSED, PAUSING, QUEUED, now, state_event

TRAINER_LOST = "TRAINER_LOST"
TRAINER_STOPPED = "TRAINER_STOPPED"
TRAINER_NOT_STARTED = "TRAINER_NOT_STARTED"
_OUT_OF_MEMORY = "OUT_OF_MEMORY"
_CURABLE = frozenset((TRAINER_LOST, TRAINER_STOPPED, TRAINER_NOT_STARTED, _OUT_OF_MEMORY, "DEVICE_LOST"))
"""Reasons that another attempt may not meet. All others are in the request, which another attempt would repeat."""
_DEFAULT_ATTEMPTS = 3
"""For jobs that were queued before the spec could say."""
_MAX_RETRY_DELAY_S = 360.0
_MAX_MESSAGE = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How an attempt ended."""

    failure: event_pb2.Failure
    """Why there is nothing to publish."""
    ran_s: float = 0.0
    """Seconds that it ran."""
    demanded: bool = False
    """Whether the service itself ended it for this reason; another attempt is then out of the question."""
    made_progress: bool = False
    """Whether it left a newer checkpoint than there was."""
    never_ran: bool = False
    """Whether the service ended before it had started the trainer."""
    delay: bool = True
    """Whether the next attempt waits, as it should unless the cause is known to be over."""


def internal_error() -> event_pb2.Failure:
    """Return what a job fails with where something unforeseen happened here."""
    return event_pb2.Failure(reason="INTERNAL", message="an internal error, which the service has logged")


def events_after(job: training_pb2.TrainingJob, end: End, *, retry_delay_s: float) -> list[event_pb2.JobEvent]:
    """Return the events that end an attempt.

    Args:
        job: the record, in the transaction that appends the events.
        end: how the attempt ended.
        retry_delay_s: seconds between the first attempt without progress and the next; each one more doubles it.
    """
    if job.state == CANCELLING:
        return [state_event(CANCELLED)]
    if end.demanded:
        return [state_event(FAILED, end.failure)]
    if end.failure.reason not in _CURABLE:
        return [state_event(FAILED, end.failure)]
    if job.state == PAUSING:
        return [state_event(PAUSED)]
    count = 0 if end.made_progress else job.attempts_without_progress + (not end.never_ran)
    if count > _allowed(job, end.failure):
        return [state_event(FAILED, _last(end.failure, count))]
    delay_s = min(_MAX_RETRY_DELAY_S, retry_delay_s * 2.0 ** max(0, count - 1)) if end.delay else 0.0
    failed = event_pb2.AttemptFailed(cause=end.failure, attempts_without_progress=count, retry_seconds=delay_s)
    return [now(event_pb2.JobEvent(attempt_failed=failed)), state_event(QUEUED)]


def failure_of(result: Result | None, how: str) -> event_pb2.Failure:
    """Return why a trainer's result is nothing to publish.

    Args:
        result: what it left; None: nothing.
        how: how its process ended.
    """
    if result is None:
        message = f"the trainer ended without a result ({how}): its log may say why"
        return event_pb2.Failure(reason=TRAINER_LOST, message=message)
    if result.outcome == "CANCELLED":
        message = "the trainer was told to stop by something else than this service"
        return event_pb2.Failure(reason=TRAINER_STOPPED, message=message)
    return event_pb2.Failure(reason=result.reason or "TRAINER_FAILED", message=result.message[:_MAX_MESSAGE])


def _allowed(job: training_pb2.TrainingJob, failure: event_pb2.Failure) -> int:
    scheduling = job.recipe.scheduling
    allowed = (
        scheduling.attempts_without_progress if scheduling.HasField("attempts_without_progress") else _DEFAULT_ATTEMPTS
    )
    # The trainer has tried smaller passes already; what may help is that a neighbour has gone, which shows soon.
    return min(allowed, 1) if failure.reason == _OUT_OF_MEMORY else allowed


def _last(failure: event_pb2.Failure, count: int) -> event_pb2.Failure:
    if count <= 1:
        return failure
    message = f"{failure.message}; {count} attempts in a row left no newer checkpoint"
    return event_pb2.Failure(reason=failure.reason, message=message)
