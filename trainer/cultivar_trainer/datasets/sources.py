"""What an import reads: images with their classes and splits, from class folders on disk or in an archive."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from cultivar_contract import image_folder
from cultivar_contract.image_folder import Tree
from cultivar_trainer.datasets.folders import MAX_FILE_BYTES, DiskFiles
from cultivar_trainer.errors import TaskFailed

_MAX_CLASS_NAMES_BYTES = 4 << 20
_MAX_CLASS_NAME = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceImage:
    """One image before it is imported."""

    path: str
    """Relative to the source."""
    class_id: str
    split: str
    """`train`, `val`, `test`, or empty where the source says nothing."""
    read: Callable[[], bytes]
    """Returns the encoded bytes; may raise OSError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A collection of images with its classes."""

    classes: dict[str, str]
    """Display name by class id, in label order."""
    images: list[SourceImage]
    splits: tuple[str, ...]
    """`train`, `val`, `test`: those that the source brings; empty where it brings none."""
    protocol: str
    """How the source splits its images: `official`, `as given`, or empty where it does not."""
    validation_images: int = 0
    """Training images, stratified, that become the validation split that the source does not bring; 0: a tenth."""


class Files(Tree, Protocol):
    """A tree whose files can be read."""

    def read(self, path: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """Return a file's bytes; safe to call from several threads.

        Raises:
            OSError: it is missing, too large, no regular file, or can't be read.
        """


def folder(path: Path, class_names: Path | None) -> Source:
    """Read a folder of class folders, with or without train/, val/, test/.

    Raises:
        TaskFailed: UNUSABLE_FOLDER or UNUSABLE_CLASS_NAMES.
    """
    return class_folders(DiskFiles(path), names_on_disk(class_names), reason="UNUSABLE_FOLDER")


def class_folders(files: Files, names: dict[str, str], *, reason: str) -> Source:
    """Read class folders, with or without train/, val/, test/.

    Args:
        files: the tree.
        names: display names by class id; others are shown by their ids.
        reason: of the failure where they can't be used.

    Raises:
        TaskFailed: they can't be used.
    """
    try:
        layout = image_folder.scan(files)
    except image_folder.UnusableFolder as error:
        raise TaskFailed(reason, f"its folders can't be imported: {error}") from error
    if odd := [class_id for class_id in layout.class_ids if not is_text(class_id)]:
        shown = os.fsencode(odd[0]).decode(errors="backslashreplace")
        raise TaskFailed(reason, f"the folder {shown} has a name that is no UTF-8: rename it")
    images = [
        SourceImage(path=path, class_id=class_id, split=split, read=partial(files.read, path))
        for split, root in layout.folders.items()
        for class_id in files.folders(root)
        for path in files.images(f"{root}/{class_id}" if root else class_id)
    ]
    return Source(
        classes={class_id: names.get(class_id, class_id) for class_id in layout.class_ids},
        images=images,
        splits=layout.splits,
        protocol="as given" if layout.splits else "",
    )


def names_on_disk(path: Path | None) -> dict[str, str]:
    """Read a class-name file that is none of the source's own; none: no names.

    Raises:
        TaskFailed: UNUSABLE_CLASS_NAMES.
    """
    return {} if path is None else read_class_names(DiskFiles(path.parent), path.name)


def read_class_names(files: Files, path: str) -> dict[str, str]:
    """Read a JSON file {class id: display name}.

    Raises:
        TaskFailed: UNUSABLE_CLASS_NAMES.
    """
    name = path.rpartition("/")[2]
    try:
        names = json.loads(files.read(path, _MAX_CLASS_NAMES_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise TaskFailed("UNUSABLE_CLASS_NAMES", f"{name} can't be read as JSON: {error}") from error
    if not isinstance(names, dict) or not all(isinstance(one, str) for one in names.values()):
        raise TaskFailed("UNUSABLE_CLASS_NAMES", f'{name} is no JSON object {{"class id": "name"}}: make it one')
    for class_id, shown in names.items():
        if len(shown) > _MAX_CLASS_NAME or not is_text(shown):
            fact = f"the name of class {class_id!a:.80} is longer than {_MAX_CLASS_NAME} characters, or no Unicode text"
            raise TaskFailed("UNUSABLE_CLASS_NAMES", f"{name}: {fact}: correct it")
    return names


def is_text(name: str) -> bool:
    """Tell whether text can be UTF-8: Python keeps other bytes of file names, and JSON's halves, as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
