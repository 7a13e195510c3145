"""Checks of the label lists that a data set's source names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from cultivar.v1 import dataset_pb2
from cultivar_contract.image_folder import MAX_LIST_BYTES
from cultivar_contract.names import OutsideFolder, inside
from cultivar_contract.violations import Violation
from cultivar_service.errors import shown

_FIELD = "source.label_lists"
_MAX_LISTS = 20
_MAX_REPLACEMENTS = 20
_MAX_PATH = 4096
_SPLIT_NAMES = {dataset_pb2.SPLIT_TRAIN: "train", dataset_pb2.SPLIT_VAL: "val", dataset_pb2.SPLIT_TEST: "test"}


def check_label_lists(source: dataset_pb2.DatasetSource, root: Path) -> list[Violation]:
    """Tell what is wrong with a source's lists and what belongs to them. Looks at files, so it blocks."""
    lists = source.label_lists
    violations = _check_replacements(source.replace_prefixes)
    if not lists:
        if source.replace_prefixes:
            message = "nothing names paths to replace: set label_lists, or leave it out"
            violations.append(Violation(field="source.replace_prefixes", message=message))
        if source.split_shared_list:
            message = "no list is named: set label_lists, or leave it out"
            violations.append(Violation(field="source.split_shared_list", message=message))
        return violations
    if source.HasField("builtin"):
        message = "built-in data sets bring their labels: leave it out"
        return [*violations, Violation(field=_FIELD, message=message)]
    if len(lists) > _MAX_LISTS:
        message = f"has {len(lists)} lists: name at most {_MAX_LISTS}"
        return [*violations, Violation(field=_FIELD, message=message)]
    for number, one in enumerate(lists):
        problem = check_member(one.path) if source.HasField("upload") else _check_file(one.path, root)
        if problem:
            violations.append(Violation(field=f"{_FIELD}[{number}].path", message=f"{shown(one.path)}: {problem}"))
        if one.split and one.split not in _SPLIT_NAMES:
            message = f"{one.split} is no split: use SPLIT_TRAIN, SPLIT_VAL, SPLIT_TEST, or leave it out"
            violations.append(Violation(field=f"{_FIELD}[{number}].split", message=message))
    return violations + _check_splits(source)


def check_member(path: str) -> str:
    """Tell what is wrong with the path of a file in an archive; empty where nothing is."""
    if not path:
        return "is empty: name a file, relative to the archive"
    if len(path) > _MAX_PATH or "\0" in path or path.startswith("/") or ".." in PurePosixPath(path).parts:
        return "leads outside the archive: name a file in it"
    return ""


def _check_file(relative: str, root: Path) -> str:
    if not relative:
        return "is empty: name a file, relative to the data sets root"
    try:
        path = inside(root, relative)
        if not path.is_file():
            return "there is no such file below the data sets root"
        if path.stat().st_size > MAX_LIST_BYTES:
            return f"is larger than {MAX_LIST_BYTES >> 20} MiB: name a list of images, or several"
    except OutsideFolder:
        return "leads outside the data sets root: name a file below it"
    except OSError as error:
        return f"can't be read ({error.strerror}): check its permissions"
    return ""


def _check_replacements(replacements: Sequence[dataset_pb2.PrefixReplacement]) -> list[Violation]:
    field = "source.replace_prefixes"
    if len(replacements) > _MAX_REPLACEMENTS:
        message = f"has {len(replacements)} entries: name at most {_MAX_REPLACEMENTS}"
        return [Violation(field=field, message=message)]
    return [
        Violation(field=f"{field}[{number}].old_prefix", message="is empty: name what paths begin with")
        for number, one in enumerate(replacements)
        if not one.old_prefix
    ]


def _check_splits(source: dataset_pb2.DatasetSource) -> list[Violation]:
    named = Counter(one.split for one in source.label_lists)
    paths = {_SPLIT_NAMES.get(one.split, ""): str(PurePosixPath(one.path)) for one in source.label_lists}
    is_shared = "val" in paths and paths["val"] == paths.get("test")
    if source.split_shared_list and not is_shared:
        message = "no list is named as both validation and test list: leave it out"
        return [Violation(field="source.split_shared_list", message=message)]
    if set(named) == {dataset_pb2.SPLIT_UNSPECIFIED}:
        return []
    if problem := _problem_of_splits(named, paths, is_split=source.split_shared_list or not is_shared):
        return [Violation(field=_FIELD, message=problem)]
    return []


def _problem_of_splits(named: Counter[dataset_pb2.Split], paths: Mapping[str, str], *, is_split: bool) -> str:
    if named[dataset_pb2.SPLIT_UNSPECIFIED]:
        return "some have a split and some have none: give each its split, or none"
    if max(named.values()) > 1:
        return "a split has two lists: give each split one, or all lists none"
    if "train" not in paths:
        return "none is the training list: give one SPLIT_TRAIN"
    if paths["train"] in (paths.get("val"), paths.get("test")):
        return f"{shown(paths['train'])} is the training list and another: name a list of its own for each split"
    if not is_split:
        return f"{shown(paths['val'])} is validation and test list: set split_shared_list, or name two lists"
    return ""
