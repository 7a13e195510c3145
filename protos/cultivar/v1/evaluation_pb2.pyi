from cultivar.v1 import dataset_pb2 as _dataset_pb2
from cultivar.v1 import event_pb2 as _event_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EvaluateArchitectureRequest(_message.Message):
    __slots__ = ("architecture", "weights", "dataset", "split")
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    architecture: str
    weights: str
    dataset: str
    split: _dataset_pb2.Split
    def __init__(self, architecture: _Optional[str] = ..., weights: _Optional[str] = ..., dataset: _Optional[str] = ..., split: _Optional[_Union[_dataset_pb2.Split, str]] = ...) -> None: ...

class EvaluateModelVersionRequest(_message.Message):
    __slots__ = ("name", "dataset", "split")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    dataset: str
    split: _dataset_pb2.Split
    def __init__(self, name: _Optional[str] = ..., dataset: _Optional[str] = ..., split: _Optional[_Union[_dataset_pb2.Split, str]] = ...) -> None: ...

class EvaluationUpdate(_message.Message):
    __slots__ = ("progress", "evaluation")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    progress: _event_pb2.Progress
    evaluation: Evaluation
    def __init__(self, progress: _Optional[_Union[_event_pb2.Progress, _Mapping]] = ..., evaluation: _Optional[_Union[Evaluation, _Mapping]] = ...) -> None: ...

class Evaluation(_message.Message):
    __slots__ = ("model_version", "architecture", "weights", "dataset", "metrics", "stored", "split_digest", "model_digest", "models_measured")
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    SPLIT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODELS_MEASURED_FIELD_NUMBER: _ClassVar[int]
    model_version: str
    architecture: str
    weights: str
    dataset: str
    metrics: _event_pb2.SplitMetrics
    stored: bool
    split_digest: str
    model_digest: str
    models_measured: int
    def __init__(self, model_version: _Optional[str] = ..., architecture: _Optional[str] = ..., weights: _Optional[str] = ..., dataset: _Optional[str] = ..., metrics: _Optional[_Union[_event_pb2.SplitMetrics, _Mapping]] = ..., stored: bool = ..., split_digest: _Optional[str] = ..., model_digest: _Optional[str] = ..., models_measured: _Optional[int] = ...) -> None: ...
