"""What follows an attempt that left nothing to publish."""

import pytest
from running_service import CANCELLED, CANCELLING, FAILED, PAUSED, PAUSING, QUEUED, RUNNING, scheduling

from cultivar.v1 import event_pb2, training_pb2, training_spec_pb2
from cultivar_service.catalog import job_record
from cultivar_service.training.aftermath import End, events_after

LOST = event_pb2.Failure(reason="TRAINER_LOST", message="killed")


def running_job(*, state: int = RUNNING, failed: int = 0, allowed: int | None = None) -> training_pb2.TrainingJob:
    limits = {} if allowed is None else {"scheduling": scheduling(attempts_without_progress=allowed)}
    recipe = training_spec_pb2.TrainingSpec(**limits)
    return training_pb2.TrainingJob(state=state, attempts_without_progress=failed, recipe=recipe, phase=4)


def after(job: training_pb2.TrainingJob, end: End) -> training_pb2.TrainingJob:
    for event in events_after(job, end, retry_delay_s=10.0):
        job_record.apply(job, event)
    return job


@pytest.mark.parametrize(
    ("state", "end", "following"),
    [
        (RUNNING, End(failure=LOST), QUEUED),
        (PAUSING, End(failure=LOST), PAUSED),
        (CANCELLING, End(failure=LOST), CANCELLED),
        (RUNNING, End(failure=LOST, demanded=True), FAILED),
        (PAUSING, End(failure=LOST, demanded=True), FAILED),
        (CANCELLING, End(failure=LOST, demanded=True), CANCELLED),
        (RUNNING, End(failure=event_pb2.Failure(reason="EMPTY_SPLIT")), FAILED),
        (PAUSING, End(failure=event_pb2.Failure(reason="EMPTY_SPLIT")), FAILED),
        (RUNNING, End(failure=event_pb2.Failure(reason="DEVICE_LOST")), QUEUED),
        (RUNNING, End(failure=event_pb2.Failure(reason="TRAINER_STOPPED")), QUEUED),
    ],
)
def test_the_state_and_the_cause_decide_what_follows(state: int, end: End, following: int) -> None:
    job = after(running_job(state=state), end)

    assert job.state == following
    assert not job.phase


@pytest.mark.parametrize(("failed", "delay_s"), [(0, 10), (1, 20), (2, 40), (5, 320), (6, 360), (99, 360)])
def test_each_attempt_without_progress_doubles_the_wait_up_to_six_minutes(failed: int, delay_s: float) -> None:
    events = events_after(running_job(failed=failed, allowed=100), End(failure=LOST), retry_delay_s=10.0)

    assert events[0].attempt_failed.retry_seconds == delay_s
    assert events[0].attempt_failed.attempts_without_progress == failed + 1


def test_no_retry_is_made_where_none_is_allowed() -> None:
    assert after(running_job(allowed=0), End(failure=LOST)).state == FAILED
    assert after(running_job(failed=3, allowed=3), End(failure=LOST)).state == FAILED
    assert after(running_job(failed=3, allowed=3), End(failure=LOST, made_progress=True)).state == QUEUED


def test_an_attempt_that_the_service_never_started_counts_for_nothing() -> None:
    job = after(running_job(failed=3, allowed=3), End(failure=LOST, never_ran=True, delay=False))

    assert (job.state, job.attempts_without_progress) == (QUEUED, 3)
    assert not job.HasField("retry_time")


def test_only_a_newer_checkpoint_is_progress() -> None:
    job = running_job(failed=2)

    def write(epoch: int, step: int) -> int:
        written = event_pb2.CheckpointWritten(epoch=epoch, step=step)
        job_record.apply(job, event_pb2.JobEvent(checkpoint_written=written))
        return job.attempts_without_progress

    first = write(2, 20)
    job.attempts_without_progress = 2
    older, same, newer = write(1, 10), write(2, 20), write(2, 21)
    job.attempts_without_progress = 2
    finished = event_pb2.JobEvent(candidate_finished=event_pb2.CandidateFinished(candidate=1, candidates=2))
    job_record.apply(job, finished)
    next_candidate = write(0, 0)

    assert (first, older, same, newer, next_candidate) == (0, 2, 2, 0, 0)
    assert job_record.progress_mark(job) == (1, 0, 0)
