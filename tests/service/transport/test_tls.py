"""TLS: who can connect, and certificates that change while the service runs."""

from pathlib import Path
from typing import Any

import pytest
from certificates import bearer, make_certificate, make_tokens, tls_channel
from grpc_health.v1 import health_pb2, health_pb2_grpc
from running_service import Client, code_of, make_config, refused, running

from cultivar.v1 import model_pb2
from cultivar_service.config import Security
from cultivar_service.errors import StartupRefused
from cultivar_service.server import Service

LIST_MODELS = model_pb2.ListModelsRequest()


async def is_trusted(address: Any, **files: Any) -> bool:
    """Tell whether a client that trusts a file's certificates gets an answer."""
    async with tls_channel(address, **files) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        code = await code_of(stub.Check(health_pb2.HealthCheckRequest(), timeout=5))
        assert code in ("OK", "UNAVAILABLE")
        return code == "OK"


async def test_with_a_certificate_only_tls_is_spoken_and_tokens_go_over_it(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "server")
    path, made = make_tokens(tmp_path, reader="predict")
    security = Security(certificate=certificate, key=key, tokens_file=path)
    async with running(make_config(tmp_path, security=security)) as (service, plain):
        async with tls_channel(service.grpc_address, ca=certificate) as channel:
            client = Client(channel)
            assert (await client.models.ListModels(LIST_MODELS, metadata=bearer(made["reader"]))).models == []
            assert (await refused(client.models.ListModels(LIST_MODELS))).code == "UNAUTHENTICATED"

        assert (await refused(plain.models.ListModels(LIST_MODELS))).code == "UNAVAILABLE"


async def test_with_a_client_authority_who_has_no_certificate_of_it_can_not_connect(tmp_path: Path) -> None:
    server, authority = make_certificate(tmp_path, "server"), make_certificate(tmp_path, "authority")
    known = make_certificate(tmp_path, "known", issuer="authority")
    stranger = make_certificate(tmp_path, "stranger")
    security = Security(certificate=server[0], key=server[1], client_ca=authority[0])
    async with running(make_config(tmp_path, security=security)) as (service, _):
        assert await is_trusted(service.grpc_address, ca=server[0], identity=known)
        assert not await is_trusted(service.grpc_address, ca=server[0], identity=stranger)
        assert not await is_trusted(service.grpc_address, ca=server[0])


async def test_a_new_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "server")
    old, new = make_certificate(tmp_path / "old", "server"), make_certificate(tmp_path / "new", "server")
    replace((certificate, key), old)
    async with running(make_config(tmp_path, security=Security(certificate=certificate, key=key))) as (service, _):
        assert await is_trusted(service.grpc_address, ca=old[0])
        replace((certificate, key), new)

        assert await is_trusted(service.grpc_address, ca=new[0])
        assert not await is_trusted(service.grpc_address, ca=old[0])


async def test_a_broken_new_certificate_keeps_the_old_until_it_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = make_certificate(tmp_path, "server")
    old, new = make_certificate(tmp_path / "old", "server"), make_certificate(tmp_path / "new", "server")
    replace((certificate, key), old)
    async with running(make_config(tmp_path, security=Security(certificate=certificate, key=key))) as (service, _):
        certificate.write_bytes(new[0].read_bytes())  # its key is still on the way

        assert await is_trusted(service.grpc_address, ca=old[0])
        assert "the certificate stays as it was" in caplog.text
        key.write_bytes(new[1].read_bytes())
        assert await is_trusted(service.grpc_address, ca=new[0])


def replace(files: tuple[Path, Path], by: tuple[Path, Path]) -> None:
    for file, other in zip(files, by, strict=True):
        file.write_bytes(other.read_bytes())


def test_a_certificate_that_can_not_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "server")
    _, other_key = make_certificate(tmp_path, "other")
    text = tmp_path / "text.pem"
    text.write_text("no certificate")

    for files in ((certificate, other_key), (text, key), (certificate, tmp_path / "missing.key")):
        with pytest.raises(StartupRefused, match=r"can't be (used|read)") as caught:
            Service(make_config(tmp_path, security=Security(certificate=files[0], key=files[1])))
        assert caught.value.exit_status == 2
