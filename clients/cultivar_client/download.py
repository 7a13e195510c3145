"""Writes a streamed file below a directory: whole, verified, and never outside it."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Protocol

from cultivar.v1 import artifact_pb2
from cultivar_client.errors import CultivarError


class Digest(Protocol):
    """A running digest of what was written."""

    def update(self, data: bytes, /) -> None:
        """Adds bytes."""

    def hexdigest(self) -> str:
        """Returns the digest so far, in hexadecimal."""


def path_inside(directory: Path, path: str) -> Path:
    """Returns the place of a service's `path` below `directory`.

    Raises CultivarError where it would lie outside: the service's word is no reason to write there.
    """
    parts = path.split("/")
    # Backslashes, colons and NUL are judged alike everywhere, though they lead out of a directory on some systems only.
    if any(part in ("", ".", "..") for part in parts) or any(character in path for character in "\\:\0"):
        raise _unsafe(path)
    target = directory.joinpath(*parts)
    # A link that already lies in the directory could point out of it.
    if not target.resolve().is_relative_to(directory.resolve()):
        raise _unsafe(path)
    return target


async def write_artifact(target: Path, chunks: AsyncIterator[artifact_pb2.ArtifactChunk], sha256: str) -> None:
    """Writes chunks to a temporary file beside `target`, verifies it, and renames it to `target`.

    Raises CultivarError (DATA_LOSS) where bytes are missing or `sha256` (empty: not known) is not the file's digest.
    """
    await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            digest = await _write_chunks(file, chunks, target.name)
        if sha256 and digest != sha256.lower():
            raise _data_loss(f"{target.name}: sha256 is {digest}, not {sha256}: download it again", "DIGEST_MISMATCH")
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


async def _write_chunks(file: IO[bytes], chunks: AsyncIterator[artifact_pb2.ArtifactChunk], name: str) -> str:
    digest = hashlib.sha256()
    written_bytes, size_bytes = 0, 0
    async for chunk in chunks:
        if chunk.offset != written_bytes:
            raise _data_loss(f"{name}: got byte {chunk.offset} where byte {written_bytes} was due", "SIZE_MISMATCH")
        size_bytes = chunk.size_bytes or size_bytes
        await asyncio.to_thread(_append, file, digest, chunk.data)
        written_bytes += len(chunk.data)
    if size_bytes and written_bytes != size_bytes:
        raise _data_loss(f"{name}: got {written_bytes} of {size_bytes} bytes: download it again", "SIZE_MISMATCH")
    return digest.hexdigest()


def _append(file: IO[bytes], digest: Digest, data: bytes) -> None:
    file.write(data)
    digest.update(data)


def _unsafe(path: str) -> CultivarError:
    message = f"the service named a file {path!r}, which would lie outside the directory: nothing was written"
    return CultivarError(message, code="INVALID_ARGUMENT", reason="UNSAFE_PATH")


def _data_loss(message: str, reason: str) -> CultivarError:
    return CultivarError(message, code="DATA_LOSS", reason=reason)
