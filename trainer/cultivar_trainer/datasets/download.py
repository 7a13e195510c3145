"""Downloads that show bytes and time left, resume where they broke off, and are checked."""

import fcntl
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal

TIMEOUT_S = 30.0
"""Longest wait for the next bytes."""
ATTEMPTS = 5
"""Connections in a row that may break off without a new byte."""
_CHUNK_BYTES = 1 << 20


def download(url: str, path: Path, *, algorithm: str, digest: str, journal: Journal) -> Path:
    """Fetch `url` to `path`, unless a checked copy is there.

    Bytes are collected beside it in `<name>.part`, which the next call continues.

    Args:
        url: http, https or file.
        path: where the checked file goes.
        algorithm: `md5` or `sha256`.
        digest: hexadecimal digest of the whole file, or its first digits.
        journal: gets the progress.

    Raises:
        TaskFailed: DOWNLOAD_FAILED or DOWNLOAD_CORRUPT.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two jobs that want one file: the second waits and finds it
        if not (path.exists() and _matches(path, algorithm, digest)):
            _download(url, path, algorithm, digest, journal)
    return path


def _download(url: str, path: Path, algorithm: str, digest: str, journal: Journal) -> None:
    part = path.with_name(path.name + ".part")
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _fetch(url, part, journal)
            break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, EOFError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                if error.code < 500:
                    raise _failed(url, error) from error
            failures = 1 if part.exists() and part.stat().st_size > before else failures + 1
            if failures >= ATTEMPTS:
                raise _failed(url, error) from error
            time.sleep(min(2.0**failures / 4, 10))
    if not _matches(part, algorithm, digest):
        part.unlink()
        raise TaskFailed(
            "DOWNLOAD_CORRUPT", f"{path.name} from {url} does not match its {algorithm} {digest}: try again"
        )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _fetch(url: str, part: Path, journal: Journal) -> None:
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(
        url, headers={"User-Agent": "cultivar"} | ({"Range": f"bytes={done}-"} if done else {})
    )
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:  # nothing is left: the part is whole, or of another file
            error.close()
            return
        raise
    with response:
        resumed = getattr(response, "status", None) == 206
        length = int(response.headers.get("Content-Length") or 0)
        done = done if resumed else 0
        total = done + length if length else 0
        with part.open("ab" if resumed else "wb") as file:
            while chunk := response.read(_CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                journal.progress(f"downloading {part.name.removesuffix('.part')}", done, total, "bytes")
    if total and done < total:
        raise EOFError(f"the connection closed after {done} of {total} bytes")


def _matches(path: Path, algorithm: str, digest: str) -> bool:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest().startswith(digest)


def _failed(url: str, error: BaseException) -> TaskFailed:
    return TaskFailed(
        "DOWNLOAD_FAILED", f"{url} can't be fetched ({error}): check the network, or put the file in place"
    )
