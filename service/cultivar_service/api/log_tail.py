"""Reads a growing log in pieces of whole lines."""

from pathlib import Path

_PIECE_BYTES = 64 << 10


def read_log(path: Path, offset: int, *, whole_lines: bool) -> tuple[str, int] | None:
    """Return the text from byte `offset` on and the offset after it; None where there is nothing to tell yet.

    Args:
        path: the log; it need not exist yet.
        offset: byte to start at.
        whole_lines: leave a last line without an end for later.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(_PIECE_BYTES)
    except FileNotFoundError:
        return None
    end = data.rfind(b"\n") + 1
    if end == 0 and len(data) == _PIECE_BYTES:
        end = _before_split_character(data)  # one line longer than a piece
    elif not whole_lines and len(data) < _PIECE_BYTES:
        end = len(data)
    return (data[:end].decode(errors="replace"), offset + end) if end else None


def _before_split_character(data: bytes) -> int:
    """Return where to cut so that no UTF-8 character is cut in two."""
    for end in range(len(data), max(0, len(data) - 4), -1):
        try:
            data[:end].decode()
        except UnicodeDecodeError:
            continue
        return end
    return len(data)


def size_of(path: Path) -> int:
    """Return a log's size in bytes; 0 where there is none yet."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
