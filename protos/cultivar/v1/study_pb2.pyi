import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from cultivar.v1 import event_pb2 as _event_pb2
from cultivar.v1 import state_pb2 as _state_pb2
from cultivar.v1 import training_spec_pb2 as _training_spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrainingStudyState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRAINING_STUDY_STATE_UNSPECIFIED: _ClassVar[TrainingStudyState]
    TRAINING_STUDY_STATE_RUNNING: _ClassVar[TrainingStudyState]
    TRAINING_STUDY_STATE_EVALUATING: _ClassVar[TrainingStudyState]
    TRAINING_STUDY_STATE_CANCELLING: _ClassVar[TrainingStudyState]
    TRAINING_STUDY_STATE_SUCCEEDED: _ClassVar[TrainingStudyState]
    TRAINING_STUDY_STATE_FAILED: _ClassVar[TrainingStudyState]
    TRAINING_STUDY_STATE_CANCELLED: _ClassVar[TrainingStudyState]

class StudyTest(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STUDY_TEST_UNSPECIFIED: _ClassVar[StudyTest]
    STUDY_TEST_WINNER: _ClassVar[StudyTest]
    STUDY_TEST_EACH: _ClassVar[StudyTest]
    STUDY_TEST_NONE: _ClassVar[StudyTest]
TRAINING_STUDY_STATE_UNSPECIFIED: TrainingStudyState
TRAINING_STUDY_STATE_RUNNING: TrainingStudyState
TRAINING_STUDY_STATE_EVALUATING: TrainingStudyState
TRAINING_STUDY_STATE_CANCELLING: TrainingStudyState
TRAINING_STUDY_STATE_SUCCEEDED: TrainingStudyState
TRAINING_STUDY_STATE_FAILED: TrainingStudyState
TRAINING_STUDY_STATE_CANCELLED: TrainingStudyState
STUDY_TEST_UNSPECIFIED: StudyTest
STUDY_TEST_WINNER: StudyTest
STUDY_TEST_EACH: StudyTest
STUDY_TEST_NONE: StudyTest

class StudyVariant(_message.Message):
    __slots__ = ("variant", "changes", "cleared")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    CLEARED_FIELD_NUMBER: _ClassVar[int]
    variant: str
    changes: _training_spec_pb2.TrainingSpec
    cleared: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, variant: _Optional[str] = ..., changes: _Optional[_Union[_training_spec_pb2.TrainingSpec, _Mapping]] = ..., cleared: _Optional[_Iterable[str]] = ...) -> None: ...

class TrainingStudySpec(_message.Message):
    __slots__ = ("title", "base", "variants", "seeds", "test")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    title: str
    base: _training_spec_pb2.TrainingSpec
    variants: _containers.RepeatedCompositeFieldContainer[StudyVariant]
    seeds: _containers.RepeatedScalarFieldContainer[int]
    test: StudyTest
    def __init__(self, title: _Optional[str] = ..., base: _Optional[_Union[_training_spec_pb2.TrainingSpec, _Mapping]] = ..., variants: _Optional[_Iterable[_Union[StudyVariant, _Mapping]]] = ..., seeds: _Optional[_Iterable[int]] = ..., test: _Optional[_Union[StudyTest, str]] = ...) -> None: ...

