"""Health: the library's servicer, whose watchers can hold up nobody."""

import asyncio

import grpc
from grpc_health.v1 import health, health_pb2

MAX_WATCHERS = 512
"""At a time. It takes no token to be one, and all requests under way together are limited."""


class Health(health.aio.HealthServicer):  # type: ignore[misc]  # grpc has no types
    """Tells whether the service and its models answer.

    The library writes to watchers with a lock held that every change needs: one who does not read would hold up
    promotions and the shutdown.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()
        self._num_watchers = 0

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext) -> None:
        """Write a service's status, now and when it changes."""
        if self._num_watchers >= MAX_WATCHERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_WATCHERS} watch already: use Check")
        self._num_watchers += 1
        told = None
        try:
            while True:
                changed = self._changed
                status = self._server_status.get(request.service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
                if status != told:
                    await context.write(health_pb2.HealthCheckResponse(status=status))
                    told = status
                await changed.wait()
        finally:
            self._num_watchers -= 1

    async def _set(self, service: str, status: int) -> None:
        self._server_status[service] = status
        self._changed.set()
        self._changed = asyncio.Event()
