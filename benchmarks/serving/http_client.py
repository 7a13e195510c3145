"""A minimal HTTP/1.1 client on one kept connection: a richer one would fill the client's core before the server's."""

import asyncio


class HttpConnection(asyncio.Protocol):
    """Sends a request, waits for its answer, one at a time; connects anew when the server has closed."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._transport: asyncio.Transport | None = None
        self._asking = asyncio.Lock()
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = bytearray()
        self._body_at = 0
        """Where the body begins; 0: the head isn't complete."""
        self._length = -1
        """Bytes of the body; -1: it comes in chunks."""
        self._status = 0
        self._close = False

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request, once earlier ones have been answered; return status and body.

        Raises:
            OSError: there is no connection, or it broke.
        """
        loop = asyncio.get_running_loop()
        async with self._asking:
            if self._transport is None:
                await loop.create_connection(lambda: self, self._host, self._port)
            assert self._transport is not None
            self._waiting = loop.create_future()
            self._transport.write(request)
            return await self._waiting

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._reset()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request under way."""
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Collect until the answer is whole."""
        self._received += data
        if not self._body_at and not self._read_head():
            return
        body = self._body()
        if body is None:
            return
        status, waiting = self._status, self._waiting
        if self._close and self._transport is not None:
            self._transport.close()
            self._transport = None
        self._reset()
        if waiting is not None and not waiting.done():
            waiting.set_result((status, body))

    def _read_head(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._received[:end]).lower().split(b"\r\n")
        self._status = int(head[0].split()[1])
        self._body_at, self._length = end + 4, -1
        for line in head[1:]:
            name, _, value = line.partition(b":")
            if name == b"content-length":
                self._length = int(value)
            elif name == b"connection":
                self._close = b"close" in value
        return True

    def _body(self) -> bytes | None:
        body = self._received[self._body_at :]
        if self._length >= 0:
            return bytes(body[: self._length]) if len(body) >= self._length else None
        return _unchunked(bytes(body))

    def _reset(self) -> None:
        self._received.clear()
        self._body_at, self._length, self._close = 0, -1, False


def post(path: str, host: str, body: bytes, content_type: str) -> bytes:
    """Return the bytes of a POST request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\n"
        f"Accept: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def multipart(field: str, body: bytes) -> tuple[bytes, str]:
    """Return a form with one JPEG file in it, and its content type."""
    boundary = "cultivar-benchmark-boundary"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="image.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + body + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _unchunked(body: bytes) -> bytes | None:
    parts = bytearray()
    while True:
        size, found, body = body.partition(b"\r\n")
        if not found:
            return None
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return bytes(parts) if body.startswith(b"\r\n") else None
        if len(body) < length + 2:
            return None
        parts += body[:length]
        body = body[length + 2 :]
