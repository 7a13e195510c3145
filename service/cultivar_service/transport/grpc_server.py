"""The gRPC server: our services, health and reflection on one address."""

from collections.abc import Mapping, Sequence

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from cultivar_service.config import Address
from cultivar_service.errors import StartupRefused
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.transport.adapter import Adapter

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_MODEL_HEALTH = {True: _SERVING, False: _NOT_SERVING, None: health_pb2.HealthCheckResponse.SERVICE_UNKNOWN}


class GrpcServer:
    """The wire's side of the service."""

    def __init__(
        self, services: Mapping[ServiceDescriptor, Sequence[object]], metrics: Metrics, *, max_message_bytes: int
    ) -> None:
        self._adapter = Adapter(metrics)
        self._health = health.aio.HealthServicer()
        self._names = tuple(service.full_name for service in services)
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_concurrent_streams", 1000),
                # Two services on one port would each get a share of the connections.
                ("grpc.so_reuseport", 0),
                # Clients may ask every 10 s whether an idle connection lives: a watch can be silent for long.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            )
        )
        self._server.add_generic_rpc_handlers(
            tuple(self._adapter.handler(service, apis) for service, apis in services.items())
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        self.is_serving = False
        """Whether requests are answered."""

    def bind(self, address: Address) -> Address:
        """Take an address; return it with the port that was bound.

        Raises:
            StartupRefused: it can't be had.
        """
        try:
            port = self._server.add_insecure_port(str(address))
        except RuntimeError:
            port = 0
        if not port:
            raise StartupRefused(f"gRPC address {address} can't be bound: is another service using it?")
        return Address(address.host, port)

    async def start(self) -> None:
        """Answer requests; health says NOT_SERVING until `serve`."""
        await self._set_health(_NOT_SERVING)
        await self._server.start()

    async def serve(self) -> None:
        """Say that requests are answered."""
        await self._set_health(_SERVING)
        self.is_serving = True

    async def set_model_health(self, model: str, can_answer: bool | None) -> None:
        """Say whether a model answers; None: there is no such model any more."""
        await self._health.set(f"model/{model}", _MODEL_HEALTH[can_answer])

    async def drain(self, grace_s: float) -> None:
        """Refuse new work, let requests under way finish, close."""
        self.is_serving = False
        await self._health.enter_graceful_shutdown()
        await self._adapter.drain(grace_s)
        await self._server.stop(0.5)

    async def _set_health(self, status: int) -> None:
        for name in (health.OVERALL_HEALTH, *self._names):
            await self._health.set(name, status)