class StudyTrial(_message.Message):
    __slots__ = ("variant", "seed", "training_job", "state", "error", "model_version", "best_epoch", "validation", "test", "train_loss", "train_accuracy", "updates", "images_seen", "seconds")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    TRAINING_JOB_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    BEST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    TRAIN_LOSS_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    IMAGES_SEEN_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    variant: str
    seed: int
    training_job: str
    state: _state_pb2.TrainingJobState
    error: _event_pb2.Failure
    model_version: str
    best_epoch: int
    validation: _event_pb2.SplitMetrics
    test: _event_pb2.SplitMetrics
    train_loss: float
    train_accuracy: float
    updates: int
    images_seen: int
    seconds: float
    def __init__(self, variant: _Optional[str] = ..., seed: _Optional[int] = ..., training_job: _Optional[str] = ..., state: _Optional[_Union[_state_pb2.TrainingJobState, str]] = ..., error: _Optional[_Union[_event_pb2.Failure, _Mapping]] = ..., model_version: _Optional[str] = ..., best_epoch: _Optional[int] = ..., validation: _Optional[_Union[_event_pb2.SplitMetrics, _Mapping]] = ..., test: _Optional[_Union[_event_pb2.SplitMetrics, _Mapping]] = ..., train_loss: _Optional[float] = ..., train_accuracy: _Optional[float] = ..., updates: _Optional[int] = ..., images_seen: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class StudyStatistic(_message.Message):
    __slots__ = ("mean", "std", "count")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    mean: float
    std: float
    count: int
    def __init__(self, mean: _Optional[float] = ..., std: _Optional[float] = ..., count: _Optional[int] = ...) -> None: ...

class PairedDifference(_message.Message):
    __slots__ = ("mean", "low", "high", "pairs", "method")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    mean: float
    low: float
    high: float
    pairs: int
    method: str
    def __init__(self, mean: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., pairs: _Optional[int] = ..., method: _Optional[str] = ...) -> None: ...

class StudyRow(_message.Message):
    __slots__ = ("variant", "changes", "principle", "succeeded", "failed", "validation_accuracy", "validation_loss", "selection", "difference", "test_accuracy", "test_loss", "seconds", "updates", "images_seen")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    PRINCIPLE_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_LOSS_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    TEST_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    TEST_LOSS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    IMAGES_SEEN_FIELD_NUMBER: _ClassVar[int]
    variant: str
    changes: _containers.RepeatedScalarFieldContainer[str]
    principle: str
    succeeded: int
    failed: int
    validation_accuracy: StudyStatistic
    validation_loss: StudyStatistic
    selection: StudyStatistic
    difference: PairedDifference
    test_accuracy: StudyStatistic
    test_loss: StudyStatistic
    seconds: StudyStatistic
    updates: StudyStatistic
    images_seen: StudyStatistic
    def __init__(self, variant: _Optional[str] = ..., changes: _Optional[_Iterable[str]] = ..., principle: _Optional[str] = ..., succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., validation_accuracy: _Optional[_Union[StudyStatistic, _Mapping]] = ..., validation_loss: _Optional[_Union[StudyStatistic, _Mapping]] = ..., selection: _Optional[_Union[StudyStatistic, _Mapping]] = ..., difference: _Optional[_Union[PairedDifference, _Mapping]] = ..., test_accuracy: _Optional[_Union[StudyStatistic, _Mapping]] = ..., test_loss: _Optional[_Union[StudyStatistic, _Mapping]] = ..., seconds: _Optional[_Union[StudyStatistic, _Mapping]] = ..., updates: _Optional[_Union[StudyStatistic, _Mapping]] = ..., images_seen: _Optional[_Union[StudyStatistic, _Mapping]] = ...) -> None: ...

class TrainingStudy(_message.Message):
    __slots__ = ("name", "state", "spec", "warnings", "trials", "rows", "winner", "conclusion", "winner_model_version", "error", "create_time", "end_time", "creator", "last_event", "validation_images")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    WINNER_FIELD_NUMBER: _ClassVar[int]
    CONCLUSION_FIELD_NUMBER: _ClassVar[int]
    WINNER_MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_IMAGES_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: TrainingStudyState
    spec: TrainingStudySpec
    warnings: _containers.RepeatedScalarFieldContainer[str]
    trials: _containers.RepeatedCompositeFieldContainer[StudyTrial]
    rows: _containers.RepeatedCompositeFieldContainer[StudyRow]
    winner: str
    conclusion: str
    winner_model_version: str
    error: _event_pb2.Failure
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    creator: str
    last_event: int
    validation_images: str
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[TrainingStudyState, str]] = ..., spec: _Optional[_Union[TrainingStudySpec, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., trials: _Optional[_Iterable[_Union[StudyTrial, _Mapping]]] = ..., rows: _Optional[_Iterable[_Union[StudyRow, _Mapping]]] = ..., winner: _Optional[str] = ..., conclusion: _Optional[str] = ..., winner_model_version: _Optional[str] = ..., error: _Optional[_Union[_event_pb2.Failure, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., creator: _Optional[str] = ..., last_event: _Optional[int] = ..., validation_images: _Optional[str] = ...) -> None: ...

class StudyEvent(_message.Message):
    __slots__ = ("number", "time", "state_changed", "trial_changed", "trial_tested", "winner_chosen", "warning", "heartbeat")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    TRIAL_CHANGED_FIELD_NUMBER: _ClassVar[int]
    TRIAL_TESTED_FIELD_NUMBER: _ClassVar[int]
    WINNER_CHOSEN_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    number: int
    time: _timestamp_pb2.Timestamp
    state_changed: TrainingStudyState
    trial_changed: StudyTrial
    trial_tested: StudyTrial
    winner_chosen: str
    warning: str
    heartbeat: _event_pb2.Heartbeat
    def __init__(self, number: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state_changed: _Optional[_Union[TrainingStudyState, str]] = ..., trial_changed: _Optional[_Union[StudyTrial, _Mapping]] = ..., trial_tested: _Optional[_Union[StudyTrial, _Mapping]] = ..., winner_chosen: _Optional[str] = ..., warning: _Optional[str] = ..., heartbeat: _Optional[_Union[_event_pb2.Heartbeat, _Mapping]] = ...) -> None: ...

class CreateTrainingStudyRequest(_message.Message):
    __slots__ = ("spec", "request_id", "validate_only")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    spec: TrainingStudySpec
    request_id: str
    validate_only: bool
    def __init__(self, spec: _Optional[_Union[TrainingStudySpec, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class GetTrainingStudyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListTrainingStudiesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "mine")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MINE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    mine: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., mine: bool = ...) -> None: ...

class ListTrainingStudiesResponse(_message.Message):
    __slots__ = ("training_studies", "next_page_token")
    TRAINING_STUDIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    training_studies: _containers.RepeatedCompositeFieldContainer[TrainingStudy]
    next_page_token: str
    def __init__(self, training_studies: _Optional[_Iterable[_Union[TrainingStudy, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchTrainingStudyRequest(_message.Message):
    __slots__ = ("name", "after_event", "heartbeat_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_EVENT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_event: int
    heartbeat_seconds: float
    def __init__(self, name: _Optional[str] = ..., after_event: _Optional[int] = ..., heartbeat_seconds: _Optional[float] = ...) -> None: ...

class CancelTrainingStudyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteTrainingStudyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...
