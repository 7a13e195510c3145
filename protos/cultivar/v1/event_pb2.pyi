import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from cultivar.v1 import state_pb2 as _state_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FitVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIT_VERDICT_UNSPECIFIED: _ClassVar[FitVerdict]
    FIT_VERDICT_UNDETERMINED: _ClassVar[FitVerdict]
    FIT_VERDICT_GOOD: _ClassVar[FitVerdict]
    FIT_VERDICT_UNDERFITTING: _ClassVar[FitVerdict]
    FIT_VERDICT_OVERFITTING: _ClassVar[FitVerdict]

class Symptom(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYMPTOM_UNSPECIFIED: _ClassVar[Symptom]
    SYMPTOM_VANISHING_GRADIENT: _ClassVar[Symptom]
    SYMPTOM_EXPLODING_GRADIENT: _ClassVar[Symptom]
    SYMPTOM_DEAD_UNITS: _ClassVar[Symptom]
    SYMPTOM_SATURATED_UNITS: _ClassVar[Symptom]
FIT_VERDICT_UNSPECIFIED: FitVerdict
FIT_VERDICT_UNDETERMINED: FitVerdict
FIT_VERDICT_GOOD: FitVerdict
FIT_VERDICT_UNDERFITTING: FitVerdict
FIT_VERDICT_OVERFITTING: FitVerdict
SYMPTOM_UNSPECIFIED: Symptom
SYMPTOM_VANISHING_GRADIENT: Symptom
SYMPTOM_EXPLODING_GRADIENT: Symptom
SYMPTOM_DEAD_UNITS: Symptom
SYMPTOM_SATURATED_UNITS: Symptom

class Progress(_message.Message):
    __slots__ = ("stage", "done", "total", "unit", "eta_seconds")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ETA_SECONDS_FIELD_NUMBER: _ClassVar[int]
    stage: str
    done: int
    total: int
    unit: str
    eta_seconds: float
    def __init__(self, stage: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., unit: _Optional[str] = ..., eta_seconds: _Optional[float] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class SplitSummary(_message.Message):
    __slots__ = ("split", "image_count", "class_counts")
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CLASS_COUNTS_FIELD_NUMBER: _ClassVar[int]
    split: str
    image_count: int
    class_counts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, split: _Optional[str] = ..., image_count: _Optional[int] = ..., class_counts: _Optional[_Iterable[int]] = ...) -> None: ...

class DataPrepared(_message.Message):
    __slots__ = ("splits", "sample_shape", "seconds")
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SHAPE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    splits: _containers.RepeatedCompositeFieldContainer[SplitSummary]
    sample_shape: _containers.RepeatedScalarFieldContainer[int]
    seconds: float
    def __init__(self, splits: _Optional[_Iterable[_Union[SplitSummary, _Mapping]]] = ..., sample_shape: _Optional[_Iterable[int]] = ..., seconds: _Optional[float] = ...) -> None: ...

class WeightsLoaded(_message.Message):
    __slots__ = ("source", "sha256", "tensors_loaded", "tensors_replaced", "tensors_missing")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    TENSORS_LOADED_FIELD_NUMBER: _ClassVar[int]
    TENSORS_REPLACED_FIELD_NUMBER: _ClassVar[int]
    TENSORS_MISSING_FIELD_NUMBER: _ClassVar[int]
    source: str
    sha256: str
    tensors_loaded: int
    tensors_replaced: _containers.RepeatedScalarFieldContainer[str]
    tensors_missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, source: _Optional[str] = ..., sha256: _Optional[str] = ..., tensors_loaded: _Optional[int] = ..., tensors_replaced: _Optional[_Iterable[str]] = ..., tensors_missing: _Optional[_Iterable[str]] = ...) -> None: ...

class NetworkBuilt(_message.Message):
    __slots__ = ("parameters", "trainable_parameters", "weights", "plan_json")
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    PLAN_JSON_FIELD_NUMBER: _ClassVar[int]
    parameters: int
    trainable_parameters: int
    weights: WeightsLoaded
    plan_json: str
    def __init__(self, parameters: _Optional[int] = ..., trainable_parameters: _Optional[int] = ..., weights: _Optional[_Union[WeightsLoaded, _Mapping]] = ..., plan_json: _Optional[str] = ...) -> None: ...

