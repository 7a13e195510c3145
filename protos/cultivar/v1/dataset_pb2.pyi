import datetime

from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from cultivar.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Split(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPLIT_UNSPECIFIED: _ClassVar[Split]
    SPLIT_TRAIN: _ClassVar[Split]
    SPLIT_VAL: _ClassVar[Split]
    SPLIT_TEST: _ClassVar[Split]

class DatasetState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATASET_STATE_UNSPECIFIED: _ClassVar[DatasetState]
    DATASET_STATE_IMPORTING: _ClassVar[DatasetState]
    DATASET_STATE_READY: _ClassVar[DatasetState]
    DATASET_STATE_FAILED: _ClassVar[DatasetState]

class LeakPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEAK_POLICY_UNSPECIFIED: _ClassVar[LeakPolicy]
    LEAK_POLICY_NONE: _ClassVar[LeakPolicy]
    LEAK_POLICY_EXACT: _ClassVar[LeakPolicy]
    LEAK_POLICY_NEAR: _ClassVar[LeakPolicy]

class UploadState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UPLOAD_STATE_UNSPECIFIED: _ClassVar[UploadState]
    UPLOAD_STATE_RECEIVING: _ClassVar[UploadState]
    UPLOAD_STATE_FINISHED: _ClassVar[UploadState]
SPLIT_UNSPECIFIED: Split
SPLIT_TRAIN: Split
SPLIT_VAL: Split
SPLIT_TEST: Split
DATASET_STATE_UNSPECIFIED: DatasetState
DATASET_STATE_IMPORTING: DatasetState
DATASET_STATE_READY: DatasetState
DATASET_STATE_FAILED: DatasetState
LEAK_POLICY_UNSPECIFIED: LeakPolicy
LEAK_POLICY_NONE: LeakPolicy
LEAK_POLICY_EXACT: LeakPolicy
LEAK_POLICY_NEAR: LeakPolicy
UPLOAD_STATE_UNSPECIFIED: UploadState
UPLOAD_STATE_RECEIVING: UploadState
UPLOAD_STATE_FINISHED: UploadState

class DatasetSource(_message.Message):
    __slots__ = ("builtin", "folder", "upload", "class_names", "split_seed", "label_lists", "replace_prefixes", "split_shared_list", "held_out_fraction", "folds", "fold", "drop_leaks")
    BUILTIN_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    SPLIT_SEED_FIELD_NUMBER: _ClassVar[int]
    LABEL_LISTS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_PREFIXES_FIELD_NUMBER: _ClassVar[int]
    SPLIT_SHARED_LIST_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_FRACTION_FIELD_NUMBER: _ClassVar[int]
    FOLDS_FIELD_NUMBER: _ClassVar[int]
    FOLD_FIELD_NUMBER: _ClassVar[int]
    DROP_LEAKS_FIELD_NUMBER: _ClassVar[int]
    builtin: str
    folder: str
    upload: str
    class_names: str
    split_seed: int
    label_lists: _containers.RepeatedCompositeFieldContainer[LabelList]
    replace_prefixes: _containers.RepeatedCompositeFieldContainer[PrefixReplacement]
    split_shared_list: bool
    held_out_fraction: float
    folds: int
    fold: int
    drop_leaks: LeakPolicy
    def __init__(self, builtin: _Optional[str] = ..., folder: _Optional[str] = ..., upload: _Optional[str] = ..., class_names: _Optional[str] = ..., split_seed: _Optional[int] = ..., label_lists: _Optional[_Iterable[_Union[LabelList, _Mapping]]] = ..., replace_prefixes: _Optional[_Iterable[_Union[PrefixReplacement, _Mapping]]] = ..., split_shared_list: bool = ..., held_out_fraction: _Optional[float] = ..., folds: _Optional[int] = ..., fold: _Optional[int] = ..., drop_leaks: _Optional[_Union[LeakPolicy, str]] = ...) -> None: ...

class LabelList(_message.Message):
    __slots__ = ("path", "split")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    path: str
    split: Split
    def __init__(self, path: _Optional[str] = ..., split: _Optional[_Union[Split, str]] = ...) -> None: ...

class PrefixReplacement(_message.Message):
    __slots__ = ("old_prefix", "new_prefix")
    OLD_PREFIX_FIELD_NUMBER: _ClassVar[int]
    NEW_PREFIX_FIELD_NUMBER: _ClassVar[int]
    old_prefix: str
    new_prefix: str
    def __init__(self, old_prefix: _Optional[str] = ..., new_prefix: _Optional[str] = ...) -> None: ...

class DatasetClass(_message.Message):
    __slots__ = ("id", "display_name")
    ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    display_name: str
    def __init__(self, id: _Optional[str] = ..., display_name: _Optional[str] = ...) -> None: ...

class DatasetSplit(_message.Message):
    __slots__ = ("split", "image_count", "class_counts", "digest")
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CLASS_COUNTS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    split: Split
    image_count: int
    class_counts: _containers.RepeatedScalarFieldContainer[int]
    digest: str
    def __init__(self, split: _Optional[_Union[Split, str]] = ..., image_count: _Optional[int] = ..., class_counts: _Optional[_Iterable[int]] = ..., digest: _Optional[str] = ...) -> None: ...

class RejectedFile(_message.Message):
    __slots__ = ("path", "reason")
    PATH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    path: str
    reason: str
    def __init__(self, path: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Dataset(_message.Message):
    __slots__ = ("name", "state", "source", "create_time", "end_time", "digest", "classes", "splits", "split_protocol", "image_bytes", "rejected_files", "rejected_count", "progress", "error", "creator", "report")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    SPLIT_PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FILES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: DatasetState
    source: DatasetSource
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    digest: str
    classes: _containers.RepeatedCompositeFieldContainer[DatasetClass]
    splits: _containers.RepeatedCompositeFieldContainer[DatasetSplit]
    split_protocol: str
    image_bytes: int
    rejected_files: _containers.RepeatedCompositeFieldContainer[RejectedFile]
    rejected_count: int
    progress: _event_pb2.Progress
    error: _event_pb2.Failure
    creator: str
    report: DatasetReport
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[DatasetState, str]] = ..., source: _Optional[_Union[DatasetSource, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., digest: _Optional[str] = ..., classes: _Optional[_Iterable[_Union[DatasetClass, _Mapping]]] = ..., splits: _Optional[_Iterable[_Union[DatasetSplit, _Mapping]]] = ..., split_protocol: _Optional[str] = ..., image_bytes: _Optional[int] = ..., rejected_files: _Optional[_Iterable[_Union[RejectedFile, _Mapping]]] = ..., rejected_count: _Optional[int] = ..., progress: _Optional[_Union[_event_pb2.Progress, _Mapping]] = ..., error: _Optional[_Union[_event_pb2.Failure, _Mapping]] = ..., creator: _Optional[str] = ..., report: _Optional[_Union[DatasetReport, _Mapping]] = ...) -> None: ...

class DatasetReport(_message.Message):
    __slots__ = ("splits", "imbalance", "duplicates", "split_protocol", "protocol_digest", "classes", "rejected_files", "rejected_count", "warnings", "dropped_count")
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    IMBALANCE_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    SPLIT_PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FILES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    splits: _containers.RepeatedCompositeFieldContainer[SplitReport]
    imbalance: float
    duplicates: DuplicateReport
    split_protocol: str
    protocol_digest: str
    classes: _containers.RepeatedCompositeFieldContainer[DatasetClass]
    rejected_files: _containers.RepeatedCompositeFieldContainer[RejectedFile]
    rejected_count: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    dropped_count: int
    def __init__(self, splits: _Optional[_Iterable[_Union[SplitReport, _Mapping]]] = ..., imbalance: _Optional[float] = ..., duplicates: _Optional[_Union[DuplicateReport, _Mapping]] = ..., split_protocol: _Optional[str] = ..., protocol_digest: _Optional[str] = ..., classes: _Optional[_Iterable[_Union[DatasetClass, _Mapping]]] = ..., rejected_files: _Optional[_Iterable[_Union[RejectedFile, _Mapping]]] = ..., rejected_count: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ..., dropped_count: _Optional[int] = ...) -> None: ...

class SplitReport(_message.Message):
    __slots__ = ("split", "image_count", "class_counts", "mean", "std", "width", "height", "short_sides")
    class ShortSidesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CLASS_COUNTS_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SHORT_SIDES_FIELD_NUMBER: _ClassVar[int]
    split: Split
    image_count: int
    class_counts: _containers.RepeatedScalarFieldContainer[int]
    mean: _containers.RepeatedScalarFieldContainer[float]
    std: _containers.RepeatedScalarFieldContainer[float]
    width: SizeRange
    height: SizeRange
    short_sides: _containers.ScalarMap[int, int]
    def __init__(self, split: _Optional[_Union[Split, str]] = ..., image_count: _Optional[int] = ..., class_counts: _Optional[_Iterable[int]] = ..., mean: _Optional[_Iterable[float]] = ..., std: _Optional[_Iterable[float]] = ..., width: _Optional[_Union[SizeRange, _Mapping]] = ..., height: _Optional[_Union[SizeRange, _Mapping]] = ..., short_sides: _Optional[_Mapping[int, int]] = ...) -> None: ...

class SizeRange(_message.Message):
    __slots__ = ("min", "median", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: int
    median: int
    max: int
    def __init__(self, min: _Optional[int] = ..., median: _Optional[int] = ..., max: _Optional[int] = ...) -> None: ...

class DuplicateReport(_message.Message):
    __slots__ = ("exact_within", "exact_across", "near_within", "near_across", "label_conflicts", "groups")
    EXACT_WITHIN_FIELD_NUMBER: _ClassVar[int]
    EXACT_ACROSS_FIELD_NUMBER: _ClassVar[int]
    NEAR_WITHIN_FIELD_NUMBER: _ClassVar[int]
    NEAR_ACROSS_FIELD_NUMBER: _ClassVar[int]
    LABEL_CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    exact_within: int
    exact_across: int
    near_within: int
    near_across: int
    label_conflicts: int
    groups: _containers.RepeatedCompositeFieldContainer[DuplicateGroup]
    def __init__(self, exact_within: _Optional[int] = ..., exact_across: _Optional[int] = ..., near_within: _Optional[int] = ..., near_across: _Optional[int] = ..., label_conflicts: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[DuplicateGroup, _Mapping]]] = ...) -> None: ...

class DuplicateGroup(_message.Message):
    __slots__ = ("exact", "images")
    EXACT_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    exact: bool
    images: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, exact: bool = ..., images: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateDatasetRequest(_message.Message):
    __slots__ = ("dataset_id", "source", "request_id")
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    source: DatasetSource
    request_id: str
    def __init__(self, dataset_id: _Optional[str] = ..., source: _Optional[_Union[DatasetSource, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListDatasetsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetsResponse(_message.Message):
    __slots__ = ("datasets", "next_page_token")
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    next_page_token: str
    def __init__(self, datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CheckDatasetRequest(_message.Message):
    __slots__ = ("source",)
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    source: DatasetSource
    def __init__(self, source: _Optional[_Union[DatasetSource, _Mapping]] = ...) -> None: ...

class DatasetCheckUpdate(_message.Message):
    __slots__ = ("progress", "report")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    progress: _event_pb2.Progress
    report: DatasetReport
    def __init__(self, progress: _Optional[_Union[_event_pb2.Progress, _Mapping]] = ..., report: _Optional[_Union[DatasetReport, _Mapping]] = ...) -> None: ...

class Upload(_message.Message):
    __slots__ = ("name", "state", "size_bytes", "sha256", "received_bytes", "expire_time", "creator", "create_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: UploadState
    size_bytes: int
    sha256: str
    received_bytes: int
    expire_time: _timestamp_pb2.Timestamp
    creator: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[UploadState, str]] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., received_bytes: _Optional[int] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., creator: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateUploadRequest(_message.Message):
    __slots__ = ("size_bytes", "sha256", "request_id")
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    size_bytes: int
    sha256: str
    request_id: str
    def __init__(self, size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UploadChunksRequest(_message.Message):
    __slots__ = ("upload", "offset", "data")
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    upload: str
    offset: int
    data: bytes
    def __init__(self, upload: _Optional[str] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class GetUploadRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class FinishUploadRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteUploadRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...
