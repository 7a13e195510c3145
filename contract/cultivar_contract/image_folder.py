"""How a folder of images, on disk or in an archive, says which class and which split an image belongs to."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

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
MAX_LIST_BYTES = 256 << 20
"""Larger files that list images with their classes are not read."""


class UnusableFolder(ValueError):
    """A folder that can't become a data set; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The class folders of a data set."""

    splits: tuple[str, ...]
    """`train`, `val`, `test`: those that the folder has; empty where it is one folder of classes."""
    class_ids: tuple[str, ...]
    """Names of the class folders, sorted."""
    folders: dict[str, str]
    """Folder of each split; under ``, the whole, where there are no splits."""


class Tree(Protocol):
    """Folders and files, each named by its path from the top with `/` between; the top itself is ``."""

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder, sorted; hidden ones are left out."""

    def images(self, path: str) -> list[str]:
        """Return the paths of the files below a folder, at any depth, that look like images, sorted."""


class Folder:
    """A folder on disk. Linked folders are left out, hidden ones too: editors and notebooks leave them behind."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check(self) -> None:
        """Check that it is there.

        Raises:
            UnusableFolder: it is not.
        """
        if not self.root.is_dir():
            raise UnusableFolder("there is no such folder")

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder, sorted.

        Raises:
            UnusableFolder: the whole is not there.
            OSError: it can't be read.
        """
        self.check()
        with os.scandir(self.root / path) as entries:
            return sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            )

    def images(self, path: str) -> list[str]:
        """Return the paths of the files below a folder that look like images, sorted by folder, then name.

        Raises:
            OSError: a folder can't be read.
        """
        found = []
        for root, folders, names in os.walk(self.root / path, onerror=_raise):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = Path(root).relative_to(self.root)
            found += [(below / name).as_posix() for name in sorted(names) if is_image(name)]
        return found


def is_image(path: str) -> bool:
    """Tell whether a file looks like an image by its name, and is not hidden."""
    name = PurePosixPath(path).name
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def scan(tree: Tree) -> Layout:
    """Read the layout: classes below train/, val/, test/, or classes alone.

    Raises:
        UnusableFolder: fewer than two classes, no training images, or splits whose classes differ.
    """
    top = tree.folders("")
    splits = {SPLIT_FOLDERS[name.lower()]: name for name in top if name.lower() in SPLIT_FOLDERS}
    if not splits:
        if len(top) < 2:
            raise UnusableFolder(
                f"it has {len(top)} class folder(s): put the images of each of 2 or more classes in its own"
            )
        return Layout(splits=(), class_ids=tuple(top), folders={"": ""})
    named_twice = sorted(split for split in splits if sum(SPLIT_FOLDERS.get(name.lower()) == split for name in top) > 1)
    if named_twice:
        raise UnusableFolder(f"it has two folders for the split {named_twice[0]}: keep one")
    if "train" not in splits:
        raise UnusableFolder(f"it has {', '.join(sorted(splits))} but no train folder: add one")
    others = [name for name in top if name.lower() not in SPLIT_FOLDERS]
    if others:
        raise UnusableFolder(f"beside its split folders it has {', '.join(others[:5])}: move or remove them")
    class_ids = tree.folders(splits["train"])
    if len(class_ids) < 2:
        raise UnusableFolder(
            f"train has {len(class_ids)} class folder(s): put images of 2 or more classes in their own"
        )
    for split, path in splits.items():
        unknown = sorted(set(tree.folders(path)) - set(class_ids))
        if unknown:
            raise UnusableFolder(f"{split} has classes that train has not: {', '.join(unknown[:5])}")
    order = tuple(split for split in ("train", "val", "test") if split in splits)
    return Layout(splits=order, class_ids=tuple(class_ids), folders=splits)


def _raise(error: OSError) -> None:
    raise error
