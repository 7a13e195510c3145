import datetime

from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from cultivar.v1 import dataset_pb2 as _dataset_pb2
from cultivar.v1 import evaluation_pb2 as _evaluation_pb2
from cultivar.v1 import event_pb2 as _event_pb2
from cultivar.v1 import training_pb2 as _training_pb2
from cultivar.v1 import training_spec_pb2 as _training_spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelVersionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_VERSION_STATE_UNSPECIFIED: _ClassVar[ModelVersionState]
    MODEL_VERSION_STATE_LOADING: _ClassVar[ModelVersionState]
    MODEL_VERSION_STATE_READY: _ClassVar[ModelVersionState]
    MODEL_VERSION_STATE_REJECTED: _ClassVar[ModelVersionState]

class InspectionView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INSPECTION_VIEW_UNSPECIFIED: _ClassVar[InspectionView]
    INSPECTION_VIEW_FEATURE_MAPS: _ClassVar[InspectionView]
    INSPECTION_VIEW_FILTERS: _ClassVar[InspectionView]
    INSPECTION_VIEW_EXCITING_IMAGES: _ClassVar[InspectionView]
    INSPECTION_VIEW_GRADIENT_ASCENT: _ClassVar[InspectionView]
    INSPECTION_VIEW_SEPARATING_CHANNELS: _ClassVar[InspectionView]
MODEL_VERSION_STATE_UNSPECIFIED: ModelVersionState
MODEL_VERSION_STATE_LOADING: ModelVersionState
MODEL_VERSION_STATE_READY: ModelVersionState
MODEL_VERSION_STATE_REJECTED: ModelVersionState
INSPECTION_VIEW_UNSPECIFIED: InspectionView
INSPECTION_VIEW_FEATURE_MAPS: InspectionView
INSPECTION_VIEW_FILTERS: InspectionView
INSPECTION_VIEW_EXCITING_IMAGES: InspectionView
INSPECTION_VIEW_GRADIENT_ASCENT: InspectionView
INSPECTION_VIEW_SEPARATING_CHANNELS: InspectionView

class ModelVersion(_message.Message):
    __slots__ = ("name", "state", "training_job", "create_time", "architecture", "classes", "metrics", "onnx_sha256", "input_size", "dataset", "error", "live", "aliases", "creator", "evaluations")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TRAINING_JOB_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    ONNX_SHA256_FIELD_NUMBER: _ClassVar[int]
    INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: ModelVersionState
    training_job: str
    create_time: _timestamp_pb2.Timestamp
    architecture: str
    classes: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.DatasetClass]
    metrics: _containers.RepeatedCompositeFieldContainer[_event_pb2.SplitMetrics]
    onnx_sha256: str
    input_size: int
    dataset: str
    error: _event_pb2.Failure
    live: bool
    aliases: _containers.RepeatedScalarFieldContainer[str]
    creator: str
    evaluations: _containers.RepeatedCompositeFieldContainer[_evaluation_pb2.Evaluation]
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[ModelVersionState, str]] = ..., training_job: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., architecture: _Optional[str] = ..., classes: _Optional[_Iterable[_Union[_dataset_pb2.DatasetClass, _Mapping]]] = ..., metrics: _Optional[_Iterable[_Union[_event_pb2.SplitMetrics, _Mapping]]] = ..., onnx_sha256: _Optional[str] = ..., input_size: _Optional[int] = ..., dataset: _Optional[str] = ..., error: _Optional[_Union[_event_pb2.Failure, _Mapping]] = ..., live: bool = ..., aliases: _Optional[_Iterable[str]] = ..., creator: _Optional[str] = ..., evaluations: _Optional[_Iterable[_Union[_evaluation_pb2.Evaluation, _Mapping]]] = ...) -> None: ...

class ModelAlias(_message.Message):
    __slots__ = ("alias", "model_version")
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    alias: str
    model_version: str
    def __init__(self, alias: _Optional[str] = ..., model_version: _Optional[str] = ...) -> None: ...

