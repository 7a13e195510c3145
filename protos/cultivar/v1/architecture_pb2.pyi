from cultivar.v1 import training_spec_pb2 as _training_spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LayerKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LAYER_KIND_UNSPECIFIED: _ClassVar[LayerKind]
    LAYER_KIND_CONV: _ClassVar[LayerKind]
    LAYER_KIND_POOL: _ClassVar[LayerKind]
LAYER_KIND_UNSPECIFIED: LayerKind
LAYER_KIND_CONV: LayerKind
LAYER_KIND_POOL: LayerKind

class PretrainedWeights(_message.Message):
    __slots__ = ("member", "imagenet_top1_accuracy", "imagenet_top5_accuracy")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    IMAGENET_TOP1_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    IMAGENET_TOP5_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    member: str
    imagenet_top1_accuracy: float
    imagenet_top5_accuracy: float
    def __init__(self, member: _Optional[str] = ..., imagenet_top1_accuracy: _Optional[float] = ..., imagenet_top5_accuracy: _Optional[float] = ...) -> None: ...

class Architecture(_message.Message):
    __slots__ = ("name", "family", "description", "parameters", "min_input_size", "default_input_size", "weights", "stems", "multiply_adds", "file_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    MIN_INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    STEMS_FIELD_NUMBER: _ClassVar[int]
    MULTIPLY_ADDS_FIELD_NUMBER: _ClassVar[int]
    FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    family: str
    description: str
    parameters: int
    min_input_size: int
    default_input_size: int
    weights: _containers.RepeatedCompositeFieldContainer[PretrainedWeights]
    stems: _containers.RepeatedScalarFieldContainer[_training_spec_pb2.Stem]
    multiply_adds: int
    file_bytes: int
    def __init__(self, name: _Optional[str] = ..., family: _Optional[str] = ..., description: _Optional[str] = ..., parameters: _Optional[int] = ..., min_input_size: _Optional[int] = ..., default_input_size: _Optional[int] = ..., weights: _Optional[_Iterable[_Union[PretrainedWeights, _Mapping]]] = ..., stems: _Optional[_Iterable[_Union[_training_spec_pb2.Stem, str]]] = ..., multiply_adds: _Optional[int] = ..., file_bytes: _Optional[int] = ...) -> None: ...

class ListArchitecturesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListArchitecturesResponse(_message.Message):
    __slots__ = ("architectures",)
    ARCHITECTURES_FIELD_NUMBER: _ClassVar[int]
    architectures: _containers.RepeatedCompositeFieldContainer[Architecture]
    def __init__(self, architectures: _Optional[_Iterable[_Union[Architecture, _Mapping]]] = ...) -> None: ...

class DescribeArchitectureRequest(_message.Message):
    __slots__ = ("name", "mode", "num_classes", "input_size", "stem", "last_blocks", "trainable", "retain_blocks", "network", "channels", "batch_size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NUM_CLASSES_FIELD_NUMBER: _ClassVar[int]
    INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    STEM_FIELD_NUMBER: _ClassVar[int]
    LAST_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    RETAIN_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    mode: _training_spec_pb2.FineTuningMode
    num_classes: int
    input_size: int
    stem: _training_spec_pb2.Stem
    last_blocks: int
    trainable: _containers.RepeatedScalarFieldContainer[str]
    retain_blocks: int
    network: _training_spec_pb2.NetworkSpec
    channels: int
    batch_size: int
    def __init__(self, name: _Optional[str] = ..., mode: _Optional[_Union[_training_spec_pb2.FineTuningMode, str]] = ..., num_classes: _Optional[int] = ..., input_size: _Optional[int] = ..., stem: _Optional[_Union[_training_spec_pb2.Stem, str]] = ..., last_blocks: _Optional[int] = ..., trainable: _Optional[_Iterable[str]] = ..., retain_blocks: _Optional[int] = ..., network: _Optional[_Union[_training_spec_pb2.NetworkSpec, _Mapping]] = ..., channels: _Optional[int] = ..., batch_size: _Optional[int] = ...) -> None: ...

class Layer(_message.Message):
    __slots__ = ("name", "kind", "output_shape", "parameters", "trainable", "multiply_adds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    MULTIPLY_ADDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    output_shape: _containers.RepeatedScalarFieldContainer[int]
    parameters: int
    trainable: bool
    multiply_adds: int
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., output_shape: _Optional[_Iterable[int]] = ..., parameters: _Optional[int] = ..., trainable: bool = ..., multiply_adds: _Optional[int] = ...) -> None: ...

class ArchitectureDescription(_message.Message):
    __slots__ = ("architecture", "layers", "parameters", "trainable_parameters", "frozen_parameters", "multiply_adds", "input_size", "num_classes", "mode", "blocks", "memory", "parameter_names")
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FROZEN_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    MULTIPLY_ADDS_FIELD_NUMBER: _ClassVar[int]
    INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    NUM_CLASSES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_NAMES_FIELD_NUMBER: _ClassVar[int]
    architecture: Architecture
    layers: _containers.RepeatedCompositeFieldContainer[Layer]
    parameters: int
    trainable_parameters: int
    frozen_parameters: int
    multiply_adds: int
    input_size: int
    num_classes: int
    mode: _training_spec_pb2.FineTuningMode
    blocks: _containers.RepeatedCompositeFieldContainer[Block]
    memory: MemoryEstimate
    parameter_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, architecture: _Optional[_Union[Architecture, _Mapping]] = ..., layers: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ..., parameters: _Optional[int] = ..., trainable_parameters: _Optional[int] = ..., frozen_parameters: _Optional[int] = ..., multiply_adds: _Optional[int] = ..., input_size: _Optional[int] = ..., num_classes: _Optional[int] = ..., mode: _Optional[_Union[_training_spec_pb2.FineTuningMode, str]] = ..., blocks: _Optional[_Iterable[_Union[Block, _Mapping]]] = ..., memory: _Optional[_Union[MemoryEstimate, _Mapping]] = ..., parameter_names: _Optional[_Iterable[str]] = ...) -> None: ...

class Block(_message.Message):
    __slots__ = ("name", "parameters", "last_blocks", "trainable_parameters")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    LAST_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    parameters: int
    last_blocks: int
    trainable_parameters: int
    def __init__(self, name: _Optional[str] = ..., parameters: _Optional[int] = ..., last_blocks: _Optional[int] = ..., trainable_parameters: _Optional[int] = ...) -> None: ...

class MemoryEstimate(_message.Message):
    __slots__ = ("batch_size", "parameter_bytes", "gradient_bytes", "optimizer_bytes", "activation_bytes", "training_bytes", "inference_bytes")
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_BYTES_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_BYTES_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_BYTES_FIELD_NUMBER: _ClassVar[int]
    TRAINING_BYTES_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_BYTES_FIELD_NUMBER: _ClassVar[int]
    batch_size: int
    parameter_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    training_bytes: int
    inference_bytes: int
    def __init__(self, batch_size: _Optional[int] = ..., parameter_bytes: _Optional[int] = ..., gradient_bytes: _Optional[int] = ..., optimizer_bytes: _Optional[int] = ..., activation_bytes: _Optional[int] = ..., training_bytes: _Optional[int] = ..., inference_bytes: _Optional[int] = ...) -> None: ...

class CalculateLayerRequest(_message.Message):
    __slots__ = ("kind", "input_size", "kernel", "stride", "padding", "in_channels", "out_channels", "bias", "output_size")
    KIND_FIELD_NUMBER: _ClassVar[int]
    INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    IN_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    OUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    kind: LayerKind
    input_size: _containers.RepeatedScalarFieldContainer[int]
    kernel: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    padding: _containers.RepeatedScalarFieldContainer[int]
    in_channels: int
    out_channels: int
    bias: bool
    output_size: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, kind: _Optional[_Union[LayerKind, str]] = ..., input_size: _Optional[_Iterable[int]] = ..., kernel: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., padding: _Optional[_Iterable[int]] = ..., in_channels: _Optional[int] = ..., out_channels: _Optional[int] = ..., bias: bool = ..., output_size: _Optional[_Iterable[int]] = ...) -> None: ...

class Extents(_message.Message):
    __slots__ = ("sizes",)
    SIZES_FIELD_NUMBER: _ClassVar[int]
    sizes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, sizes: _Optional[_Iterable[int]] = ...) -> None: ...

class CalculateLayerResponse(_message.Message):
    __slots__ = ("output_size", "out_channels", "parameters", "multiplications", "additions", "input_sizes")
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    OUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    MULTIPLICATIONS_FIELD_NUMBER: _ClassVar[int]
    ADDITIONS_FIELD_NUMBER: _ClassVar[int]
    INPUT_SIZES_FIELD_NUMBER: _ClassVar[int]
    output_size: _containers.RepeatedScalarFieldContainer[int]
    out_channels: int
    parameters: int
    multiplications: int
    additions: int
    input_sizes: _containers.RepeatedCompositeFieldContainer[Extents]
    def __init__(self, output_size: _Optional[_Iterable[int]] = ..., out_channels: _Optional[int] = ..., parameters: _Optional[int] = ..., multiplications: _Optional[int] = ..., additions: _Optional[int] = ..., input_sizes: _Optional[_Iterable[_Union[Extents, _Mapping]]] = ...) -> None: ...
