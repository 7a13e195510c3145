"""Asks the service in this container whether it serves; exit status 0 if it does, 1 if not.

By grpc.health; where gRPC speaks TLS by /healthz on the metrics address, since the certificate is made out to the name
that clients know and may ask them for one of theirs.
"""

import os
import sys
import urllib.error
import urllib.request

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_S = 4
# Addresses to listen on everywhere are none to connect to.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def main() -> None:
    """Ask once."""
    if os.environ.get("CULTIVAR_TLS_CERTIFICATE"):
        ask_metrics(reachable(os.environ.get("CULTIVAR_METRICS_ADDRESS") or "127.0.0.1:9464"))
    ask_grpc(reachable(os.environ.get("CULTIVAR_GRPC_ADDRESS") or "127.0.0.1:50051"))


def reachable(address: str) -> str:
    """Return where to connect to a service that listens at an address."""
    host, _, port = address.rpartition(":")
    return f"{EVERYWHERE.get(host, host)}:{port}"


def ask_grpc(address: str) -> None:
    """Ask by grpc.health and exit."""
    # A proxy that the environment names is for the way out, not for the way to ourselves.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            sys.exit(f"{address}: {error.code().name}: {error.details()}")
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(f"{address}: {status}")
    sys.exit(0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1)


def ask_metrics(address: str) -> None:
    """Ask by HTTP and exit."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{address}/healthz", timeout=TIMEOUT_S) as answer:
            print(f"{address}: {answer.read(100).decode().strip()}")
    except (OSError, urllib.error.URLError) as error:
        sys.exit(f"{address}: {error}")
    sys.exit(0)


if __name__ == "__main__":
    main()
