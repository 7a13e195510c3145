"""Names that people give to data sets and models, and files inside folders that only we own."""

import re
from pathlib import Path

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
NAME_RULE = "use 1 to 64 lower-case letters, digits, '.', '_' or '-', the first a letter or digit"
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,254}")


class OutsideFolder(ValueError):
    """A path leaves the folder that it must stay in, by itself or through a link."""


def is_name(text: str) -> bool:
    """Tell whether `text` can name a data set or a model."""
    return NAME.fullmatch(text) is not None


def is_file_name(text: str) -> bool:
    """Tell whether `text` is a bare file name: no separators, no leading dot."""
    return FILE_NAME.fullmatch(text) is not None


def inside(root: Path, relative: str) -> Path:
    """Resolve `relative` below `root`, following links.

    Raises:
        OutsideFolder: the result is not below `root`, or `relative` is no usable path.
    """
    try:
        path = (root / relative).resolve()
    except (ValueError, OSError, RuntimeError) as error:  # NUL bytes, over-long names, link loops
        raise OutsideFolder(f"{relative!r} is no usable path") from error
    too_long = any(len(part.encode()) > 255 for part in Path(relative).parts)
    if "\0" in relative or too_long or not path.is_relative_to(root.resolve()):
        raise OutsideFolder(f"{relative!r} leads outside the folder")
    return path
