"""Asks the service in this container, by grpc.health, whether it serves; exit status 0 if it does, 1 if not."""

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_S = 4
# Addresses to listen on everywhere are none to connect to.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def main() -> None:
    """Ask once."""
    host, _, port = (os.environ.get("CULTIVAR_GRPC_ADDRESS") or "127.0.0.1:50051").rpartition(":")
    address = f"{EVERYWHERE.get(host, host)}:{port}"
    # A proxy that the environment names is for the way out, not for the way to ourselves.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            sys.exit(f"{address}: {error.code().name}: {error.details()}")
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(f"{address}: {status}")
    sys.exit(0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1)


if __name__ == "__main__":
    main()
