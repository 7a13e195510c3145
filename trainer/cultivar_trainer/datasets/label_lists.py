"""Label lists: files that say which class an image belongs to, as CSV or as `image label` lines."""

import csv
import io
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

from cultivar.v1 import dataset_pb2
from cultivar_contract.image_folder import MAX_LIST_BYTES, SPLIT_FOLDERS
from cultivar_trainer.datasets.draws import draw_fraction
from cultivar_trainer.datasets.sources import Files, Source, SourceImage
from cultivar_trainer.errors import TaskFailed

IMAGE_COLUMNS = frozenset({"image", "path", "file", "filename"})
LABEL_COLUMNS = frozenset({"label", "class", "target"})
SPLIT_COLUMN = "split"
_DELIMITERS = ",;\t"
_MAX_LABEL = 255
_MAX_HEADER = 10_000
"""Characters that are looked at to tell a table from lines."""
_SPLITS = ("train", "val", "test")
_SPLIT_NAMES = ("", *_SPLITS)
"""By the numbers of the enum `Split`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _List:
    """A list that is to be read."""

    path: str
    """Relative to the top of the tree."""
    split: str
    """`train`, `val`, `test`, or empty where the list itself or nobody says."""


class _Row(NamedTuple):
    line: int
    image: str
    label: str
    split: str


class _Entry(NamedTuple):
    """A row whose image is known by its place."""

    list: str
    line: int
    path: str
    """Of the image, relative to `top`."""
    label: str
    split: str

    @property
    def where(self) -> str:
        """List and line, for messages."""
        return f"{self.list}, line {self.line}"


def listed_images(files: Files, source: dataset_pb2.DatasetSource, *, top: str, names: dict[str, str]) -> Source:
    """Read the images that a source's lists name.

    Args:
        files: the tree that lists and images lie in.
        source: its lists, the prefixes to replace, and whether one list that is both validation and test list is split.
        top: folder of the tree that images must lie in, `.` for all of it; they are named relative to it.
        names: display names by class id.

    Raises:
        TaskFailed: UNUSABLE_LABEL_LIST or SHARED_LABEL_LIST.
    """
    lists = [_List(path=posixpath.normpath(one.path), split=_SPLIT_NAMES[one.split]) for one in source.label_lists]
    replacements = [(one.old_prefix, one.new_prefix) for one in source.replace_prefixes]
    shared = _shared(files, lists)
    if shared and not source.split_shared_list:
        raise TaskFailed(
            "SHARED_LABEL_LIST",
            f"{shared[0].path} and {shared[1].path} are the same list, for validation and test: name two, or ask for "
            "it to be split",
        )
    entries: dict[tuple[str, str], _Entry] = {}
    for one in lists:
        if shared and one is shared[1]:
            continue
        for entry in _entries(files, one, top, replacements):
            key = entry.split, entry.path
            first = entries.setdefault(key, entry)
            if first.label != entry.label:
                raise _unusable(
                    entry.where, f"{entry.path} is {entry.label!r}, and {first.label!r} in {first.where}: keep one"
                )
    found = list(entries.values())
    protocol = "as listed"
    if shared:
        found = _halved(found, source.split_seed)
        protocol = f"as listed; val and test: halves of {shared[0].path}, stratified, seed {source.split_seed}"
    splits = tuple(split for split in _SPLITS if any(entry.split == split for entry in found))
    if splits and (splits[0] != "train" or any(not entry.split for entry in found)):
        raise TaskFailed(
            "UNUSABLE_LABEL_LIST", "the lists name splits, but no training images or not for all: give each its split"
        )
    classes = _in_order({one.label for one in found})
    if len(classes) < 2:
        raise TaskFailed("UNUSABLE_LABEL_LIST", f"the lists name the class {classes[0]!r} alone: name 2 or more")
    below = "" if top == "." else f"{top}/"
    return Source(
        classes={class_id: names.get(class_id, class_id) for class_id in classes},
        images=[
            SourceImage(
                path=entry.path,
                class_id=entry.label,
                split=entry.split,
                read=partial(files.read, below + entry.path),
            )
            for entry in found
        ],
        splits=splits,
        protocol=protocol if splits else "",
    )


def _shared(files: Files, lists: Sequence[_List]) -> tuple[_List, _List] | None:
    """Return validation and test list where they are the same, be it under two names."""
    by_split = {one.split: one for one in lists}
    if "val" in by_split and "test" in by_split:
        val, test = by_split["val"], by_split["test"]
        if _content(files, val.path) == _content(files, test.path):
            return val, test
    return None


def _halved(entries: list[_Entry], seed: int) -> list[_Entry]:
    """Give half of each class of the validation images to the test split."""
    val = [position for position, entry in enumerate(entries) if entry.split == "val"]
    order = {label: number for number, label in enumerate(_in_order({entries[one].label for one in val}))}
    drawn = draw_fraction([entries[one].path for one in val], [order[entries[one].label] for one in val], 0.5, seed)
    moved = {val[position] for position in drawn}
    return [entry._replace(split="test") if position in moved else entry for position, entry in enumerate(entries)]


def _in_order(labels: set[str]) -> list[str]:
    """Return class ids in label order: numbers by their value, others by their text."""
    if all(label.isascii() and label.isdigit() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def _entries(files: Files, one: _List, top: str, replacements: Sequence[tuple[str, str]]) -> Iterator[_Entry]:
    folder = posixpath.dirname(one.path)
    empty = True
    for row in _rows(one.path, _content(files, one.path)):
        empty = False
        split = one.split or SPLIT_FOLDERS.get(row.split.lower(), row.split)
        entry = _Entry(one.path, row.line, _place(row.image, folder, top, replacements), row.label, split)
        if not row.image or not row.label or len(row.label) > _MAX_LABEL:
            raise _unusable(entry.where, f"it has no image or no label of 1 to {_MAX_LABEL} characters")
        if split not in ("", *_SPLITS):
            raise _unusable(entry.where, f"the split {row.split!r} is none of train, val, test")
        if not entry.path:
            raise _unusable(
                entry.where,
                f"{row.image!r} leads outside {'the source' if top == '.' else top}: replace what it begins with, or "
                "move the image",
            )
        yield entry
    if empty:
        raise _unusable(one.path, "it names no images")


def _place(image: str, folder: str, top: str, replacements: Sequence[tuple[str, str]]) -> str:
    """Return where an image lies, relative to `top`; empty where that is outside."""
    for old, new in replacements:
        if image.startswith(old):
            image = new + image[len(old) :]
            break
    # join drops what precedes an absolute path, so that one leads outside, too.
    path = posixpath.normpath(posixpath.join(folder, image))
    if path.startswith(("/", "../")) or path in ("..", ".") or "\0" in path:
        return ""
    if top == ".":
        return path
    return path[len(top) + 1 :] if path.startswith(f"{top}/") else ""


def _content(files: Files, path: str) -> bytes:
    try:
        return files.read(path, MAX_LIST_BYTES)
    except OSError as error:
        raise _unusable(path, f"it can't be read: {error.strerror or error}") from error


def _rows(path: str, content: bytes) -> Iterator[_Row]:
    try:
        # Not splitlines, for which a line ends at characters that names may have, too.
        lines = list(io.StringIO(content.decode("utf-8-sig"), newline=None))
    except UnicodeDecodeError as error:
        raise _unusable(path, f"it is no UTF-8 ({error.reason} at byte {error.start})") from error
    header = next((line.strip() for line in lines if line.strip()), "")[:_MAX_HEADER]
    for delimiter in _DELIMITERS:
        columns = [column.strip().lower() for column in next(csv.reader([header], delimiter=delimiter), [])]
        if IMAGE_COLUMNS & set(columns) and LABEL_COLUMNS & set(columns):
            return _table(path, lines, delimiter)
    if PurePosixPath(path).suffix.lower() in (".csv", ".tsv"):
        raise _unusable(path, f"its first line, {header[:80]!r}, names no columns: begin with `image,label`")
    return _lines(path, lines)


def _table(path: str, lines: list[str], delimiter: str) -> Iterator[_Row]:
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    columns: list[str] = []
    try:
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if not columns:
                columns = [field.strip().lower() for field in fields]
                image = next(place for place, name in enumerate(columns) if name in IMAGE_COLUMNS)
                label = next(place for place, name in enumerate(columns) if name in LABEL_COLUMNS)
                split = columns.index(SPLIT_COLUMN) if SPLIT_COLUMN in columns else None
                continue
            if len(fields) != len(columns):
                raise _unusable(
                    f"{path}, line {reader.line_num}", f"it has {len(fields)} fields, the header {len(columns)}"
                )
            given = fields[split].strip() if split is not None else ""
            yield _Row(reader.line_num, fields[image].strip(), fields[label].strip(), given)
    except csv.Error as error:
        raise _unusable(f"{path}, line {reader.line_num}", f"it is no CSV ({error})") from error


def _lines(path: str, lines: list[str]) -> Iterator[_Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = line.strip().rsplit(maxsplit=1)  # names of files may have spaces, labels not
        if len(fields) != 2:
            raise _unusable(f"{path}, line {number}", "write `image label`, or a CSV file with a header")
        yield _Row(number, fields[0], fields[1], "")


def _unusable(where: str, fact: str) -> TaskFailed:
    return TaskFailed("UNUSABLE_LABEL_LIST", f"{where}: {fact}")
