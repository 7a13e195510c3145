"""How a folder of images says which class and which split an image belongs to."""

import os
from dataclasses import dataclass
from pathlib import Path

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Splits by the usual names of their folders, in lower case."""
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


class UnusableFolder(ValueError):
    """A folder that can't become a data set; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The class folders of a data set."""

    splits: tuple[str, ...]
    """`train`, `val`, `test`: those that the folder has; empty where it is one folder of classes."""
    class_ids: tuple[str, ...]
    """Names of the class folders, sorted."""
    folders: dict[str, Path]
    """Folder of each split; under `` where the folder has no splits."""


def scan(folder: Path) -> Layout:
    """Read a folder's layout: classes below train/, val/, test/, or classes alone.

    Hidden folders are left out: editors and notebooks leave them behind.

    Raises:
        UnusableFolder: no folder, fewer than two classes, no training images, or splits whose classes differ.
    """
    if not folder.is_dir():
        raise UnusableFolder("there is no such folder")
    top = _folders(folder)
    splits = {SPLIT_FOLDERS[name.lower()]: folder / name for name in top if name.lower() in SPLIT_FOLDERS}
    if not splits:
        if len(top) < 2:
            raise UnusableFolder(
                f"it has {len(top)} class folder(s): put the images of each of 2 or more classes in its own"
            )
        return Layout(splits=(), class_ids=tuple(top), folders={"": folder})
    named_twice = sorted(split for split in splits if sum(SPLIT_FOLDERS.get(name.lower()) == split for name in top) > 1)
    if named_twice:
        raise UnusableFolder(f"it has two folders for the split {named_twice[0]}: keep one")
    if "train" not in splits:
        raise UnusableFolder(f"it has {', '.join(sorted(splits))} but no train folder: add one")
    others = [name for name in top if name.lower() not in SPLIT_FOLDERS]
    if others:
        raise UnusableFolder(f"beside its split folders it has {', '.join(others[:5])}: move or remove them")
    class_ids = _folders(splits["train"])
    if len(class_ids) < 2:
        raise UnusableFolder(
            f"train has {len(class_ids)} class folder(s): put images of 2 or more classes in their own"
        )
    for split, path in splits.items():
        unknown = sorted(set(_folders(path)) - set(class_ids))
        if unknown:
            raise UnusableFolder(f"{split} has classes that train has not: {', '.join(unknown[:5])}")
    order = tuple(split for split in ("train", "val", "test") if split in splits)
    return Layout(splits=order, class_ids=tuple(class_ids), folders=splits)


def images(folder: Path) -> list[Path]:
    """Return the files of one class folder that look like images, sorted, at any depth; linked folders are left out.

    Raises:
        OSError: a folder can't be read.
    """
    found = []
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                found.append(Path(root) / name)
    return found


def _raise(error: OSError) -> None:
    raise error


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        )
