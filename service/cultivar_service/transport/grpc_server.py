"""The gRPC server: our services, health and reflection on one address."""

import asyncio
from collections.abc import Mapping, Sequence

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from cultivar_service.api.audit import AuditTrail
from cultivar_service.config import Address, Config
from cultivar_service.errors import StartupRefused
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.transport.adapter import Adapter
from cultivar_service.transport.authentication import Authentication, Guard
from cultivar_service.transport.health import Health
from cultivar_service.transport.library_services import ForgivingHandler

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_MODEL_HEALTH = {True: _SERVING, False: _NOT_SERVING, None: health_pb2.HealthCheckResponse.SERVICE_UNKNOWN}


class GrpcServer:
    """The wire's side of the service."""

    def __init__(
        self,
        services: Mapping[ServiceDescriptor, Sequence[object]],
        metrics: Metrics,
        audit: AuditTrail,
        config: Config,
        *,
        authentication: Authentication | None,
        credentials: grpc.ServerCredentials | None,
    ) -> None:
        self._credentials = credentials
        self._adapter = Adapter(metrics, audit, authentication)
        self._health = Health()
        self._names = tuple(service.full_name for service in services)
        self._server = grpc.aio.server(
            options=_options(config), maximum_concurrent_rpcs=config.connections.max_requests
        )
        handlers = _Handlers(self._adapter.handler(service, apis) for service, apis in services.items())
        health_pb2_grpc.add_HealthServicer_to_server(self._health, handlers)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer((*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME)), handlers
        )
        self._server.add_generic_rpc_handlers(
            tuple(handlers) if authentication is None else (Guard(handlers, authentication, self._adapter.refuse),)
        )
        self.is_serving = False
        """Whether requests are answered."""

    def bind(self, address: Address) -> Address:
        """Take an address; return it with the port that was bound.

        Raises:
            StartupRefused: it can't be had.
        """
        try:
            if self._credentials is None:
                port = self._server.add_insecure_port(str(address))
            else:
                port = self._server.add_secure_port(str(address), self._credentials)
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

    async def drain(self, grace_s: float, *, settle_s: float) -> None:
        """Let requests under way finish, those too that arrive within `settle_s`; refuse new ones; close."""
        self.is_serving = False
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(settle_s)
        await self._adapter.drain(grace_s, settle_s=settle_s)
        await self._server.stop(0.5)

    async def _set_health(self, status: int) -> None:
        for name in (health.OVERALL_HEALTH, *self._names):
            await self._health.set(name, status)


class _Handlers(list[grpc.GenericRpcHandler]):
    """Handlers, collected in the way in which generated code registers them at a server."""

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Take handlers."""
        self.extend(map(ForgivingHandler, handlers))

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler]) -> None:
        """Ignore what is meant for servers without asyncio."""


def _options(config: Config) -> tuple[tuple[str, int], ...]:
    limits = config.connections
    return (
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_concurrent_streams", limits.max_streams),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.server_handshake_timeout_ms", _ms(limits.handshake_s)),
        ("grpc.max_connection_idle_ms", _ms(limits.idle_s)),
        ("grpc.max_connection_age_ms", _ms(limits.age_s)),
        ("grpc.max_connection_age_grace_ms", _ms(limits.age_grace_s)),
        # A client whose network went away would hold its watches for hours.
        ("grpc.keepalive_time_ms", _ms(limits.ping_s)),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Two services on one port would each get a share of the connections.
        ("grpc.so_reuseport", 0),
        # Clients may ask every 10 s whether an idle connection lives: a watch can be silent for long.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
