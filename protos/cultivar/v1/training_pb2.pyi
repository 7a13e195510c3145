import datetime

from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from cultivar.v1 import architecture_pb2 as _architecture_pb2
from cultivar.v1 import evaluation_pb2 as _evaluation_pb2
from cultivar.v1 import event_pb2 as _event_pb2
from cultivar.v1 import state_pb2 as _state_pb2
from cultivar.v1 import study_pb2 as _study_pb2
from cultivar.v1 import training_spec_pb2 as _training_spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CombinationMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMBINATION_METHOD_UNSPECIFIED: _ClassVar[CombinationMethod]
    COMBINATION_METHOD_ENSEMBLE: _ClassVar[CombinationMethod]
    COMBINATION_METHOD_SOUP: _ClassVar[CombinationMethod]
COMBINATION_METHOD_UNSPECIFIED: CombinationMethod
COMBINATION_METHOD_ENSEMBLE: CombinationMethod
COMBINATION_METHOD_SOUP: CombinationMethod

class TrainingJob(_message.Message):
    __slots__ = ("name", "state", "phase", "spec", "recipe", "warnings", "create_time", "start_time", "end_time", "attempt", "latest_epoch", "best_epoch", "metrics", "model_version", "error", "progress", "last_event", "export_verified", "candidates", "creator", "queue_position", "expected_start_time", "retry_time", "attempts_without_progress", "placement", "waiting_reason", "run_seconds", "export_only", "reproduces", "reproduction", "checkpoint", "memory", "study", "combination", "members_compared", "fit", "symptoms")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    LATEST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    BEST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_FIELD_NUMBER: _ClassVar[int]
    EXPORT_VERIFIED_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_START_TIME_FIELD_NUMBER: _ClassVar[int]
    RETRY_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_WITHOUT_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    WAITING_REASON_FIELD_NUMBER: _ClassVar[int]
    RUN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    EXPORT_ONLY_FIELD_NUMBER: _ClassVar[int]
    REPRODUCES_FIELD_NUMBER: _ClassVar[int]
    REPRODUCTION_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    COMBINATION_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_COMPARED_FIELD_NUMBER: _ClassVar[int]
    FIT_FIELD_NUMBER: _ClassVar[int]
    SYMPTOMS_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: _state_pb2.TrainingJobState
    phase: _state_pb2.TrainingPhase
    spec: _training_spec_pb2.TrainingSpec
    recipe: _training_spec_pb2.TrainingSpec
    warnings: _containers.RepeatedScalarFieldContainer[str]
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    attempt: int
    latest_epoch: _event_pb2.EpochFinished
    best_epoch: _event_pb2.EpochFinished
    metrics: _containers.RepeatedCompositeFieldContainer[_event_pb2.SplitMetrics]
    model_version: str
    error: _event_pb2.Failure
    progress: _event_pb2.Progress
    last_event: int
    export_verified: _event_pb2.ExportVerified
    candidates: _containers.RepeatedCompositeFieldContainer[_event_pb2.CandidateFinished]
    creator: str
    queue_position: int
    expected_start_time: _timestamp_pb2.Timestamp
    retry_time: _timestamp_pb2.Timestamp
    attempts_without_progress: int
    placement: _event_pb2.Placed
    waiting_reason: str
    run_seconds: float
    export_only: bool
    reproduces: str
    reproduction: _event_pb2.Reproduction
    checkpoint: _event_pb2.CheckpointWritten
    memory: _event_pb2.MemoryMeasured
    study: str
    combination: Combination
    members_compared: _event_pb2.MembersCompared
    fit: _event_pb2.FitAssessed
    symptoms: _containers.RepeatedCompositeFieldContainer[_event_pb2.SymptomFound]
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[_state_pb2.TrainingJobState, str]] = ..., phase: _Optional[_Union[_state_pb2.TrainingPhase, str]] = ..., spec: _Optional[_Union[_training_spec_pb2.TrainingSpec, _Mapping]] = ..., recipe: _Optional[_Union[_training_spec_pb2.TrainingSpec, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., latest_epoch: _Optional[_Union[_event_pb2.EpochFinished, _Mapping]] = ..., best_epoch: _Optional[_Union[_event_pb2.EpochFinished, _Mapping]] = ..., metrics: _Optional[_Iterable[_Union[_event_pb2.SplitMetrics, _Mapping]]] = ..., model_version: _Optional[str] = ..., error: _Optional[_Union[_event_pb2.Failure, _Mapping]] = ..., progress: _Optional[_Union[_event_pb2.Progress, _Mapping]] = ..., last_event: _Optional[int] = ..., export_verified: _Optional[_Union[_event_pb2.ExportVerified, _Mapping]] = ..., candidates: _Optional[_Iterable[_Union[_event_pb2.CandidateFinished, _Mapping]]] = ..., creator: _Optional[str] = ..., queue_position: _Optional[int] = ..., expected_start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., retry_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts_without_progress: _Optional[int] = ..., placement: _Optional[_Union[_event_pb2.Placed, _Mapping]] = ..., waiting_reason: _Optional[str] = ..., run_seconds: _Optional[float] = ..., export_only: bool = ..., reproduces: _Optional[str] = ..., reproduction: _Optional[_Union[_event_pb2.Reproduction, _Mapping]] = ..., checkpoint: _Optional[_Union[_event_pb2.CheckpointWritten, _Mapping]] = ..., memory: _Optional[_Union[_event_pb2.MemoryMeasured, _Mapping]] = ..., study: _Optional[str] = ..., combination: _Optional[_Union[Combination, _Mapping]] = ..., members_compared: _Optional[_Union[_event_pb2.MembersCompared, _Mapping]] = ..., fit: _Optional[_Union[_event_pb2.FitAssessed, _Mapping]] = ..., symptoms: _Optional[_Iterable[_Union[_event_pb2.SymptomFound, _Mapping]]] = ...) -> None: ...

class Combination(_message.Message):
    __slots__ = ("method", "members", "parameters")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    method: CombinationMethod
    members: _containers.RepeatedScalarFieldContainer[str]
    parameters: int
    def __init__(self, method: _Optional[_Union[CombinationMethod, str]] = ..., members: _Optional[_Iterable[str]] = ..., parameters: _Optional[int] = ...) -> None: ...

class CreateTrainingJobRequest(_message.Message):
    __slots__ = ("spec", "request_id", "validate_only")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    spec: _training_spec_pb2.TrainingSpec
    request_id: str
    validate_only: bool
    def __init__(self, spec: _Optional[_Union[_training_spec_pb2.TrainingSpec, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class GetTrainingJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListTrainingJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states", "mine")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    MINE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[_state_pb2.TrainingJobState]
    mine: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_state_pb2.TrainingJobState, str]]] = ..., mine: bool = ...) -> None: ...

