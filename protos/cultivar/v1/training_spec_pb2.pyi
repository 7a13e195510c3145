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

class Activation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTIVATION_UNSPECIFIED: _ClassVar[Activation]
    ACTIVATION_RELU: _ClassVar[Activation]
    ACTIVATION_LEAKY_RELU: _ClassVar[Activation]
    ACTIVATION_SIGMOID: _ClassVar[Activation]
    ACTIVATION_TANH: _ClassVar[Activation]

class InitialisationScheme(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INITIALISATION_SCHEME_UNSPECIFIED: _ClassVar[InitialisationScheme]
    INITIALISATION_SCHEME_HE: _ClassVar[InitialisationScheme]
    INITIALISATION_SCHEME_XAVIER: _ClassVar[InitialisationScheme]
    INITIALISATION_SCHEME_LECUN: _ClassVar[InitialisationScheme]

class InitialisationDistribution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INITIALISATION_DISTRIBUTION_UNSPECIFIED: _ClassVar[InitialisationDistribution]
    INITIALISATION_DISTRIBUTION_NORMAL: _ClassVar[InitialisationDistribution]
    INITIALISATION_DISTRIBUTION_UNIFORM: _ClassVar[InitialisationDistribution]

class Fan(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAN_UNSPECIFIED: _ClassVar[Fan]
    FAN_IN: _ClassVar[Fan]
    FAN_OUT: _ClassVar[Fan]
    FAN_AVERAGE: _ClassVar[Fan]

class Normalisation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NORMALISATION_UNSPECIFIED: _ClassVar[Normalisation]
    NORMALISATION_PRETRAINED: _ClassVar[Normalisation]
    NORMALISATION_UNIT: _ClassVar[Normalisation]
    NORMALISATION_SYMMETRIC: _ClassVar[Normalisation]
    NORMALISATION_MIN_MAX: _ClassVar[Normalisation]
    NORMALISATION_IMAGENET: _ClassVar[Normalisation]
    NORMALISATION_MEASURED: _ClassVar[Normalisation]

class OptimizerKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPTIMIZER_KIND_UNSPECIFIED: _ClassVar[OptimizerKind]
    OPTIMIZER_KIND_SGD: _ClassVar[OptimizerKind]
    OPTIMIZER_KIND_ADAMW: _ClassVar[OptimizerKind]
    OPTIMIZER_KIND_ADAGRAD: _ClassVar[OptimizerKind]
    OPTIMIZER_KIND_RMSPROP: _ClassVar[OptimizerKind]
    OPTIMIZER_KIND_ADAM: _ClassVar[OptimizerKind]
    OPTIMIZER_KIND_MUON: _ClassVar[OptimizerKind]

class WeightDecayForm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WEIGHT_DECAY_FORM_UNSPECIFIED: _ClassVar[WeightDecayForm]
    WEIGHT_DECAY_FORM_IN_LOSS: _ClassVar[WeightDecayForm]
    WEIGHT_DECAY_FORM_DECOUPLED: _ClassVar[WeightDecayForm]

class ScheduleKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCHEDULE_KIND_UNSPECIFIED: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_CONSTANT: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_STEP: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_COSINE: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_MULTISTEP: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_EXPONENTIAL: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_CYCLIC: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_ONE_CYCLE: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_PLATEAU: _ClassVar[ScheduleKind]
    SCHEDULE_KIND_LINEAR: _ClassVar[ScheduleKind]

class LossKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOSS_KIND_UNSPECIFIED: _ClassVar[LossKind]
    LOSS_KIND_CROSS_ENTROPY: _ClassVar[LossKind]
    LOSS_KIND_BINARY_CROSS_ENTROPY: _ClassVar[LossKind]
    LOSS_KIND_MULTI_CLASS_HINGE: _ClassVar[LossKind]

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

class EnsembleSampling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENSEMBLE_SAMPLING_UNSPECIFIED: _ClassVar[EnsembleSampling]
    ENSEMBLE_SAMPLING_SEEDS: _ClassVar[EnsembleSampling]
    ENSEMBLE_SAMPLING_BOOTSTRAP: _ClassVar[EnsembleSampling]
FINE_TUNING_MODE_UNSPECIFIED: FineTuningMode
FINE_TUNING_MODE_SCRATCH: FineTuningMode
FINE_TUNING_MODE_FULL: FineTuningMode
FINE_TUNING_MODE_HEAD: FineTuningMode
FINE_TUNING_MODE_LAST_BLOCKS: FineTuningMode
FINE_TUNING_MODE_GRADUAL: FineTuningMode
STEM_UNSPECIFIED: Stem
STEM_IMAGENET: Stem
STEM_CIFAR: Stem
ACTIVATION_UNSPECIFIED: Activation
ACTIVATION_RELU: Activation
ACTIVATION_LEAKY_RELU: Activation
ACTIVATION_SIGMOID: Activation
ACTIVATION_TANH: Activation
INITIALISATION_SCHEME_UNSPECIFIED: InitialisationScheme
INITIALISATION_SCHEME_HE: InitialisationScheme
INITIALISATION_SCHEME_XAVIER: InitialisationScheme
INITIALISATION_SCHEME_LECUN: InitialisationScheme
INITIALISATION_DISTRIBUTION_UNSPECIFIED: InitialisationDistribution
INITIALISATION_DISTRIBUTION_NORMAL: InitialisationDistribution
INITIALISATION_DISTRIBUTION_UNIFORM: InitialisationDistribution
FAN_UNSPECIFIED: Fan
FAN_IN: Fan
FAN_OUT: Fan
FAN_AVERAGE: Fan
NORMALISATION_UNSPECIFIED: Normalisation
NORMALISATION_PRETRAINED: Normalisation
NORMALISATION_UNIT: Normalisation
NORMALISATION_SYMMETRIC: Normalisation
NORMALISATION_MIN_MAX: Normalisation
NORMALISATION_IMAGENET: Normalisation
NORMALISATION_MEASURED: Normalisation
OPTIMIZER_KIND_UNSPECIFIED: OptimizerKind
OPTIMIZER_KIND_SGD: OptimizerKind
OPTIMIZER_KIND_ADAMW: OptimizerKind
OPTIMIZER_KIND_ADAGRAD: OptimizerKind
OPTIMIZER_KIND_RMSPROP: OptimizerKind
OPTIMIZER_KIND_ADAM: OptimizerKind
OPTIMIZER_KIND_MUON: OptimizerKind
WEIGHT_DECAY_FORM_UNSPECIFIED: WeightDecayForm
WEIGHT_DECAY_FORM_IN_LOSS: WeightDecayForm
WEIGHT_DECAY_FORM_DECOUPLED: WeightDecayForm
SCHEDULE_KIND_UNSPECIFIED: ScheduleKind
SCHEDULE_KIND_CONSTANT: ScheduleKind
SCHEDULE_KIND_STEP: ScheduleKind
SCHEDULE_KIND_COSINE: ScheduleKind
SCHEDULE_KIND_MULTISTEP: ScheduleKind
SCHEDULE_KIND_EXPONENTIAL: ScheduleKind
SCHEDULE_KIND_CYCLIC: ScheduleKind
SCHEDULE_KIND_ONE_CYCLE: ScheduleKind
SCHEDULE_KIND_PLATEAU: ScheduleKind
SCHEDULE_KIND_LINEAR: ScheduleKind
LOSS_KIND_UNSPECIFIED: LossKind
LOSS_KIND_CROSS_ENTROPY: LossKind
LOSS_KIND_BINARY_CROSS_ENTROPY: LossKind
LOSS_KIND_MULTI_CLASS_HINGE: LossKind
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
ENSEMBLE_SAMPLING_UNSPECIFIED: EnsembleSampling
ENSEMBLE_SAMPLING_SEEDS: EnsembleSampling
ENSEMBLE_SAMPLING_BOOTSTRAP: EnsembleSampling

class TrainingSpec(_message.Message):
    __slots__ = ("dataset", "model", "architecture", "weights", "mode", "last_blocks", "network", "input", "data", "augmentation", "optimizer", "schedule", "loss", "epochs", "batch_size", "seed", "selection_metric", "publish", "test_evaluation", "execution", "trainable", "retain_blocks", "gradual", "initialisation", "early_stopping", "scheduling", "ensemble", "diagnostics")
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
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    RETAIN_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    GRADUAL_FIELD_NUMBER: _ClassVar[int]
    INITIALISATION_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_FIELD_NUMBER: _ClassVar[int]
    SCHEDULING_FIELD_NUMBER: _ClassVar[int]
    ENSEMBLE_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
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
    trainable: _containers.RepeatedScalarFieldContainer[str]
    retain_blocks: int
    gradual: GradualSpec
    initialisation: InitialisationSpec
    early_stopping: EarlyStoppingSpec
    scheduling: SchedulingSpec
    ensemble: EnsembleSpec
    diagnostics: DiagnosticsSpec
    def __init__(self, dataset: _Optional[str] = ..., model: _Optional[str] = ..., architecture: _Optional[str] = ..., weights: _Optional[str] = ..., mode: _Optional[_Union[FineTuningMode, str]] = ..., last_blocks: _Optional[int] = ..., network: _Optional[_Union[NetworkSpec, _Mapping]] = ..., input: _Optional[_Union[InputSpec, _Mapping]] = ..., data: _Optional[_Union[DataSpec, _Mapping]] = ..., augmentation: _Optional[_Union[AugmentationSpec, _Mapping]] = ..., optimizer: _Optional[_Union[OptimizerSpec, _Mapping]] = ..., schedule: _Optional[_Union[ScheduleSpec, _Mapping]] = ..., loss: _Optional[_Union[LossSpec, _Mapping]] = ..., epochs: _Optional[int] = ..., batch_size: _Optional[int] = ..., seed: _Optional[int] = ..., selection_metric: _Optional[_Union[SelectionMetric, str]] = ..., publish: _Optional[_Union[PublishPolicy, str]] = ..., test_evaluation: _Optional[_Union[TestEvaluation, str]] = ..., execution: _Optional[_Union[ExecutionSpec, _Mapping]] = ..., trainable: _Optional[_Iterable[str]] = ..., retain_blocks: _Optional[int] = ..., gradual: _Optional[_Union[GradualSpec, _Mapping]] = ..., initialisation: _Optional[_Union[InitialisationSpec, _Mapping]] = ..., early_stopping: _Optional[_Union[EarlyStoppingSpec, _Mapping]] = ..., scheduling: _Optional[_Union[SchedulingSpec, _Mapping]] = ..., ensemble: _Optional[_Union[EnsembleSpec, _Mapping]] = ..., diagnostics: _Optional[_Union[DiagnosticsSpec, _Mapping]] = ...) -> None: ...

class EnsembleSpec(_message.Message):
    __slots__ = ("members", "sampling")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    members: int
    sampling: EnsembleSampling
    def __init__(self, members: _Optional[int] = ..., sampling: _Optional[_Union[EnsembleSampling, str]] = ...) -> None: ...

class DiagnosticsSpec(_message.Message):
    __slots__ = ("tensorboard", "sample_images", "parameter_histograms", "gradient_histograms", "gradient_norms", "unit_health", "every_epochs")
    TENSORBOARD_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_IMAGES_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_HISTOGRAMS_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_HISTOGRAMS_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_NORMS_FIELD_NUMBER: _ClassVar[int]
    UNIT_HEALTH_FIELD_NUMBER: _ClassVar[int]
    EVERY_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    tensorboard: bool
    sample_images: bool
    parameter_histograms: bool
    gradient_histograms: bool
    gradient_norms: bool
    unit_health: bool
    every_epochs: int
    def __init__(self, tensorboard: bool = ..., sample_images: bool = ..., parameter_histograms: bool = ..., gradient_histograms: bool = ..., gradient_norms: bool = ..., unit_health: bool = ..., every_epochs: _Optional[int] = ...) -> None: ...

class GradualSpec(_message.Message):
    __slots__ = ("head_epochs", "head_learning_rate")
    HEAD_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    HEAD_LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    head_epochs: int
    head_learning_rate: float
    def __init__(self, head_epochs: _Optional[int] = ..., head_learning_rate: _Optional[float] = ...) -> None: ...

class InitialisationSpec(_message.Message):
    __slots__ = ("scheme", "distribution", "fan", "gain")
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    FAN_FIELD_NUMBER: _ClassVar[int]
    GAIN_FIELD_NUMBER: _ClassVar[int]
    scheme: InitialisationScheme
    distribution: InitialisationDistribution
    fan: Fan
    gain: float
    def __init__(self, scheme: _Optional[_Union[InitialisationScheme, str]] = ..., distribution: _Optional[_Union[InitialisationDistribution, str]] = ..., fan: _Optional[_Union[Fan, str]] = ..., gain: _Optional[float] = ...) -> None: ...

class EarlyStoppingSpec(_message.Message):
    __slots__ = ("patience", "min_delta")
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    MIN_DELTA_FIELD_NUMBER: _ClassVar[int]
    patience: int
    min_delta: float
    def __init__(self, patience: _Optional[int] = ..., min_delta: _Optional[float] = ...) -> None: ...

class NetworkSpec(_message.Message):
    __slots__ = ("stem", "head_dropout", "head_hidden_sizes", "head_activation", "conv_channels", "hidden_sizes", "kernel_size", "padding", "activation", "batch_norm", "dropout", "shortcuts", "zero_init_residual", "batch_norm_momentum", "batch_norm_epsilon")
    STEM_FIELD_NUMBER: _ClassVar[int]
    HEAD_DROPOUT_FIELD_NUMBER: _ClassVar[int]
    HEAD_HIDDEN_SIZES_FIELD_NUMBER: _ClassVar[int]
    HEAD_ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    CONV_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_SIZES_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    BATCH_NORM_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    SHORTCUTS_FIELD_NUMBER: _ClassVar[int]
    ZERO_INIT_RESIDUAL_FIELD_NUMBER: _ClassVar[int]
    BATCH_NORM_MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    BATCH_NORM_EPSILON_FIELD_NUMBER: _ClassVar[int]
    stem: Stem
    head_dropout: float
    head_hidden_sizes: _containers.RepeatedScalarFieldContainer[int]
    head_activation: Activation
    conv_channels: _containers.RepeatedScalarFieldContainer[int]
    hidden_sizes: _containers.RepeatedScalarFieldContainer[int]
    kernel_size: int
    padding: int
    activation: Activation
    batch_norm: bool
    dropout: float
    shortcuts: bool
    zero_init_residual: bool
    batch_norm_momentum: float
    batch_norm_epsilon: float
    def __init__(self, stem: _Optional[_Union[Stem, str]] = ..., head_dropout: _Optional[float] = ..., head_hidden_sizes: _Optional[_Iterable[int]] = ..., head_activation: _Optional[_Union[Activation, str]] = ..., conv_channels: _Optional[_Iterable[int]] = ..., hidden_sizes: _Optional[_Iterable[int]] = ..., kernel_size: _Optional[int] = ..., padding: _Optional[int] = ..., activation: _Optional[_Union[Activation, str]] = ..., batch_norm: bool = ..., dropout: _Optional[float] = ..., shortcuts: bool = ..., zero_init_residual: bool = ..., batch_norm_momentum: _Optional[float] = ..., batch_norm_epsilon: _Optional[float] = ...) -> None: ...

class InputSpec(_message.Message):
    __slots__ = ("size", "channels", "normalisation", "normalisation_ratio")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    NORMALISATION_FIELD_NUMBER: _ClassVar[int]
    NORMALISATION_RATIO_FIELD_NUMBER: _ClassVar[int]
    size: int
    channels: int
    normalisation: Normalisation
    normalisation_ratio: float
    def __init__(self, size: _Optional[int] = ..., channels: _Optional[int] = ..., normalisation: _Optional[_Union[Normalisation, str]] = ..., normalisation_ratio: _Optional[float] = ...) -> None: ...

class DataSpec(_message.Message):
    __slots__ = ("classes", "max_train_images", "max_val_images", "max_test_images", "max_train_images_per_class", "max_val_images_per_class", "max_test_images_per_class", "seed", "bootstrap_seed")
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    MAX_TRAIN_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_VAL_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_TEST_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_TRAIN_IMAGES_PER_CLASS_FIELD_NUMBER: _ClassVar[int]
    MAX_VAL_IMAGES_PER_CLASS_FIELD_NUMBER: _ClassVar[int]
    MAX_TEST_IMAGES_PER_CLASS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    BOOTSTRAP_SEED_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedScalarFieldContainer[str]
    max_train_images: int
    max_val_images: int
    max_test_images: int
    max_train_images_per_class: int
    max_val_images_per_class: int
    max_test_images_per_class: int
    seed: int
    bootstrap_seed: int
    def __init__(self, classes: _Optional[_Iterable[str]] = ..., max_train_images: _Optional[int] = ..., max_val_images: _Optional[int] = ..., max_test_images: _Optional[int] = ..., max_train_images_per_class: _Optional[int] = ..., max_val_images_per_class: _Optional[int] = ..., max_test_images_per_class: _Optional[int] = ..., seed: _Optional[int] = ..., bootstrap_seed: _Optional[int] = ...) -> None: ...

class AugmentationSpec(_message.Message):
    __slots__ = ("horizontal_flip", "padded_crop", "resized_crop", "brightness", "contrast", "saturation", "hue", "vertical_flip", "alternating_flip", "rotation", "width_shift", "height_shift", "shear", "zoom", "channel_shift", "color_temperature", "gaussian_noise", "blur", "random_erasing", "randaugment_operations", "randaugment_magnitude", "trivial_augment", "mixup", "cutmix", "mixing_probability")
    HORIZONTAL_FLIP_FIELD_NUMBER: _ClassVar[int]
    PADDED_CROP_FIELD_NUMBER: _ClassVar[int]
    RESIZED_CROP_FIELD_NUMBER: _ClassVar[int]
    BRIGHTNESS_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_FIELD_NUMBER: _ClassVar[int]
    SATURATION_FIELD_NUMBER: _ClassVar[int]
    HUE_FIELD_NUMBER: _ClassVar[int]
    VERTICAL_FLIP_FIELD_NUMBER: _ClassVar[int]
    ALTERNATING_FLIP_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    WIDTH_SHIFT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_SHIFT_FIELD_NUMBER: _ClassVar[int]
    SHEAR_FIELD_NUMBER: _ClassVar[int]
    ZOOM_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_SHIFT_FIELD_NUMBER: _ClassVar[int]
    COLOR_TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    GAUSSIAN_NOISE_FIELD_NUMBER: _ClassVar[int]
    BLUR_FIELD_NUMBER: _ClassVar[int]
    RANDOM_ERASING_FIELD_NUMBER: _ClassVar[int]
    RANDAUGMENT_OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    RANDAUGMENT_MAGNITUDE_FIELD_NUMBER: _ClassVar[int]
    TRIVIAL_AUGMENT_FIELD_NUMBER: _ClassVar[int]
    MIXUP_FIELD_NUMBER: _ClassVar[int]
    CUTMIX_FIELD_NUMBER: _ClassVar[int]
    MIXING_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    horizontal_flip: float
    padded_crop: int
    resized_crop: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    vertical_flip: float
    alternating_flip: bool
    rotation: float
    width_shift: float
    height_shift: float
    shear: float
    zoom: float
    channel_shift: float
    color_temperature: float
    gaussian_noise: float
    blur: float
    random_erasing: float
    randaugment_operations: int
    randaugment_magnitude: int
    trivial_augment: bool
    mixup: float
    cutmix: float
    mixing_probability: float
    def __init__(self, horizontal_flip: _Optional[float] = ..., padded_crop: _Optional[int] = ..., resized_crop: _Optional[float] = ..., brightness: _Optional[float] = ..., contrast: _Optional[float] = ..., saturation: _Optional[float] = ..., hue: _Optional[float] = ..., vertical_flip: _Optional[float] = ..., alternating_flip: bool = ..., rotation: _Optional[float] = ..., width_shift: _Optional[float] = ..., height_shift: _Optional[float] = ..., shear: _Optional[float] = ..., zoom: _Optional[float] = ..., channel_shift: _Optional[float] = ..., color_temperature: _Optional[float] = ..., gaussian_noise: _Optional[float] = ..., blur: _Optional[float] = ..., random_erasing: _Optional[float] = ..., randaugment_operations: _Optional[int] = ..., randaugment_magnitude: _Optional[int] = ..., trivial_augment: bool = ..., mixup: _Optional[float] = ..., cutmix: _Optional[float] = ..., mixing_probability: _Optional[float] = ...) -> None: ...

class OptimizerSpec(_message.Message):
    __slots__ = ("kind", "learning_rate", "momentum", "nesterov", "weight_decay", "weight_decay_form", "decay_all", "beta1", "beta2", "epsilon", "other_learning_rate", "layer_decay", "learning_rates", "weight_decays", "l1", "clip_norm", "clip_value", "ema_share")
    KIND_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    NESTEROV_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FORM_FIELD_NUMBER: _ClassVar[int]
    DECAY_ALL_FIELD_NUMBER: _ClassVar[int]
    BETA1_FIELD_NUMBER: _ClassVar[int]
    BETA2_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    OTHER_LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    LAYER_DECAY_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAYS_FIELD_NUMBER: _ClassVar[int]
    L1_FIELD_NUMBER: _ClassVar[int]
    CLIP_NORM_FIELD_NUMBER: _ClassVar[int]
    CLIP_VALUE_FIELD_NUMBER: _ClassVar[int]
    EMA_SHARE_FIELD_NUMBER: _ClassVar[int]
    kind: OptimizerKind
    learning_rate: float
    momentum: float
    nesterov: bool
    weight_decay: float
    weight_decay_form: WeightDecayForm
    decay_all: bool
    beta1: float
    beta2: float
    epsilon: float
    other_learning_rate: float
    layer_decay: float
    learning_rates: _containers.RepeatedScalarFieldContainer[float]
    weight_decays: _containers.RepeatedScalarFieldContainer[float]
    l1: float
    clip_norm: float
    clip_value: float
    ema_share: float
    def __init__(self, kind: _Optional[_Union[OptimizerKind, str]] = ..., learning_rate: _Optional[float] = ..., momentum: _Optional[float] = ..., nesterov: bool = ..., weight_decay: _Optional[float] = ..., weight_decay_form: _Optional[_Union[WeightDecayForm, str]] = ..., decay_all: bool = ..., beta1: _Optional[float] = ..., beta2: _Optional[float] = ..., epsilon: _Optional[float] = ..., other_learning_rate: _Optional[float] = ..., layer_decay: _Optional[float] = ..., learning_rates: _Optional[_Iterable[float]] = ..., weight_decays: _Optional[_Iterable[float]] = ..., l1: _Optional[float] = ..., clip_norm: _Optional[float] = ..., clip_value: _Optional[float] = ..., ema_share: _Optional[float] = ...) -> None: ...

class ScheduleSpec(_message.Message):
    __slots__ = ("kind", "warmup_epochs", "step_epochs", "step_factor", "milestones", "final_factor", "start_factor", "cycle_epochs", "rise", "plateau_patience")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WARMUP_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    STEP_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    STEP_FACTOR_FIELD_NUMBER: _ClassVar[int]
    MILESTONES_FIELD_NUMBER: _ClassVar[int]
    FINAL_FACTOR_FIELD_NUMBER: _ClassVar[int]
    START_FACTOR_FIELD_NUMBER: _ClassVar[int]
    CYCLE_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    RISE_FIELD_NUMBER: _ClassVar[int]
    PLATEAU_PATIENCE_FIELD_NUMBER: _ClassVar[int]
    kind: ScheduleKind
    warmup_epochs: float
    step_epochs: int
    step_factor: float
    milestones: _containers.RepeatedScalarFieldContainer[int]
    final_factor: float
    start_factor: float
    cycle_epochs: float
    rise: float
    plateau_patience: int
    def __init__(self, kind: _Optional[_Union[ScheduleKind, str]] = ..., warmup_epochs: _Optional[float] = ..., step_epochs: _Optional[int] = ..., step_factor: _Optional[float] = ..., milestones: _Optional[_Iterable[int]] = ..., final_factor: _Optional[float] = ..., start_factor: _Optional[float] = ..., cycle_epochs: _Optional[float] = ..., rise: _Optional[float] = ..., plateau_patience: _Optional[int] = ...) -> None: ...

class LossSpec(_message.Message):
    __slots__ = ("label_smoothing", "kind", "balance_classes", "class_weights")
    class ClassWeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    LABEL_SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BALANCE_CLASSES_FIELD_NUMBER: _ClassVar[int]
    CLASS_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    label_smoothing: float
    kind: LossKind
    balance_classes: bool
    class_weights: _containers.ScalarMap[str, float]
    def __init__(self, label_smoothing: _Optional[float] = ..., kind: _Optional[_Union[LossKind, str]] = ..., balance_classes: bool = ..., class_weights: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ExecutionSpec(_message.Message):
    __slots__ = ("device", "feature_cache", "tuning", "memory_limit_bytes", "micro_batch", "feature_views", "threads")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FEATURE_CACHE_FIELD_NUMBER: _ClassVar[int]
    TUNING_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MICRO_BATCH_FIELD_NUMBER: _ClassVar[int]
    FEATURE_VIEWS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    device: str
    feature_cache: FeatureCache
    tuning: Tuning
    memory_limit_bytes: int
    micro_batch: int
    feature_views: int
    threads: int
    def __init__(self, device: _Optional[str] = ..., feature_cache: _Optional[_Union[FeatureCache, str]] = ..., tuning: _Optional[_Union[Tuning, str]] = ..., memory_limit_bytes: _Optional[int] = ..., micro_batch: _Optional[int] = ..., feature_views: _Optional[int] = ..., threads: _Optional[int] = ...) -> None: ...

class SchedulingSpec(_message.Message):
    __slots__ = ("priority", "max_run_seconds", "attempts_without_progress")
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MAX_RUN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_WITHOUT_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    priority: int
    max_run_seconds: float
    attempts_without_progress: int
    def __init__(self, priority: _Optional[int] = ..., max_run_seconds: _Optional[float] = ..., attempts_without_progress: _Optional[int] = ...) -> None: ...