class EpochFinished(_message.Message):
    __slots__ = ("epoch", "epochs", "learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_top5_accuracy", "train_seconds", "val_seconds", "images_per_second", "best", "eta_seconds", "step", "gpu_memory_bytes", "host_memory_bytes", "val_macro_f1", "l2_penalty", "l1_penalty", "candidate", "phase")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    TRAIN_LOSS_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    VAL_LOSS_FIELD_NUMBER: _ClassVar[int]
    VAL_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    VAL_TOP5_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    TRAIN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    VAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    ETA_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    GPU_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    HOST_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    VAL_MACRO_F1_FIELD_NUMBER: _ClassVar[int]
    L2_PENALTY_FIELD_NUMBER: _ClassVar[int]
    L1_PENALTY_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    epochs: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_top5_accuracy: float
    train_seconds: float
    val_seconds: float
    images_per_second: float
    best: bool
    eta_seconds: float
    step: int
    gpu_memory_bytes: int
    host_memory_bytes: int
    val_macro_f1: float
    l2_penalty: float
    l1_penalty: float
    candidate: int
    phase: _state_pb2.TrainingPhase
    def __init__(self, epoch: _Optional[int] = ..., epochs: _Optional[int] = ..., learning_rate: _Optional[float] = ..., train_loss: _Optional[float] = ..., train_accuracy: _Optional[float] = ..., val_loss: _Optional[float] = ..., val_accuracy: _Optional[float] = ..., val_top5_accuracy: _Optional[float] = ..., train_seconds: _Optional[float] = ..., val_seconds: _Optional[float] = ..., images_per_second: _Optional[float] = ..., best: bool = ..., eta_seconds: _Optional[float] = ..., step: _Optional[int] = ..., gpu_memory_bytes: _Optional[int] = ..., host_memory_bytes: _Optional[int] = ..., val_macro_f1: _Optional[float] = ..., l2_penalty: _Optional[float] = ..., l1_penalty: _Optional[float] = ..., candidate: _Optional[int] = ..., phase: _Optional[_Union[_state_pb2.TrainingPhase, str]] = ...) -> None: ...

class CandidateFinished(_message.Message):
    __slots__ = ("candidate", "candidates", "learning_rate", "weight_decay", "best_epoch", "value", "best")
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    BEST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    candidate: int
    candidates: int
    learning_rate: float
    weight_decay: float
    best_epoch: int
    value: float
    best: bool
    def __init__(self, candidate: _Optional[int] = ..., candidates: _Optional[int] = ..., learning_rate: _Optional[float] = ..., weight_decay: _Optional[float] = ..., best_epoch: _Optional[int] = ..., value: _Optional[float] = ..., best: bool = ...) -> None: ...

class EarlyStopped(_message.Message):
    __slots__ = ("epoch", "best_epoch")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    BEST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    best_epoch: int
    def __init__(self, epoch: _Optional[int] = ..., best_epoch: _Optional[int] = ...) -> None: ...

class PlanChanged(_message.Message):
    __slots__ = ("reason", "phase", "step", "plan_json")
    REASON_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    PLAN_JSON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    phase: _state_pb2.TrainingPhase
    step: int
    plan_json: str
    def __init__(self, reason: _Optional[str] = ..., phase: _Optional[_Union[_state_pb2.TrainingPhase, str]] = ..., step: _Optional[int] = ..., plan_json: _Optional[str] = ...) -> None: ...

class NormalisationMeasured(_message.Message):
    __slots__ = ("mean", "std", "image_count")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    mean: _containers.RepeatedScalarFieldContainer[float]
    std: _containers.RepeatedScalarFieldContainer[float]
    image_count: int
    def __init__(self, mean: _Optional[_Iterable[float]] = ..., std: _Optional[_Iterable[float]] = ..., image_count: _Optional[int] = ...) -> None: ...

class ExportVerified(_message.Message):
    __slots__ = ("file_bytes", "sha256", "image_count", "max_probability_difference", "top1_differences")
    FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    MAX_PROBABILITY_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    TOP1_DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    file_bytes: int
    sha256: str
    image_count: int
    max_probability_difference: float
    top1_differences: int
    def __init__(self, file_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., image_count: _Optional[int] = ..., max_probability_difference: _Optional[float] = ..., top1_differences: _Optional[int] = ...) -> None: ...

class SplitMetrics(_message.Message):
    __slots__ = ("split", "image_count", "loss", "accuracy", "top5_accuracy", "macro_f1")
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    TOP5_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    MACRO_F1_FIELD_NUMBER: _ClassVar[int]
    split: str
    image_count: int
    loss: float
    accuracy: float
    top5_accuracy: float
    macro_f1: float
    def __init__(self, split: _Optional[str] = ..., image_count: _Optional[int] = ..., loss: _Optional[float] = ..., accuracy: _Optional[float] = ..., top5_accuracy: _Optional[float] = ..., macro_f1: _Optional[float] = ...) -> None: ...

class VersionPublished(_message.Message):
    __slots__ = ("model_version", "live", "reason")
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    model_version: str
    live: bool
    reason: str
    def __init__(self, model_version: _Optional[str] = ..., live: bool = ..., reason: _Optional[str] = ...) -> None: ...

