from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class TrainingJobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRAINING_JOB_STATE_UNSPECIFIED: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_QUEUED: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_RUNNING: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_PAUSING: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_PAUSED: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_CANCELLING: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_SUCCEEDED: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_FAILED: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_CANCELLED: _ClassVar[TrainingJobState]

class TrainingPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRAINING_PHASE_UNSPECIFIED: _ClassVar[TrainingPhase]
    TRAINING_PHASE_PREPARING: _ClassVar[TrainingPhase]
    TRAINING_PHASE_CACHING_FEATURES: _ClassVar[TrainingPhase]
    TRAINING_PHASE_HEAD_WARMUP: _ClassVar[TrainingPhase]
    TRAINING_PHASE_TRAINING: _ClassVar[TrainingPhase]
    TRAINING_PHASE_EXPORTING: _ClassVar[TrainingPhase]
    TRAINING_PHASE_EVALUATING: _ClassVar[TrainingPhase]
    TRAINING_PHASE_PUBLISHING: _ClassVar[TrainingPhase]
TRAINING_JOB_STATE_UNSPECIFIED: TrainingJobState
TRAINING_JOB_STATE_QUEUED: TrainingJobState
TRAINING_JOB_STATE_RUNNING: TrainingJobState
TRAINING_JOB_STATE_PAUSING: TrainingJobState
TRAINING_JOB_STATE_PAUSED: TrainingJobState
TRAINING_JOB_STATE_CANCELLING: TrainingJobState
TRAINING_JOB_STATE_SUCCEEDED: TrainingJobState
TRAINING_JOB_STATE_FAILED: TrainingJobState
TRAINING_JOB_STATE_CANCELLED: TrainingJobState
TRAINING_PHASE_UNSPECIFIED: TrainingPhase
TRAINING_PHASE_PREPARING: TrainingPhase
TRAINING_PHASE_CACHING_FEATURES: TrainingPhase
TRAINING_PHASE_HEAD_WARMUP: TrainingPhase
TRAINING_PHASE_TRAINING: TrainingPhase
TRAINING_PHASE_EXPORTING: TrainingPhase
TRAINING_PHASE_EVALUATING: TrainingPhase
TRAINING_PHASE_PUBLISHING: TrainingPhase
