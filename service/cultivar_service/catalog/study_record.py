"""Names, states and events of studies."""

from collections.abc import Mapping

from cultivar.v1 import study_pb2

RUNNING = study_pb2.TRAINING_STUDY_STATE_RUNNING
EVALUATING = study_pb2.TRAINING_STUDY_STATE_EVALUATING
CANCELLING = study_pb2.TRAINING_STUDY_STATE_CANCELLING
SUCCEEDED = study_pb2.TRAINING_STUDY_STATE_SUCCEEDED
FAILED = study_pb2.TRAINING_STUDY_STATE_FAILED
CANCELLED = study_pb2.TRAINING_STUDY_STATE_CANCELLED
FINAL = frozenset((SUCCEEDED, FAILED, CANCELLED))
UNDER_WAY = frozenset((RUNNING, EVALUATING, CANCELLING))
STUDIES = "trainingStudies/"
"""How the names of studies begin."""
_STATE_PREFIX = "TRAINING_STUDY_STATE_"
STATE_NAMES: Mapping[int, str] = {
    value.number: value.name.removeprefix(_STATE_PREFIX)
    for value in study_pb2.TrainingStudyState.DESCRIPTOR.values
    if value.number
}
"""Names of all states, without their prefix."""


def identifier(study: study_pb2.TrainingStudy) -> str:
    """Return a study's bare identifier."""
    return study.name.removeprefix(STUDIES)


def enter(study: study_pb2.TrainingStudy, state: study_pb2.TrainingStudyState) -> study_pb2.StudyEvent:
    """Bring a study into a state, and return the event of that."""
    study.state = state
    event = now(study_pb2.StudyEvent(state_changed=state))
    if state in FINAL:
        study.end_time.CopyFrom(event.time)
    return event


def now(event: study_pb2.StudyEvent) -> study_pb2.StudyEvent:
    """Say that an event happens now."""
    event.time.GetCurrentTime()
    return event
