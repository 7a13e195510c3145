"""Runs a command's work with an open client, and turns how it ended into an exit code."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import typer

from cultivar_client.channel import Tls
from cultivar_client.client import Client
from cultivar_client.errors import CultivarError

DONE, FAILED, INTERRUPTED = 0, 1, 130


@dataclass(frozen=True, kw_only=True, slots=True)
class Security:
    """What `cultivar` was told, before the command's name, of how to reach the service."""

    tls: Tls | None = None
    """None: no TLS."""
    token_file: Path | None = None
    """Where the token is that the command itself was not given."""
    insecure: bool = False
    """Whether the network is trusted with a token that is not encrypted."""


SECURITY: ContextVar[Security] = ContextVar("SECURITY")
"""Of the command that runs."""


def run(address: str, token: str | None, work: Callable[[Client], Awaitable[int]]) -> None:
    """Awaits `work` with a client of the service at `address` and exits with the code it returns."""

    async def session() -> int:
        security = SECURITY.get(Security())
        text = security.token_file.read_text().strip() if token is None and security.token_file else token
        async with Client(address, token=text, tls=security.tls, insecure=security.insecure) as client:
            return await work(client)

    try:
        code = asyncio.run(session())
    except CultivarError as error:
        print_error(error)
        code = FAILED
    except OSError as error:
        # Typer itself ends the command quietly when the reader of a pipe goes away.
        if isinstance(error, BrokenPipeError):
            raise
        fail(str(error))
        code = FAILED
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)


def print_error(error: CultivarError) -> None:
    """Prints an error and what it says of single fields beyond its message to standard error."""
    fail(error.message)
    told = [(field, text) for field, text in error.field_violations if f"{field}: {text}" not in error.message]
    for field, description in told:
        typer.echo(f"  {field}: {description}", err=True)


def fail(message: str) -> int:
    """Prints `error: message` to standard error and returns the exit code for it."""
    typer.echo(f"error: {message}", err=True)
    return FAILED
