"""TensorBoard's event files: records of protocol buffers with checksums, one file for each attempt.

Our own writer and not `torch.utils.tensorboard`, which takes 0.5 s to load and writes from a thread, where a full disk
can't be told (docs/decisions/0022-event-files-are-written-by-hand.md).
"""

import os
import struct
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

_NAME = "events.out.tfevents.{:04d}"
"""TensorBoard knows files by `tfevents`, and reads those of a folder in the order of their names."""


class EventFile:
    """Appends what is shown of one run's steps; a later attempt's file takes the place of what it repeats."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; nothing is written, nor tensorboard loaded, before the first step.

        Args:
            folder: of the run. An earlier attempt's files in it stay as they are.
        """
        self._folder = folder
        self._path: Path | None = None
        self._last_step = -1

    def write(self, step: int, values: Iterator[Any]) -> int:
        """Append a step's values; return how many bytes the files have grown by.

        Args:
            step: where it is not above the last one, or the run has an earlier attempt's file, TensorBoard forgets what
                it was told of this step and later ones.
            values: `Summary.Value` messages.

        Raises:
            OSError: it can't be written; the file ends with its last whole step.
            ImportError: tensorboard is not installed.
        """
        # Loads for a tenth of a second, which a job that shows nothing need not wait.
        from tensorboard.compat.proto import event_pb2, summary_pb2

        now, events = time.time(), []
        first = self._path is None
        if self._path is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            earlier = len(list(self._folder.glob("*tfevents*")))
            self._path = self._folder / _NAME.format(earlier + 1)
            self._last_step = step if earlier else -1
            events.append(event_pb2.Event(wall_time=now, file_version="brain.Event:2"))
        if step <= self._last_step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            events.append(event_pb2.Event(wall_time=now, step=step, session_log=start))
        events.extend(
            event_pb2.Event(wall_time=now, step=step, summary=summary_pb2.Summary(value=[one])) for one in values
        )
        data = b"".join(record(one.SerializeToString()) for one in events)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            before = os.fstat(descriptor).st_size
            try:
                written = 0
                while written < len(data):
                    written += os.write(descriptor, data[written:])
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        except OSError:
            if first:
                self._path = None
            raise
        finally:
            os.close(descriptor)
        self._last_step = step
        return len(data)


def record(data: bytes) -> bytes:
    """Return bytes as a record: length and data, each with its checksum (TensorFlow's `record_writer.cc`)."""
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    """Return a CRC-32C (RFC 3720, appendix B.4), masked as records have it."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@cache
def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table
