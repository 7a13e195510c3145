"""Tokens: made once, kept as hashes in a file, looked up for each request in about two microseconds."""

import fcntl
import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cultivar_contract.names import NAME_RULE, is_name
from cultivar_service.caller import Scope
from cultivar_service.errors import Unauthenticated

logger = logging.getLogger(__name__)

PREFIX = "cultivar_"
"""How tokens begin, so that scanners for leaked secrets can tell one."""
_TOKEN_BYTES = 32
_MAX_FILE_BYTES = 4 << 20
_LOOK_EVERY_S = 1.0
"""How long a change of the file may go unnoticed."""


class UnusableTokens(ValueError):
    """A tokens file that can't be used; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """What is kept of a token: everything but the token."""

    name: str
    """Whom it was made for."""
    scope: Scope
    """What it allows."""
    sha256: bytes
    """Digest of the token. No salt and no slow hash: a token has 256 random bits, which nobody can try one by one."""
    create_time: float
    """Seconds since 1970."""
    expire_time: float | None = None
    """Seconds since 1970; None: never."""

    def to_json(self) -> dict[str, Any]:
        """Return the file's form."""
        value = {
            "name": self.name,
            "scope": self.scope.name.lower(),
            "sha256": self.sha256.hex(),
            "create_time": _to_text(self.create_time),
        }
        return value if self.expire_time is None else {**value, "expire_time": _to_text(self.expire_time)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Token":
        """Read the file's form.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it has another form.
        """
        token = cls(
            name=check_name(value["name"]),
            scope=read_scope(value["scope"]),
            sha256=bytes.fromhex(value["sha256"]),
            create_time=_from_text(value["create_time"]),
            expire_time=None if value.get("expire_time") is None else _from_text(value["expire_time"]),
        )
        if len(token.sha256) != hashlib.sha256().digest_size:
            raise ValueError(f"sha256 of {token.name!r} has {len(token.sha256)} bytes, not 32")
        return token


def check_name(text: str) -> str:
    """Return a token's name.

    Raises:
        ValueError: it can't be one.
    """
    if not is_name(text):
        raise ValueError(f"{text!r} can't name a token: {NAME_RULE}")
    return text


def read_scope(text: str) -> Scope:
    """Return the scope of a name.

    Raises:
        ValueError: there is none.
    """
    scopes = {scope.name.lower(): scope for scope in Scope}
    if text not in scopes:
        raise ValueError(f"{text!r} is no scope: use {', '.join(scopes)}")
    return scopes[text]


def read(path: Path) -> list[Token]:
    """Read a tokens file.

    Raises:
        UnusableTokens: it can't be read, is damaged, or can be written by everybody.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & stat.S_IWOTH:
                raise UnusableTokens(f"{path} can be written by everybody: chmod 600")
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnusableTokens(
            f"{path} can't be read ({error.strerror}): make it with `cultivar-service tokens add NAME --scope SCOPE`"
        ) from error
    try:
        tokens = [Token.from_json(one) for one in json.loads(data)["tokens"]]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UnusableTokens(f"{path} is no tokens file ({type(error).__name__}: {error})"[:300]) from error
    names = [token.name for token in tokens]
    if len(set(names)) < len(names):
        raise UnusableTokens(f"{path} has a name twice: each token needs its own")
    return tokens


def add(path: Path, name: str, scope: Scope, *, lifetime_s: float | None = None) -> str:
    """Make a token and return it, for the only time; the file keeps its digest.

    Raises:
        ValueError: the name can't be used, or is taken.
        UnusableTokens: the file can't be used.
    """
    check_name(name)
    text = PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    now = time.time()
    token = Token(
        name=name,
        scope=scope,
        sha256=_digest(text),
        create_time=now,
        expire_time=None if lifetime_s is None else now + lifetime_s,
    )
    with _changing(path) as tokens:
        if any(one.name == name for one in tokens):
            raise ValueError(f"there is a token named {name!r} already: revoke it first, or use another name")
        tokens.append(token)
    return text


def revoke(path: Path, name: str) -> None:
    """Forget a token.

    Raises:
        ValueError: there is none of that name.
        UnusableTokens: the file can't be used.
    """
    with _changing(path) as tokens:
        kept = [one for one in tokens if one.name != name]
        if len(kept) == len(tokens):
            raise ValueError(f"there is no token named {name!r}: `cultivar-service tokens list` shows them")
        tokens[:] = kept


class TokenTable:
    """The tokens of a file, read again when it changes."""

    def __init__(self, path: Path, *, look_every_s: float = _LOOK_EVERY_S, now: Callable[[], float] = time.time):
        """Read the file.

        Raises:
            UnusableTokens: it can't be used.
        """
        self._path = path
        self._look_every_s = look_every_s
        self._now = now
        self._seen = _signature(path)
        self._looked = time.monotonic()
        self._by_digest = {token.sha256: token for token in read(path)}

    def find(self, text: str) -> Token:
        """Return what is known of a token.

        Raises:
            Unauthenticated: it is unknown, or too old.
        """
        if time.monotonic() - self._looked >= self._look_every_s:
            self._look()
        digest = _digest(text)
        # Python's dictionaries mix a key of their own into the hash of bytes, and what is looked up is itself a digest:
        # time tells nothing of a kept one. The last word is a comparison in constant time nevertheless.
        token = self._by_digest.get(digest)
        if token is None or not hmac.compare_digest(token.sha256, digest):
            raise Unauthenticated("the token is unknown, or was revoked: ask an admin for one", reason="TOKEN_UNKNOWN")
        if token.expire_time is not None and self._now() >= token.expire_time:
            raise Unauthenticated(f"the token {token.name!r} has expired: ask an admin for one", reason="TOKEN_EXPIRED")
        return token

    def _look(self) -> None:
        self._looked = time.monotonic()
        signature = _signature(self._path)
        if signature == self._seen:
            return
        self._seen = signature
        try:
            tokens = read(self._path)
        except UnusableTokens as error:
            logger.error("the tokens stay as they were: %s", error)
            return
        self._by_digest = {token.sha256: token for token in tokens}
        logger.info("%s: %d tokens", self._path, len(tokens))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


def _signature(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)


@contextmanager
def _changing(path: Path) -> Iterator[list[Token]]:
    """Read the file for a change, alone, and write it when that is done; a reader sees it before or after."""
    try:
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UnusableTokens(f"{path.parent} can't be written ({error.strerror}): name a file elsewhere") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tokens = read(path) if path.exists() else []
        yield tokens
        _write(path, tokens)
    finally:
        os.close(lock)


def _write(path: Path, tokens: list[Token]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump({"tokens": [token.to_json() for token in tokens]}, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _to_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _from_text(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()