class ListTrainingJobsResponse(_message.Message):
    __slots__ = ("training_jobs", "next_page_token")
    TRAINING_JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    training_jobs: _containers.RepeatedCompositeFieldContainer[TrainingJob]
    next_page_token: str
    def __init__(self, training_jobs: _Optional[_Iterable[_Union[TrainingJob, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchTrainingJobRequest(_message.Message):
    __slots__ = ("name", "after_event", "heartbeat_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_EVENT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_event: int
    heartbeat_seconds: float
    def __init__(self, name: _Optional[str] = ..., after_event: _Optional[int] = ..., heartbeat_seconds: _Optional[float] = ...) -> None: ...

class StreamTrainingLogsRequest(_message.Message):
    __slots__ = ("name", "offset", "follow", "heartbeat_seconds", "attempt")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    name: str
    offset: int
    follow: bool
    heartbeat_seconds: float
    attempt: int
    def __init__(self, name: _Optional[str] = ..., offset: _Optional[int] = ..., follow: bool = ..., heartbeat_seconds: _Optional[float] = ..., attempt: _Optional[int] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("offset", "text", "next_offset", "attempt")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    offset: int
    text: str
    next_offset: int
    attempt: int
    def __init__(self, offset: _Optional[int] = ..., text: _Optional[str] = ..., next_offset: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class CancelTrainingJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class PauseTrainingJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ResumeTrainingJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ExportTrainingJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListGpusRequest(_message.Message):
    __slots__ = ("memory_bytes",)
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    memory_bytes: int
    def __init__(self, memory_bytes: _Optional[int] = ...) -> None: ...

class GpuProcess(_message.Message):
    __slots__ = ("pid", "used_bytes", "owner")
    PID_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    pid: int
    used_bytes: int
    owner: str
    def __init__(self, pid: _Optional[int] = ..., used_bytes: _Optional[int] = ..., owner: _Optional[str] = ...) -> None: ...

class Gpu(_message.Message):
    __slots__ = ("index", "uuid", "name", "total_bytes", "used_bytes", "reserved_bytes", "free_bytes", "processes", "max_processes")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESERVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    MAX_PROCESSES_FIELD_NUMBER: _ClassVar[int]
    index: int
    uuid: str
    name: str
    total_bytes: int
    used_bytes: int
    reserved_bytes: int
    free_bytes: int
    processes: _containers.RepeatedCompositeFieldContainer[GpuProcess]
    max_processes: int
    def __init__(self, index: _Optional[int] = ..., uuid: _Optional[str] = ..., name: _Optional[str] = ..., total_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ..., reserved_bytes: _Optional[int] = ..., free_bytes: _Optional[int] = ..., processes: _Optional[_Iterable[_Union[GpuProcess, _Mapping]]] = ..., max_processes: _Optional[int] = ...) -> None: ...

class ListGpusResponse(_message.Message):
    __slots__ = ("gpus", "placement", "cores", "cores_used", "host_total_bytes", "host_free_bytes")
    GPUS_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    CORES_USED_FIELD_NUMBER: _ClassVar[int]
    HOST_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    HOST_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    gpus: _containers.RepeatedCompositeFieldContainer[Gpu]
    placement: str
    cores: int
    cores_used: int
    host_total_bytes: int
    host_free_bytes: int
    def __init__(self, gpus: _Optional[_Iterable[_Union[Gpu, _Mapping]]] = ..., placement: _Optional[str] = ..., cores: _Optional[int] = ..., cores_used: _Optional[int] = ..., host_total_bytes: _Optional[int] = ..., host_free_bytes: _Optional[int] = ...) -> None: ...

class DeleteTrainingJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DescribeTrainingSpecRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TrainingSpecField(_message.Message):
    __slots__ = ("path", "type", "unit", "range", "default_value", "help", "source", "supported")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SUPPORTED_FIELD_NUMBER: _ClassVar[int]
    path: str
    type: str
    unit: str
    range: str
    default_value: str
    help: str
    source: str
    supported: bool
    def __init__(self, path: _Optional[str] = ..., type: _Optional[str] = ..., unit: _Optional[str] = ..., range: _Optional[str] = ..., default_value: _Optional[str] = ..., help: _Optional[str] = ..., source: _Optional[str] = ..., supported: bool = ...) -> None: ...

class DescribeTrainingSpecResponse(_message.Message):
    __slots__ = ("fields",)
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    fields: _containers.RepeatedCompositeFieldContainer[TrainingSpecField]
    def __init__(self, fields: _Optional[_Iterable[_Union[TrainingSpecField, _Mapping]]] = ...) -> None: ...

class PreviewAugmentationRequest(_message.Message):
    __slots__ = ("spec", "images", "columns")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    spec: _training_spec_pb2.TrainingSpec
    images: int
    columns: int
    def __init__(self, spec: _Optional[_Union[_training_spec_pb2.TrainingSpec, _Mapping]] = ..., images: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...

class PreviewChunk(_message.Message):
    __slots__ = ("data", "size_bytes")
    DATA_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    size_bytes: int
    def __init__(self, data: _Optional[bytes] = ..., size_bytes: _Optional[int] = ...) -> None: ...