class LiveChange(_message.Message):
    __slots__ = ("model_version", "time", "actor", "reason")
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    model_version: str
    time: _timestamp_pb2.Timestamp
    actor: str
    reason: str
    def __init__(self, model_version: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "live_version", "version_count", "create_time", "aliases", "live_history", "rollback_version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIVE_VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_COUNT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    LIVE_HISTORY_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    live_version: str
    version_count: int
    create_time: _timestamp_pb2.Timestamp
    aliases: _containers.RepeatedCompositeFieldContainer[ModelAlias]
    live_history: _containers.RepeatedCompositeFieldContainer[LiveChange]
    rollback_version: str
    def __init__(self, name: _Optional[str] = ..., live_version: _Optional[str] = ..., version_count: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., aliases: _Optional[_Iterable[_Union[ModelAlias, _Mapping]]] = ..., live_history: _Optional[_Iterable[_Union[LiveChange, _Mapping]]] = ..., rollback_version: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelVersionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListModelVersionsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelVersionsResponse(_message.Message):
    __slots__ = ("model_versions", "next_page_token")
    MODEL_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    model_versions: _containers.RepeatedCompositeFieldContainer[ModelVersion]
    next_page_token: str
    def __init__(self, model_versions: _Optional[_Iterable[_Union[ModelVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PromoteModelVersionRequest(_message.Message):
    __slots__ = ("name", "expected_live_version", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_LIVE_VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    expected_live_version: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., expected_live_version: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RollbackModelRequest(_message.Message):
    __slots__ = ("name", "expected_live_version", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_LIVE_VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    expected_live_version: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., expected_live_version: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SetModelAliasRequest(_message.Message):
    __slots__ = ("name", "alias", "model_version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    alias: str
    model_version: str
    def __init__(self, name: _Optional[str] = ..., alias: _Optional[str] = ..., model_version: _Optional[str] = ...) -> None: ...

class DeleteModelAliasRequest(_message.Message):
    __slots__ = ("name", "alias")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    name: str
    alias: str
    def __init__(self, name: _Optional[str] = ..., alias: _Optional[str] = ...) -> None: ...

class DeleteModelVersionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ReproduceModelVersionRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CombineModelsRequest(_message.Message):
    __slots__ = ("model", "method", "members", "publish", "test_evaluation", "request_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    TEST_EVALUATION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    method: _training_pb2.CombinationMethod
    members: _containers.RepeatedScalarFieldContainer[str]
    publish: _training_spec_pb2.PublishPolicy
    test_evaluation: _training_spec_pb2.TestEvaluation
    request_id: str
    def __init__(self, model: _Optional[str] = ..., method: _Optional[_Union[_training_pb2.CombinationMethod, str]] = ..., members: _Optional[_Iterable[str]] = ..., publish: _Optional[_Union[_training_spec_pb2.PublishPolicy, str]] = ..., test_evaluation: _Optional[_Union[_training_spec_pb2.TestEvaluation, str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class InspectModelRequest(_message.Message):
    __slots__ = ("name", "view", "layer", "channel", "image", "validation_image", "count", "classes", "steps", "seed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_IMAGE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    name: str
    view: InspectionView
    layer: str
    channel: int
    image: bytes
    validation_image: int
    count: int
    classes: _containers.RepeatedScalarFieldContainer[str]
    steps: int
    seed: int
    def __init__(self, name: _Optional[str] = ..., view: _Optional[_Union[InspectionView, str]] = ..., layer: _Optional[str] = ..., channel: _Optional[int] = ..., image: _Optional[bytes] = ..., validation_image: _Optional[int] = ..., count: _Optional[int] = ..., classes: _Optional[_Iterable[str]] = ..., steps: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class InspectionUpdate(_message.Message):
    __slots__ = ("progress", "inspection", "data")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    INSPECTION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    progress: _event_pb2.Progress
    inspection: Inspection
    data: bytes
    def __init__(self, progress: _Optional[_Union[_event_pb2.Progress, _Mapping]] = ..., inspection: _Optional[_Union[Inspection, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class Inspection(_message.Message):
    __slots__ = ("model_version", "view", "layers", "channels", "images", "size_bytes")
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    model_version: str
    view: InspectionView
    layers: _containers.RepeatedScalarFieldContainer[str]
    channels: _containers.RepeatedCompositeFieldContainer[InspectedChannel]
    images: _containers.RepeatedCompositeFieldContainer[InspectedImage]
    size_bytes: int
    def __init__(self, model_version: _Optional[str] = ..., view: _Optional[_Union[InspectionView, str]] = ..., layers: _Optional[_Iterable[str]] = ..., channels: _Optional[_Iterable[_Union[InspectedChannel, _Mapping]]] = ..., images: _Optional[_Iterable[_Union[InspectedImage, _Mapping]]] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class InspectedChannel(_message.Message):
    __slots__ = ("layer", "channel", "value")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    layer: str
    channel: int
    value: float
    def __init__(self, layer: _Optional[str] = ..., channel: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...

class InspectedImage(_message.Message):
    __slots__ = ("path", "position", "class_id", "value", "box")
    PATH_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    CLASS_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    path: str
    position: int
    class_id: str
    value: float
    box: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, path: _Optional[str] = ..., position: _Optional[int] = ..., class_id: _Optional[str] = ..., value: _Optional[float] = ..., box: _Optional[_Iterable[int]] = ...) -> None: ...
