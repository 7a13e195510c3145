"""Makes gRPC handlers of api objects: parse, call, count, map errors. All of them, in this one place."""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from cultivar_service.api.audit import AuditTrail
from cultivar_service.caller import Caller, Scope
from cultivar_service.errors import CultivarError, Draining, InvalidRequest, QueueFull, Status
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.tokens import Token
from cultivar_service.transport.authentication import Authentication
from cultivar_service.transport.methods import changes_something
from cultivar_service.transport.status import code_of, internal, message_of, metadata_of

logger = logging.getLogger(__name__)

_DEADLINE_SLACK_S = 0.05
"""A client's own clock gives up a little before the deadline that it sent has passed here."""

_MOST_HELD = 256
"""Refusals that are held back at a time."""
_FOREVER_S = 10 * 365 * 86400.0
"""A client that sets no deadline seems to have one in some hundred years."""

_LOOK_AGAIN_S = 5.0
"""How long a silent stream goes on after its token was revoked."""

_RESOURCES = ("name", "model", "parent", "dataset_id", "upload")
"""Fields that say what a change is about."""

_MAX_RESOURCE = 200
_UNAUTHENTICATED = Status.UNAUTHENTICATED.name


class _Call:
    """One RPC under way."""

    def __init__(self) -> None:
        self.request_id = secrets.token_hex(8)
        self.code = "OK"
        self.token_name = ""
        self.changes = False
        """Whether it is one for the audit log."""
        self.resource = ""
        """What the change is about."""


