"""Makes gRPC handlers of api objects: parse, call, count, map errors. All of them, in this one place."""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from cultivar_service.caller import Caller
from cultivar_service.errors import CultivarError, Draining, InvalidRequest
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.transport.status import code_of, internal, message_of, metadata_of

logger = logging.getLogger(__name__)

_DEADLINE_SLACK_S = 0.05
"""A client's own clock gives up a little before the deadline that it sent has passed here."""

_FOREVER_S = 10 * 365 * 86400.0
"""A client that sets no deadline seems to have one in some hundred years."""


class _Call:
    """One RPC under way."""

    def __init__(self) -> None:
        self.request_id = secrets.token_hex(8)
        self.code = "OK"


class Adapter:
    """Handlers of all services, and what they share: metrics and draining."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._draining = asyncio.Event()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def drain(self, grace_s: float) -> None:
        """Refuse new requests, end streams, and wait for the others that are under way."""
        self._draining.set()
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("%d requests were still under way after %g s", self._in_flight, grace_s)

    def handler(self, service: ServiceDescriptor, apis: Sequence[object]) -> grpc.GenericRpcHandler:
        """Return the handler of a service whose methods the api objects have between them."""
        methods = {}
        for method in service.methods:
            behaviour = next(getattr(api, _snake(method.name)) for api in apis if hasattr(api, _snake(method.name)))
            if method.client_streaming:
                assert method.server_streaming, f"{method.full_name}: no RPC sends a stream and gets one answer yet"
                methods[method.name] = grpc.stream_stream_rpc_method_handler(self._conversation(method, behaviour))
            elif method.server_streaming:
                methods[method.name] = grpc.unary_stream_rpc_method_handler(self._stream(method, behaviour))
            else:
                methods[method.name] = grpc.unary_unary_rpc_method_handler(self._unary(method, behaviour))
        return grpc.method_handlers_generic_handler(service.full_name, methods)

    def _unary(self, method: MethodDescriptor, behaviour: Any) -> Any:
        parse = _parser(method)

        async def answer(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
            with self._counted(method.name, context) as call:
                try:
                    self._check_open()
                    response = await behaviour(parse(data), _caller(call, context))
                    return bytes(response.SerializeToString())
                except Exception as error:  # The transport's one mapper: what nobody foresaw becomes INTERNAL.
                    await _abort(context, call, method, error)
                    raise

        return answer

    def _stream(self, method: MethodDescriptor, behaviour: Any) -> Any:
        parse = _parser(method)

        async def answer(data: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
            with self._counted(method.name, context) as call:
                try:
                    self._check_open()
                    request = parse(data)
                    async for response in self._until_drained(behaviour(request, _caller(call, context))):
                        yield response.SerializeToString()
                except Exception as error:  # As above.
                    await _abort(context, call, method, error)
                    raise

        return answer

    def _conversation(self, method: MethodDescriptor, behaviour: Any) -> Any:
        parse = _parser(method)

        async def answer(messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
            with self._counted(method.name, context) as call:
                try:
                    self._check_open()
                    # At shutdown it is the requests that end with DRAINING: those that were read before are answered.
                    async with (
                        aclosing(self._until_drained(_parsed(parse, messages))) as requests,
                        aclosing(behaviour(requests, _caller(call, context))) as responses,
                    ):
                        async for response in responses:
                            yield response.SerializeToString()
                except Exception as error:  # As above.
                    await _abort(context, call, method, error)
                    raise

        return answer

    async def _until_drained(self, messages: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        """Pass messages on; end with DRAINING at shutdown, so that clients take streams up again elsewhere."""
        draining = asyncio.ensure_future(self._draining.wait())
        step: asyncio.Future[Any] | None = None
        try:
            while True:
                step = asyncio.ensure_future(anext(messages))
                await asyncio.wait({step, draining}, return_when=asyncio.FIRST_COMPLETED)
                if not step.done():
                    raise Draining
                try:
                    message = step.result()
                except StopAsyncIteration:
                    return
                yield message
        finally:
            draining.cancel()
            if step is not None and not step.done():
                step.cancel()
                await asyncio.wait({step})
            await messages.aclose()

    def _check_open(self) -> None:
        if self._draining.is_set():
            raise Draining

    @contextmanager
    def _counted(self, method: str, context: grpc.aio.ServicerContext) -> Iterator[_Call]:
        call, started = _Call(), time.perf_counter()
        self._in_flight += 1
        self._idle.clear()
        try:
            yield call
        except (asyncio.CancelledError, GeneratorExit):
            remaining_s = context.time_remaining()
            late = remaining_s is not None and remaining_s < _DEADLINE_SLACK_S
            call.code = "DEADLINE_EXCEEDED" if late else "CANCELLED"
            raise
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            self._metrics.grpc_requests.labels(method, call.code).inc()
            self._metrics.grpc_seconds.labels(method).observe(time.perf_counter() - started)


async def _abort(context: grpc.aio.ServicerContext, call: _Call, method: MethodDescriptor, error: Exception) -> None:
    """End a call with an error's status. Raises."""
    if isinstance(error, CultivarError):
        code, message, metadata = code_of(error), message_of(error), metadata_of(error)
    else:
        logger.exception("request %s: %s failed", call.request_id, method.full_name, exc_info=error)
        code = grpc.StatusCode.INTERNAL
        message, metadata = internal(call.request_id)
    call.code = code.name
    await context.abort(code, message, metadata)


def _caller(call: _Call, context: grpc.aio.ServicerContext) -> Caller:
    remaining_s = context.time_remaining()
    return Caller(
        request_id=call.request_id,
        client=context.peer(),
        deadline=time.monotonic() + remaining_s if remaining_s is not None and remaining_s < _FOREVER_S else None,
    )


def _parser(method: MethodDescriptor) -> Callable[[bytes], Any]:
    """Return what reads a method's requests; it raises InvalidRequest."""
    message = GetMessageClass(method.input_type)

    def parse(data: bytes) -> Any:
        try:
            return message.FromString(data)
        except DecodeError as error:
            raise InvalidRequest.at(
                "", f"the request is no {method.input_type.full_name}: use this API's stubs"
            ) from error

    return parse


async def _parsed(parse: Callable[[bytes], Any], messages: AsyncIterator[bytes]) -> AsyncGenerator[Any, None]:
    async for data in messages:
        yield parse(data)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
