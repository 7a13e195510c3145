"""Keeps copies of a job's files that only grow, and fetches no byte twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from cultivar.v1 import artifact_pb2
from cultivar_client.download import path_inside

if TYPE_CHECKING:
    from cultivar_client.client import Client

MOST_BYTES = 1 << 30
"""Of one job's files together: a trainer stops at an eighth of that, so the rest would be another program's."""


async def refresh(client: "Client", job: str, prefix: str, directory: Path) -> int:
    """Appends what a job's files have grown by to their copies below `directory`; returns the number of new bytes.

    A file that has become shorter, as one does that a full disk cut, is fetched anew.

    Raises CultivarError: INVALID_ARGUMENT for a path that leads out of `directory`; OSError where a copy can't be
    written.
    """
    listing = await client.list_artifacts(job)
    wanted = [one for one in listing.artifacts if one.path.startswith(prefix)]
    # Judge every path before the first file is written.
    targets = [path_inside(directory, one.path.removeprefix(prefix)) for one in wanted]
    new, room = 0, MOST_BYTES
    for artifact, target in zip(wanted, targets, strict=True):
        size = min(artifact.size_bytes, room)
        room -= size
        have = target.stat().st_size if target.exists() else 0
        if have > artifact.size_bytes:
            target.unlink()
            have = 0
        if have < size:
            async with aclosing(client.artifact_chunks(job, artifact.path, offset=have)) as chunks:
                new += await _append(target, chunks, size - have)
    return new


async def _append(target: Path, chunks: AsyncIterator[artifact_pb2.ArtifactChunk], most: int) -> int:
    """Appends chunks, at most so many bytes: what came later, a next refresh fetches."""
    await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
    written = 0
    with target.open("ab") as file:
        async for chunk in chunks:
            written += await asyncio.to_thread(file.write, chunk.data[: most - written])
            if written >= most:
                break
    return written
