from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FineTuningMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINE_TUNING_MODE_UNSPECIFIED: _ClassVar[FineTuningMode]
    FINE_TUNING_MODE_SCRATCH: _ClassVar[FineTuningMode]
    FINE_TUNING_MODE_FULL: _ClassVar[FineTuningMode]
    FINE_TUNING_MODE_HEAD: _ClassVar[FineTuningMode]
    FINE_TUNING_MODE_LAST_BLOCKS: _ClassVar[FineTuningMode]
    FINE_TUNING_MODE_GRADUAL: _ClassVar[FineTuningMode]

class Stem(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STEM_UNSPECIFIED: _ClassVar[Stem]
    STEM_IMAGENET: _ClassVar[Stem]
    STEM_CIFAR: _ClassVar[Stem]

class OptimizerKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPTIMIZER_KIND_UNSPECIFIED: _ClassVar[OptimizerKind]
    OPTIMIZER_KIND_SGD: _ClassVar[OptimizerKind]
    OPTIMIZER_KIND_ADAMW: _ClassVar[OptimizerKind]

class ScheduleKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCHEDULE_KIND_UNSPECIFIED: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_CONSTANT: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_STEP: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_COSINE: _ClassVar[ScheduleKind]

class SelectionMetric(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SELECTION_METRIC_UNSPECIFIED: _ClassVar[SelectionMetric]
    SELECTION_METRIC_LOSS: _ClassVar[SelectionMetric]
    SELECTION_METRIC_TOP1: _ClassVar[SelectionMetric]
    SELECTION_METRIC_TOP5: _ClassVar[SelectionMetric]
    SELECTION_METRIC_MACRO_F1: _ClassVar[SelectionMetric]

class PublishPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PUBLISH_POLICY_UNSPECIFIED: _ClassVar[PublishPolicy]
    PUBLISH_POLICY_FIRST_OR_BETTER: _ClassVar[PublishPolicy]
    PUBLISH_POLICY_ALWAYS: _ClassVar[PublishPolicy]
    PUBLISH_POLICY_NEVER: _ClassVar[PublishPolicy]

class TestEvaluation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEST_EVALUATION_UNSPECIFIED: _ClassVar[TestEvaluation]
    TEST_EVALUATION_AT_END: _ClassVar[TestEvaluation]
    TEST_EVALUATION_DEFERRED: _ClassVar[TestEvaluation]
    TEST_EVALUATION_NEVER: _ClassVar[TestEvaluation]

class FeatureCache(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEATURE_CACHE_UNSPECIFIED: _ClassVar[FeatureCache]
    FEATURE_CACHE_AUTO: _ClassVar[FeatureCache]
    FEATURE_CACHE_OFF: _ClassVar[FeatureCache]

class Tuning(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TUNING_UNSPECIFIED: _ClassVar[Tuning]
    TUNING_TABLE: _ClassVar[Tuning]
    TUNING_MEASURED: _ClassVar[Tuning]
FINE_TUNING_MODE_UNSPECIFIED: FineTuningMode
FINE_TUNING_MODE_SCRATCH: FineTuningMode
FINE_TUNING_MODE_FULL: FineTuningMode
FINE_TUNING_MODE_HEAD: FineTuningMode
FINE_TUNING_MODE_LAST_BLOCKS: FineTuningMode
FINE_TUNING_MODE_GRADUAL: FineTuningMode
STEM_UNSPECIFIED: Stem
STEM_IMAGENET: Stem
STEM_CIFAR: Stem
OPTIMIZER_KIND_UNSPECIFIED: OptimizerKind
OPTIMIZER_KIND_SGD: OptimizerKind
OPTIMIZER_KIND_ADAMW: OptimizerKind
SCHEDULE_KIND_UNSPECIFIED: ScheduleKind
SCHEDULE_KIND_CONSTANT: ScheduleKind
SCHEDULE_KIND_STEP: ScheduleKind
SCHEDULE_KIND_COSINE: ScheduleKind
SELECTION_METRIC_UNSPECIFIED: SelectionMetric
SELECTION_METRIC_LOSS: SelectionMetric
SELECTION_METRIC_TOP1: SelectionMetric
SELECTION_METRIC_TOP5: SelectionMetric
SELECTION_METRIC_MACRO_F1: SelectionMetric
PUBLISH_POLICY_UNSPECIFIED: PublishPolicy
PUBLISH_POLICY_FIRST_OR_BETTER: PublishPolicy
PUBLISH_POLICY_ALWAYS: PublishPolicy
PUBLISH_POLICY_NEVER: PublishPolicy
TEST_EVALUATION_UNSPECIFIED: TestEvaluation
TEST_EVALUATION_AT_END: TestEvaluation
TEST_EVALUATION_DEFERRED: TestEvaluation
TEST_EVALUATION_NEVER: TestEvaluation
FEATURE_CACHE_UNSPECIFIED: FeatureCache
FEATURE_CACHE_AUTO: FeatureCache
FEATURE_CACHE_OFF: FeatureCache
TUNING_UNSPECIFIED: Tuning
TUNING_TABLE: Tuning
TUNING_MEASURED: Tuning

class TrainingSpec(_message.Message):
    __slots__ = ("dataset", "model", "architecture", "weights", "mode", "last_blocks", "network", "input", "data", "augmentation", "optimizer", "schedule", "loss", "epochs", "batch_size", "seed", "selection_metric", "publish", "test_evaluation", "execution")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    LAST_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    AUGMENTATION_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SELECTION_METRIC_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    TEST_EVALUATION_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    model: str
    architecture: str
    weights: str
    mode: FineTuningMode
    last_blocks: int
    network: NetworkSpec
    input: InputSpec
    data: DataSpec
    augmentation: AugmentationSpec
    optimizer: OptimizerSpec
    schedule: ScheduleSpec
    loss: LossSpec
    epochs: int
    batch_size: int
    seed: int
    selection_metric: SelectionMetric
    publish: PublishPolicy
    test_evaluation: TestEvaluation
    execution: ExecutionSpec
    def __init__(self, dataset: _Optional[str] = ..., model: _Optional[str] = ..., architecture: _Optional[str] = ..., weights: _Optional[str] = ..., mode: _Optional[_Union[FineTuningMode, str]] = ..., last_blocks: _Optional[int] = ..., network: _Optional[_Union[NetworkSpec, _Mapping]] = ..., input: _Optional[_Union[InputSpec, _Mapping]] = ..., data: _Optional[_Union[DataSpec, _Mapping]] = ..., augmentation: _Optional[_Union[AugmentationSpec, _Mapping]] = ..., optimizer: _Optional[_Union[OptimizerSpec, _Mapping]] = ..., schedule: _Optional[_Union[ScheduleSpec, _Mapping]] = ..., loss: _Optional[_Union[LossSpec, _Mapping]] = ..., epochs: _Optional[int] = ..., batch_size: _Optional[int] = ..., seed: _Optional[int] = ..., selection_metric: _Optional[_Union[SelectionMetric, str]] = ..., publish: _Optional[_Union[PublishPolicy, str]] = ..., test_evaluation: _Optional[_Union[TestEvaluation, str]] = ..., execution: _Optional[_Union[ExecutionSpec, _Mapping]] = ...) -> None: ...

class NetworkSpec(_message.Message):
    __slots__ = ("stem", "head_dropout")
    STEM_FIELD_NUMBER: _ClassVar[int]
    HEAD_DROPOUT_FIELD_NUMBER: _ClassVar[int]
    stem: Stem
    head_dropout: float
    def __init__(self, stem: _Optional[_Union[Stem, str]] = ..., head_dropout: _Optional[float] = ...) -> None: ...

class InputSpec(_message.Message):
    __slots__ = ("size", "channels")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    size: int
    channels: int
    def __init__(self, size: _Optional[int] = ..., channels: _Optional[int] = ...) -> None: ...

class DataSpec(_message.Message):
    __slots__ = ("classes", "max_train_images", "max_val_images", "max_test_images", "max_train_images_per_class", "max_val_images_per_class", "max_test_images_per_class", "seed")
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    MAX_TRAIN_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_VAL_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_TEST_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_TRAIN_IMAGES_PER_CLASS_FIELD_NUMBER: _ClassVar[int]
    MAX_VAL_IMAGES_PER_CLASS_FIELD_NUMBER: _ClassVar[int]
    MAX_TEST_IMAGES_PER_CLASS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedScalarFieldContainer[str]
    max_train_images: int
    max_val_images: int
    max_test_images: int
    max_train_images_per_class: int
    max_val_images_per_class: int
    max_test_images_per_class: int
    seed: int
    def __init__(self, classes: _Optional[_Iterable[str]] = ..., max_train_images: _Optional[int] = ..., max_val_images: _Optional[int] = ..., max_test_images: _Optional[int] = ..., max_train_images_per_class: _Optional[int] = ..., max_val_images_per_class: _Optional[int] = ..., max_test_images_per_class: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class AugmentationSpec(_message.Message):
    __slots__ = ("horizontal_flip", "padded_crop", "resized_crop", "brightness", "contrast", "saturation", "hue")
    HORIZONTAL_FLIP_FIELD_NUMBER: _ClassVar[int]
    PADDED_CROP_FIELD_NUMBER: _ClassVar[int]
    RESIZED_CROP_FIELD_NUMBER: _ClassVar[int]
    BRIGHTNESS_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_FIELD_NUMBER: _ClassVar[int]
    SATURATION_FIELD_NUMBER: _ClassVar[int]
    HUE_FIELD_NUMBER: _ClassVar[int]
    horizontal_flip: float
    padded_crop: int
    resized_crop: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    def __init__(self, horizontal_flip: _Optional[float] = ..., padded_crop: _Optional[int] = ..., resized_crop: _Optional[float] = ..., brightness: _Optional[float] = ..., contrast: _Optional[float] = ..., saturation: _Optional[float] = ..., hue: _Optional[float] = ...) -> None: ...

class OptimizerSpec(_message.Message):
    __slots__ = ("kind", "learning_rate", "momentum", "nesterov", "weight_decay")
    KIND_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    NESTEROV_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    kind: OptimizerKind
    learning_rate: float
    momentum: float
    nesterov: bool
    weight_decay: float
    def __init__(self, kind: _Optional[_Union[OptimizerKind, str]] = ..., learning_rate: _Optional[float] = ..., momentum: _Optional[float] = ..., nesterov: bool = ..., weight_decay: _Optional[float] = ...) -> None: ...

class ScheduleSpec(_message.Message):
    __slots__ = ("kind", "warmup_epochs", "step_epochs", "step_factor")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WARMUP_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    STEP_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    STEP_FACTOR_FIELD_NUMBER: _ClassVar[int]
    kind: ScheduleKind
    warmup_epochs: float
    step_epochs: int
    step_factor: float
    def __init__(self, kind: _Optional[_Union[ScheduleKind, str]] = ..., warmup_epochs: _Optional[float] = ..., step_epochs: _Optional[int] = ..., step_factor: _Optional[float] = ...) -> None: ...

class LossSpec(_message.Message):
    __slots__ = ("label_smoothing",)
    LABEL_SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    label_smoothing: float
    def __init__(self, label_smoothing: _Optional[float] = ...) -> None: ...

class ExecutionSpec(_message.Message):
    __slots__ = ("device", "feature_cache", "tuning", "memory_limit_bytes")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FEATURE_CACHE_FIELD_NUMBER: _ClassVar[int]
    TUNING_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    device: str
    feature_cache: FeatureCache
    tuning: Tuning
    memory_limit_bytes: int
    def __init__(self, device: _Optional[str] = ..., feature_cache: _Optional[_Union[FeatureCache, str]] = ..., tuning: _Optional[_Union[Tuning, str]] = ..., memory_limit_bytes: _Optional[int] = ...) -> None: ...
