"""Certificates and tokens, made as tests need them."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from running_service import Client

from cultivar_service import tokens
from cultivar_service.caller import Scope


def make_certificate(folder: Path, name: str, *, issuer: str = "") -> tuple[Path, Path]:
    """Make NAME.pem and NAME.key for localhost, signed by an issuer made here before, else by itself."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    folder.mkdir(parents=True, exist_ok=True)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    if issuer:
        command += ["-CA", str(folder / f"{issuer}.pem"), "-CAkey", str(folder / f"{issuer}.key")]
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def make_tokens(folder: Path, **scopes: str) -> tuple[Path, dict[str, str]]:
    """Make a tokens file; return it and the tokens by name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tokens.json"
    return path, {name: tokens.add(path, name, Scope[scope.upper()]) for name, scope in scopes.items()}


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


class _WithToken(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_authorized(details, self._token), request)


class _StreamWithToken(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_authorized(details, self._token), request)


def _authorized(details: Any, token: str) -> Any:
    metadata = grpc.aio.Metadata(*(details.metadata or ()), *bearer(token))
    return details._replace(metadata=metadata)


@asynccontextmanager
async def client_with(address: object, token: str) -> AsyncIterator[Client]:
    """A client that sends a token with every call."""
    interceptors = [_WithToken(token), _StreamWithToken(token)]
    async with grpc.aio.insecure_channel(str(address), interceptors=interceptors) as channel:
        yield Client(channel)


def tls_channel(address: Any, *, ca: Path, identity: tuple[Path, Path] | None = None) -> grpc.aio.Channel:
    certificate, key = (path.read_bytes() for path in identity) if identity else (None, None)
    credentials = grpc.ssl_channel_credentials(ca.read_bytes(), private_key=key, certificate_chain=certificate)
    # A pool of its own: otherwise a second channel would go over the first one's connection.
    options = (("grpc.use_local_subchannel_pool", 1),)
    return grpc.aio.secure_channel(f"localhost:{address.port}", credentials, options=options)
