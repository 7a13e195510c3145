"""The image's health check, asked as the container engine asks it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from cultivar_service.config import Address
from cultivar_service.telemetry.http import MetricsServer

SCRIPT = Path(__file__).parents[2] / "deploy/healthcheck.py"


@pytest.fixture
def servicer() -> health.HealthServicer:
    return health.HealthServicer()


@pytest.fixture
def port(servicer: health.HealthServicer) -> Iterator[int]:
    with futures.ThreadPoolExecutor(max_workers=2) as pool:
        server = grpc.server(pool)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        bound = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield bound
        server.stop(None).wait()


def check(address: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CULTIVAR_GRPC_ADDRESS": address, "http_proxy": "http://127.0.0.1:1", **settings}
    return subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost"])
def test_a_service_that_serves_is_healthy(servicer: health.HealthServicer, port: int, host: str) -> None:
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)

    done = check(f"{host}:{port}")

    assert (done.returncode, done.stdout.split()[-1]) == (0, "SERVING")


def test_a_service_that_drains_is_not(servicer: health.HealthServicer, port: int) -> None:
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)

    done = check(f"0.0.0.0:{port}")

    assert (done.returncode, done.stdout.split()[-1]) == (1, "NOT_SERVING")


def test_an_address_where_nothing_listens_is_said_in_one_line() -> None:
    done = check("127.0.0.1:1")

    assert done.returncode == 1
    assert done.stderr.startswith("127.0.0.1:1: UNAVAILABLE")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("is_serving", [True, False])
def test_where_grpc_speaks_tls_the_metrics_address_is_asked(is_serving: bool) -> None:
    metrics = MetricsServer(Address("127.0.0.1", 0), CollectorRegistry(), lambda: is_serving)
    metrics.start()
    try:
        settings = {"CULTIVAR_TLS_CERTIFICATE": "x.pem", "CULTIVAR_METRICS_ADDRESS": f"0.0.0.0:{metrics.address.port}"}
        done = check("127.0.0.1:1", **settings)
    finally:
        metrics.close()

    assert done.returncode == (0 if is_serving else 1)
    assert "serving" in done.stdout if is_serving else "503" in done.stderr
