"""The client's side of TLS and tokens, in programs and in the command."""

import subprocess
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from fake_cultivar import FakeCultivar, serving
from typer.testing import CliRunner

from cultivar.v1 import training_pb2_grpc
from cultivar_client import Client, CultivarError, Tls
from cultivar_client.channel import stays_here
from cultivar_client.cli import app


@pytest.fixture
def fake():
    with serving(FakeCultivar()) as fake:
        yield fake


@pytest.fixture
def certificate(tmp_path):
    """A certificate and its key, for clients and servers alike."""
    files = tmp_path / "server.pem", tmp_path / "server.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x"
    command += f" -addext subjectAltName=IP:127.0.0.1 -out {files[0]} -keyout {files[1]}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return files


@pytest.fixture
def tls_fake(certificate):
    """A service that speaks TLS and asks clients for certificates."""
    fake = FakeCultivar()
    with futures.ThreadPoolExecutor(max_workers=2) as pool:
        server = grpc.server(pool)
        training_pb2_grpc.add_TrainingServiceServicer_to_server(fake, server)
        pem, key = (path.read_bytes() for path in certificate)
        credentials = grpc.ssl_server_credentials([(key, pem)], root_certificates=pem, require_client_auth=True)
        fake.address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
        server.start()
        yield fake
        server.stop(None).wait()


def cultivar(*arguments, **environment):
    clean = {"CULTIVAR_TOKEN": "", "CULTIVAR_TLS_CA": "", "CULTIVAR_INSECURE": ""}
    return CliRunner().invoke(app, [str(one) for one in arguments], env={**clean, **environment})


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1:50051", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("unix:/run/cultivar.sock", True),
        ("dns:///localhost:1", True),
        ("ipv4:127.0.0.1:1", True),
        ("10.0.0.1:50051", False),
        ("example.org:443", False),
        ("dns:///example.org:443", False),
        ("localhost.example.org:1", False),
    ],
)
def test_only_loopback_stays_on_this_machine(address, here):
    assert stays_here(address) is here


def test_a_token_is_not_sent_to_another_machine_without_tls_unless_told_so():
    with pytest.raises(CultivarError, match="others can read it") as caught:
        Client("example.org:443", token="secret")

    assert caught.value.reason == "TOKEN_NEEDS_TLS"
    assert "secret" not in str(caught.value)
    Client("example.org:443", token="secret", tls=Tls())
    Client("example.org:443", token="secret", insecure=True)
    Client("example.org:443")


def test_the_command_refuses_as_well_and_says_what_to_do():
    result = cultivar("models", "list", "--address", "example.org:443", "--token", "secret")

    assert result.exit_code == 1
    assert "use TLS" in result.stderr
    assert "secret" not in result.stderr


def test_the_command_speaks_tls_with_a_certificate_of_its_own(tls_fake, certificate):
    pem, key = certificate
    files = ("--tls-ca", pem, "--tls-certificate", pem, "--tls-key", key)

    result = cultivar(*files, "jobs", "show", "trainingJobs/1", "--address", tls_fake.address, "--token", "t")

    assert result.exit_code == 0, result.stderr
    assert tls_fake.metadata["authorization"] == "Bearer t"


def test_the_files_of_tls_can_come_from_the_environment(tls_fake, certificate):
    pem, key = map(str, certificate)
    names = {"CULTIVAR_TLS_CA": pem, "CULTIVAR_CLIENT_CERTIFICATE": pem, "CULTIVAR_CLIENT_KEY": key}

    assert cultivar("jobs", "show", "trainingJobs/1", "--address", tls_fake.address, **names).exit_code == 0
    assert "--tls" in cultivar("--help").stdout


def test_a_token_can_come_from_a_file(fake, tmp_path):
    file: Path = tmp_path / "token"
    file.write_text("cultivar_x\n")

    assert cultivar("--token-file", file, "jobs", "show", "trainingJobs/1", "--address", fake.address).exit_code == 0
    assert fake.metadata["authorization"] == "Bearer cultivar_x"


def test_a_missing_file_is_said_in_one_line(fake, tmp_path):
    result = cultivar("--tls-ca", tmp_path / "no.pem", "models", "list", "--address", fake.address)

    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "no.pem" in result.stderr


def test_a_certificate_without_its_key_is_wrong_usage(fake, tmp_path):
    result = cultivar("--tls-certificate", tmp_path / "x.pem", "models", "list", "--address", fake.address)

    assert result.exit_code == 2
    assert "give both" in result.stderr