class StateChanged(_message.Message):
    __slots__ = ("state", "error")
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    state: _state_pb2.TrainingJobState
    error: Failure
    def __init__(self, state: _Optional[_Union[_state_pb2.TrainingJobState, str]] = ..., error: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class AttemptFailed(_message.Message):
    __slots__ = ("cause", "attempts_without_progress", "retry_seconds")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_WITHOUT_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RETRY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    cause: Failure
    attempts_without_progress: int
    retry_seconds: float
    def __init__(self, cause: _Optional[_Union[Failure, _Mapping]] = ..., attempts_without_progress: _Optional[int] = ..., retry_seconds: _Optional[float] = ...) -> None: ...

class Placed(_message.Message):
    __slots__ = ("device", "uuid", "predicted_bytes", "free_bytes", "reason")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    device: str
    uuid: str
    predicted_bytes: int
    free_bytes: int
    reason: str
    def __init__(self, device: _Optional[str] = ..., uuid: _Optional[str] = ..., predicted_bytes: _Optional[int] = ..., free_bytes: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class PlacementRefused(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class TrainingResumed(_message.Message):
    __slots__ = ("phase", "candidate", "epoch", "step")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    phase: _state_pb2.TrainingPhase
    candidate: int
    epoch: int
    step: int
    def __init__(self, phase: _Optional[_Union[_state_pb2.TrainingPhase, str]] = ..., candidate: _Optional[int] = ..., epoch: _Optional[int] = ..., step: _Optional[int] = ...) -> None: ...

class CheckpointWritten(_message.Message):
    __slots__ = ("epoch", "step", "size_bytes")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    step: int
    size_bytes: int
    def __init__(self, epoch: _Optional[int] = ..., step: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class MemoryMeasured(_message.Message):
    __slots__ = ("gpu_bytes", "host_bytes")
    GPU_BYTES_FIELD_NUMBER: _ClassVar[int]
    HOST_BYTES_FIELD_NUMBER: _ClassVar[int]
    gpu_bytes: int
    host_bytes: int
    def __init__(self, gpu_bytes: _Optional[int] = ..., host_bytes: _Optional[int] = ...) -> None: ...

class Reproduction(_message.Message):
    __slots__ = ("identical", "comparisons", "environment")
    class Comparison(_message.Message):
        __slots__ = ("what", "expected", "found", "same")
        WHAT_FIELD_NUMBER: _ClassVar[int]
        EXPECTED_FIELD_NUMBER: _ClassVar[int]
        FOUND_FIELD_NUMBER: _ClassVar[int]
        SAME_FIELD_NUMBER: _ClassVar[int]
        what: str
        expected: str
        found: str
        same: bool
        def __init__(self, what: _Optional[str] = ..., expected: _Optional[str] = ..., found: _Optional[str] = ..., same: bool = ...) -> None: ...
    IDENTICAL_FIELD_NUMBER: _ClassVar[int]
    COMPARISONS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    identical: bool
    comparisons: _containers.RepeatedCompositeFieldContainer[Reproduction.Comparison]
    environment: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, identical: bool = ..., comparisons: _Optional[_Iterable[_Union[Reproduction.Comparison, _Mapping]]] = ..., environment: _Optional[_Iterable[str]] = ...) -> None: ...

class MembersCompared(_message.Message):
    __slots__ = ("members", "mean_accuracy", "combined_accuracy", "disagreement")
    class Member(_message.Message):
        __slots__ = ("model_version", "validation", "kept")
        MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
        VALIDATION_FIELD_NUMBER: _ClassVar[int]
        KEPT_FIELD_NUMBER: _ClassVar[int]
        model_version: str
        validation: SplitMetrics
        kept: bool
        def __init__(self, model_version: _Optional[str] = ..., validation: _Optional[_Union[SplitMetrics, _Mapping]] = ..., kept: bool = ...) -> None: ...
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    MEAN_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    COMBINED_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    DISAGREEMENT_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[MembersCompared.Member]
    mean_accuracy: float
    combined_accuracy: float
    disagreement: float
    def __init__(self, members: _Optional[_Iterable[_Union[MembersCompared.Member, _Mapping]]] = ..., mean_accuracy: _Optional[float] = ..., combined_accuracy: _Optional[float] = ..., disagreement: _Optional[float] = ...) -> None: ...

class FitAssessed(_message.Message):
    __slots__ = ("verdict", "reason", "remedy", "turning_epoch")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    TURNING_EPOCH_FIELD_NUMBER: _ClassVar[int]
    verdict: FitVerdict
    reason: str
    remedy: str
    turning_epoch: int
    def __init__(self, verdict: _Optional[_Union[FitVerdict, str]] = ..., reason: _Optional[str] = ..., remedy: _Optional[str] = ..., turning_epoch: _Optional[int] = ...) -> None: ...

class SymptomFound(_message.Message):
    __slots__ = ("symptom", "layer", "epoch", "value", "threshold", "message")
    SYMPTOM_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    symptom: Symptom
    layer: str
    epoch: int
    value: float
    threshold: float
    message: str
    def __init__(self, symptom: _Optional[_Union[Symptom, str]] = ..., layer: _Optional[str] = ..., epoch: _Optional[int] = ..., value: _Optional[float] = ..., threshold: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ("number", "time", "attempt", "state_changed", "phase_entered", "progress", "data_prepared", "network_built", "epoch_finished", "export_verified", "split_evaluated", "version_published", "warning", "candidate_finished", "early_stopped", "plan_changed", "normalisation_measured", "attempt_failed", "placed", "placement_refused", "training_resumed", "checkpoint_written", "memory_measured", "reproduced", "heartbeat", "members_compared", "fit_assessed", "symptom_found")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    PHASE_ENTERED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    DATA_PREPARED_FIELD_NUMBER: _ClassVar[int]
    NETWORK_BUILT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FINISHED_FIELD_NUMBER: _ClassVar[int]
    EXPORT_VERIFIED_FIELD_NUMBER: _ClassVar[int]
    SPLIT_EVALUATED_FIELD_NUMBER: _ClassVar[int]
    VERSION_PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FINISHED_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPED_FIELD_NUMBER: _ClassVar[int]
    PLAN_CHANGED_FIELD_NUMBER: _ClassVar[int]
    NORMALISATION_MEASURED_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FAILED_FIELD_NUMBER: _ClassVar[int]
    PLACED_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_REFUSED_FIELD_NUMBER: _ClassVar[int]
    TRAINING_RESUMED_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_WRITTEN_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MEASURED_FIELD_NUMBER: _ClassVar[int]
    REPRODUCED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_COMPARED_FIELD_NUMBER: _ClassVar[int]
    FIT_ASSESSED_FIELD_NUMBER: _ClassVar[int]
    SYMPTOM_FOUND_FIELD_NUMBER: _ClassVar[int]
    number: int
    time: _timestamp_pb2.Timestamp
    attempt: int
    state_changed: StateChanged
    phase_entered: _state_pb2.TrainingPhase
    progress: Progress
    data_prepared: DataPrepared
    network_built: NetworkBuilt
    epoch_finished: EpochFinished
    export_verified: ExportVerified
    split_evaluated: SplitMetrics
    version_published: VersionPublished
    warning: str
    candidate_finished: CandidateFinished
    early_stopped: EarlyStopped
    plan_changed: PlanChanged
    normalisation_measured: NormalisationMeasured
    attempt_failed: AttemptFailed
    placed: Placed
    placement_refused: PlacementRefused
    training_resumed: TrainingResumed
    checkpoint_written: CheckpointWritten
    memory_measured: MemoryMeasured
    reproduced: Reproduction
    heartbeat: Heartbeat
    members_compared: MembersCompared
    fit_assessed: FitAssessed
    symptom_found: SymptomFound
    def __init__(self, number: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., state_changed: _Optional[_Union[StateChanged, _Mapping]] = ..., phase_entered: _Optional[_Union[_state_pb2.TrainingPhase, str]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., data_prepared: _Optional[_Union[DataPrepared, _Mapping]] = ..., network_built: _Optional[_Union[NetworkBuilt, _Mapping]] = ..., epoch_finished: _Optional[_Union[EpochFinished, _Mapping]] = ..., export_verified: _Optional[_Union[ExportVerified, _Mapping]] = ..., split_evaluated: _Optional[_Union[SplitMetrics, _Mapping]] = ..., version_published: _Optional[_Union[VersionPublished, _Mapping]] = ..., warning: _Optional[str] = ..., candidate_finished: _Optional[_Union[CandidateFinished, _Mapping]] = ..., early_stopped: _Optional[_Union[EarlyStopped, _Mapping]] = ..., plan_changed: _Optional[_Union[PlanChanged, _Mapping]] = ..., normalisation_measured: _Optional[_Union[NormalisationMeasured, _Mapping]] = ..., attempt_failed: _Optional[_Union[AttemptFailed, _Mapping]] = ..., placed: _Optional[_Union[Placed, _Mapping]] = ..., placement_refused: _Optional[_Union[PlacementRefused, _Mapping]] = ..., training_resumed: _Optional[_Union[TrainingResumed, _Mapping]] = ..., checkpoint_written: _Optional[_Union[CheckpointWritten, _Mapping]] = ..., memory_measured: _Optional[_Union[MemoryMeasured, _Mapping]] = ..., reproduced: _Optional[_Union[Reproduction, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., members_compared: _Optional[_Union[MembersCompared, _Mapping]] = ..., fit_assessed: _Optional[_Union[FitAssessed, _Mapping]] = ..., symptom_found: _Optional[_Union[SymptomFound, _Mapping]] = ...) -> None: ...
