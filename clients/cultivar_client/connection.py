"""One connection to a service: deadlines, the token, pages, and errors turned into CultivarError."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message

from cultivar_client.channel import Tls, open_channel, stays_here
from cultivar_client.errors import CultivarError, error_from_rpc

DEFAULT_ADDRESS = "127.0.0.1:50051"

Answer = TypeVar("Answer", bound=Message)


class Connection:
    """The channel, and the ways in which calls go over it."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        token: str | None = None,
        tls: Tls | None = None,
        insecure: bool = False,
        timeout_s: float = 30.0,
    ) -> None:
        """Takes where the service is. `insecure`: the network is trusted with a token that is not encrypted.

        Raises CultivarError where a token would leave this machine readable.
        """
        if token and tls is None and not insecure and not stays_here(address):
            raise CultivarError(
                f"the token would be sent to {address} where others can read it: use TLS (--tls, --tls-ca), or set "
                "CULTIVAR_INSECURE=true if the network is trusted",
                code="INVALID_ARGUMENT",
                reason="TOKEN_NEEDS_TLS",
            )
        self.address = address
        self._tls = tls
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._timeout_s = timeout_s
        self._channel: grpc.aio.Channel | None = None
        self._stubs: dict[type, Any] = {}

    async def __aenter__(self) -> Self:
        # Opened here, not in the constructor: the channel belongs to the running event loop.
        self._channel = open_channel(self.address, self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the channel and ends what is still going on over it."""
        channel, self._channel = self._channel, None
        self._stubs.clear()
        if channel is not None:
            await channel.close()

    # The generated stubs have no types, so the methods they give are Any and each call names its answer's type.

    def _stub(self, stub: Callable[[grpc.aio.Channel], Any]) -> Any:
        if self._channel is None:
            raise RuntimeError("the client is not open: use `async with Client(...) as client`")
        key: Any = stub
        if key not in self._stubs:
            self._stubs[key] = stub(self._channel)
        return self._stubs[key]

    async def _unary(
        self, method: Any, request: Message, answer: type[Answer], timeout_s: float | None = None
    ) -> Answer:
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            response = await method(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error, self.address) from error
        assert isinstance(response, answer)
        return response

    async def _stream(
        self,
        method: Any,
        request: Message | AsyncIterable[Message],
        answer: type[Answer],
        *,
        silence_s: float | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """Yields a call's answers. `silence_s`: without one for so long the stream counts as broken."""
        call = method(request, metadata=self._metadata)
        try:
            while True:
                async with asyncio.timeout(silence_s):
                    message = await call.read()
                if message is grpc.aio.EOF:
                    return
                assert isinstance(message, answer)
                yield message
        except TimeoutError:
            raise CultivarError(
                f"nothing came from {self.address} for {silence_s:g} s", code="UNAVAILABLE", reason="STREAM_SILENT"
            ) from None
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error, self.address) from error
        finally:
            call.cancel()

    async def _pages(
        self, method: Any, request: Any, answer: type[Message], resource: type[Answer], field: str
    ) -> AsyncIterator[Answer]:
        while True:
            page: Any = await self._unary(method, request, answer)
            for item in getattr(page, field):
                assert isinstance(item, resource)
                yield item
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
