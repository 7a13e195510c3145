from cultivar.v1 import training_spec_pb2 as _training_spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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
    __slots__ = ("name", "mode", "num_classes", "input_size", "stem")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NUM_CLASSES_FIELD_NUMBER: _ClassVar[int]
    INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    STEM_FIELD_NUMBER: _ClassVar[int]
    name: str
    mode: _training_spec_pb2.FineTuningMode
    num_classes: int
    input_size: int
    stem: _training_spec_pb2.Stem
    def __init__(self, name: _Optional[str] = ..., mode: _Optional[_Union[_training_spec_pb2.FineTuningMode, str]] = ..., num_classes: _Optional[int] = ..., input_size: _Optional[int] = ..., stem: _Optional[_Union[_training_spec_pb2.Stem, str]] = ...) -> None: ...

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
    __slots__ = ("architecture", "layers", "parameters", "trainable_parameters", "frozen_parameters", "multiply_adds", "input_size", "num_classes", "mode")
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FROZEN_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    MULTIPLY_ADDS_FIELD_NUMBER: _ClassVar[int]
    INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    NUM_CLASSES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    architecture: Architecture
    layers: _containers.RepeatedCompositeFieldContainer[Layer]
    parameters: int
    trainable_parameters: int
    frozen_parameters: int
    multiply_adds: int
    input_size: int
    num_classes: int
    mode: _training_spec_pb2.FineTuningMode
    def __init__(self, architecture: _Optional[_Union[Architecture, _Mapping]] = ..., layers: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ..., parameters: _Optional[int] = ..., trainable_parameters: _Optional[int] = ..., frozen_parameters: _Optional[int] = ..., multiply_adds: _Optional[int] = ..., input_size: _Optional[int] = ..., num_classes: _Optional[int] = ..., mode: _Optional[_Union[_training_spec_pb2.FineTuningMode, str]] = ...) -> None: ...