class Adapter:
    """Handlers of all services, and what they share: who asks, metrics, the audit log and draining."""

    def __init__(self, metrics: Metrics, audit: AuditTrail, authentication: Authentication | None) -> None:
        self._metrics = metrics
        self._audit = audit
        self._authentication = authentication
        self._draining = asyncio.Event()
        self._in_flight = 0
        self._num_calls = 0
        self._held = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def drain(self, grace_s: float, *, settle_s: float) -> None:
        """Refuse new requests, end streams, and wait for the others that are under way.

        Requests that gRPC holds already, and shows only one after the other, are refused too rather than cut off: it
        ends once none came for `settle_s`.
        """
        self._draining.set()
        try:
            async with asyncio.timeout(grace_s):
                seen = -1
                while seen != self._num_calls:
                    await self._idle.wait()
                    seen = self._num_calls
                    await asyncio.sleep(settle_s)
        except TimeoutError:
            logger.warning("%d requests were still under way after %g s", self._in_flight, grace_s)

    def handler(self, service: ServiceDescriptor, apis: Sequence[object]) -> grpc.GenericRpcHandler:
        """Return the handler of a service whose methods the api objects have between them."""
        methods = {}
        for method in service.methods:
            name = _snake(method.name)
            behaviour = next(getattr(api, name) for api in apis if hasattr(api, name))
            if method.client_streaming and not method.server_streaming:
                methods[method.name] = grpc.stream_unary_rpc_method_handler(self._intake(method, behaviour))
            elif method.client_streaming:
                methods[method.name] = grpc.stream_stream_rpc_method_handler(self._conversation(method, behaviour))
            elif method.server_streaming:
                methods[method.name] = grpc.unary_stream_rpc_method_handler(self._stream(method, behaviour))
            else:
                methods[method.name] = grpc.unary_unary_rpc_method_handler(self._unary(method, behaviour))
        return grpc.method_handlers_generic_handler(service.full_name, methods)

    async def refuse(
        self, service: str, method: str, error: CultivarError, token: Token | None, context: grpc.aio.ServicerContext
    ) -> None:
        """End a call that was not let in."""
        with self._counted(service, method, context) as call:
            call.token_name = "" if token is None else token.name
            _end(context, call, f"{service}.{method}", error)

    def _unary(self, method: MethodDescriptor, behaviour: Any) -> Any:
        parse = _parser(method)
        service = method.containing_service.full_name

        async def answer(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
            with self._counted(service, method.name, context) as call:
                try:
                    self._check_open()
                    request = parse(data)
                    if call.changes:
                        _note_request(call, request)
                    answering = behaviour(request, self._caller(call, context))
                    response = await (_to_the_end(answering) if call.changes else answering)
                    if call.changes:
                        _note_answer(call, request, response)
                    return bytes(response.SerializeToString())
                except Exception as error:  # The transport's one mapper: what nobody foresaw becomes INTERNAL.
                    if isinstance(error, QueueFull) and error.hold_s:
                        request = None  # it waits for nothing any more
                        await self._hold(error)
                    _end(context, call, method.full_name, error)
                    return b""

        return answer

    async def _hold(self, refusal: QueueFull) -> None:
        """Hold a refusal back, without what it was about; at most so many that their messages fill no memory."""
        if self._held < _MOST_HELD:
            self._held += 1
            refusal.__traceback__ = None  # its frames hold the request
            try:
                await asyncio.sleep(refusal.hold_s)
            finally:
                self._held -= 1

    def _stream(self, method: MethodDescriptor, behaviour: Any) -> Any:
        parse = _parser(method)
        service = method.containing_service.full_name

        async def answer(data: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
            with self._counted(service, method.name, context) as call:
                try:
                    self._check_open()
                    request = parse(data)
                    async for response in self._until_drained(behaviour(request, self._caller(call, context)), context):
                        yield response.SerializeToString()
                except Exception as error:  # As above.
                    _end(context, call, method.full_name, error)

        return answer

    def _conversation(self, method: MethodDescriptor, behaviour: Any) -> Any:
        parse = _parser(method)
        service = method.containing_service.full_name

        async def answer(messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
            with self._counted(service, method.name, context) as call:
                try:
                    self._check_open()
                    # At shutdown it is the requests that end with DRAINING: those that were read before are answered.
                    async with (
                        aclosing(self._until_drained(_parsed(parse, messages), context)) as requests,
                        aclosing(behaviour(requests, self._caller(call, context))) as responses,
                    ):
                        async for response in responses:
                            yield response.SerializeToString()
                except Exception as error:  # As above.
                    _end(context, call, method.full_name, error)

        return answer

    def _intake(self, method: MethodDescriptor, behaviour: Any) -> Any:
        parse = _parser(method)
        service = method.containing_service.full_name

        async def answer(messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> bytes:
            with self._counted(service, method.name, context) as call:
                try:
                    self._check_open()
                    # As above. The api object takes care of what came in before a caller left.
                    async with aclosing(self._until_drained(_parsed(parse, messages), context)) as requests:
                        response = await behaviour(_noted(call, requests), self._caller(call, context))
                    return bytes(response.SerializeToString())
                except Exception as error:  # As above.
                    _end(context, call, method.full_name, error)
                    return b""

        return answer

    async def _until_drained(
        self, messages: AsyncGenerator[Any, None], context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[Any, None]:
        """Pass messages on while the token stands.

        At shutdown end with DRAINING, so that clients take streams up again elsewhere.
        """
        look_again_s = None if self._authentication is None else _LOOK_AGAIN_S
        draining = asyncio.ensure_future(self._draining.wait())
        step: asyncio.Future[Any] | None = None
        try:
            while True:
                step = asyncio.ensure_future(anext(messages))
                while not step.done() and not draining.done():
                    await asyncio.wait({step, draining}, timeout=look_again_s, return_when=asyncio.FIRST_COMPLETED)
                    if self._authentication is not None:
                        self._authentication.token(context.invocation_metadata())
                if not step.done():
                    raise Draining
                try:
                    message = step.result()
                except StopAsyncIteration:
                    return
                yield message
                del message, step  # they may be large, and the next may be long in coming
                step = None
        finally:
            draining.cancel()
            if step is not None:
                step.cancel()
                # Also for one that has ended while this was cancelled: nobody else looks at its exception.
                await asyncio.gather(step, return_exceptions=True)
            await messages.aclose()

    def _caller(self, call: _Call, context: grpc.aio.ServicerContext) -> Caller:
        remaining_s = context.time_remaining()
        deadline = time.monotonic() + remaining_s if remaining_s is not None and remaining_s < _FOREVER_S else None
        if self._authentication is None:
            return Caller(request_id=call.request_id, client=context.peer(), is_admin=True, deadline=deadline)
        token = self._authentication.token(context.invocation_metadata())
        call.token_name = token.name
        return Caller(
            request_id=call.request_id,
            name=token.name,
            is_admin=token.scope >= Scope.ADMIN,
            client=token.name,
            deadline=deadline,
        )

    def _check_open(self) -> None:
        if self._draining.is_set():
            raise Draining

    @contextmanager
    def _counted(self, service: str, method: str, context: grpc.aio.ServicerContext) -> Iterator[_Call]:
        call, started = _Call(), time.perf_counter()
        call.changes = changes_something(service, method)
        self._in_flight += 1
        self._num_calls += 1
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
            # Here, through which every request goes, so that none can forget it. Who has no token is only counted:
            # strangers must not be able to fill the log.
            if call.changes and call.code != _UNAUTHENTICATED:
                self._audit.record(
                    request_id=call.request_id,
                    caller=call.token_name,
                    peer=context.peer(),
                    method=f"{service}/{method}",
                    resource=call.resource,
                    code=call.code,
                )
            self._metrics.grpc_requests.labels(method, call.code).inc()
            self._metrics.grpc_seconds.labels(method).observe(time.perf_counter() - started)


async def _to_the_end(change: Coroutine[Any, Any, Any]) -> Any:
    """Await a change, also where the caller leaves meanwhile: half of one would be in the catalog and not in memory."""
    task = asyncio.ensure_future(change)
    left: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            left = error
    if left is None:
        return task.result()
    failure = task.exception()
    if failure is not None and not isinstance(failure, CultivarError):
        logger.error("a change failed, whose caller had left", exc_info=failure)
    raise left


def _end(context: grpc.aio.ServicerContext, call: _Call, method: str, error: Exception) -> None:
    """Let a call end with an error's status.

    Neither gRPC's own exception, which `context.abort` raises, nor the error's frames remain: in circles with what they
    refer to, they would keep a refused request in memory until the next garbage collection.
    """
    if isinstance(error, CultivarError):
        error.__traceback__ = None
        code, message, metadata = code_of(error), message_of(error), metadata_of(error)
    else:
        logger.exception("request %s: %s failed", call.request_id, method, exc_info=error)
        code = grpc.StatusCode.INTERNAL
        message, metadata = internal(call.request_id)
    call.code = code.name
    context.set_code(code)
    context.set_details(message)
    context.set_trailing_metadata(metadata)


def _note_request(call: _Call, request: Any) -> None:
    call.changes = not getattr(request, "validate_only", False)
    call.resource = _resource(request)


def _note_answer(call: _Call, request: Any, answer: Any) -> None:
    if not hasattr(request, "name"):  # it made something, and only the answer has its name
        call.resource = _resource(answer) or call.resource


async def _noted(call: _Call, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Pass requests on; the first one says what the call is about."""
    async for request in requests:
        call.resource = call.resource or _resource(request)
        yield request
        del request  # as above


def _resource(message: Any) -> str:
    return next((text[:_MAX_RESOURCE] for one in _RESOURCES if (text := str(getattr(message, one, "")))), "")


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
        message = parse(data)
        del data  # as above
        yield message
        del message


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
