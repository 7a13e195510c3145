"""Health and reflection, which come from libraries: requests that are no messages are the caller's fault there too."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from cultivar_service.errors import InvalidRequest
from cultivar_service.transport.status import code_of, message_of, metadata_of


class ForgivingHandler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Handlers of a library, which read their requests here: grpc would answer UNKNOWN and log a traceback for each."""

    def __init__(self, handlers: grpc.GenericRpcHandler) -> None:
        self._handlers = handlers

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return a method's handler."""
        handler = self._handlers.service(details)
        if handler is None:
            return None
        read = handler.request_deserializer
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _unary(handler.unary_unary, read), None, handler.response_serializer
            )
        if handler.unary_stream is not None:  # Health's Watch writes to its context
            return grpc.unary_stream_rpc_method_handler(
                _unary(handler.unary_stream, read), None, handler.response_serializer
            )
        return grpc.stream_stream_rpc_method_handler(
            _stream(handler.stream_stream, read), None, handler.response_serializer
        )


def _unary(behaviour: Any, read: Callable[[bytes], Any]) -> Any:
    async def answer(data: bytes, context: grpc.aio.ServicerContext) -> Any:
        request = await _read(read, data, context)
        try:
            return await behaviour(request, context)
        except NotImplementedError:  # Health's List, which its servicer for asyncio lacks
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this method is not answered here")

    return answer


def _stream(behaviour: Any, read: Callable[[bytes], Any]) -> Any:
    async def answer(messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        async def requests() -> AsyncIterator[Any]:
            async for data in messages:
                yield await _read(read, data, context)

        async for response in behaviour(requests(), context):
            yield response

    return answer


async def _read(read: Callable[[bytes], Any], data: bytes, context: grpc.aio.ServicerContext) -> Any:
    try:
        return read(data)
    except DecodeError:
        error = InvalidRequest.at("", "the request is no message of this method: use its stubs")
        await context.abort(code_of(error), message_of(error), metadata_of(error))
