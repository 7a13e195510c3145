"""Answers a stream's requests several at a time, yet in their order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response")


async def in_order(
    requests: AsyncIterator[Request],
    answer: Callable[[Request], Awaitable[Response]],
    *,
    max_requests: int,
    max_bytes: int,
) -> AsyncGenerator[Response, None]:
    """Yield every request's answer, in the order of the requests. Closed, it cancels what is under way.

    The stream is read on only while fewer than `max_requests` requests of less than `max_bytes` bytes together are
    under way, and not while nobody takes the answers. An error of the stream itself is raised after the answers of what
    came before it; an error of an answer at once.
    """
    under_way: deque[tuple[asyncio.Future[Response], int]] = deque()  # with the request's size in bytes
    reading: asyncio.Future[Request] | None = None
    end: Exception | None = None
    try:
        while end is None or under_way:
            room = len(under_way) < max_requests and sum(size for _, size in under_way) < max_bytes
            if end is None and reading is None and room:
                reading = asyncio.ensure_future(anext(requests))
            await asyncio.wait(
                {*([reading] if reading else ()), *([under_way[0][0]] if under_way else ())},
                return_when=asyncio.FIRST_COMPLETED,
            )
            if reading is not None and reading.done():
                try:
                    request = reading.result()
                    under_way.append((asyncio.ensure_future(answer(request)), request.ByteSize()))
                    del request  # it may be large, and a stream may be silent for long
                except Exception as error:  # Also StopAsyncIteration; raised below.
                    end = error
                reading = None
            while under_way and under_way[0][0].done():
                yield under_way.popleft()[0].result()
        if not isinstance(end, StopAsyncIteration):
            raise end
    finally:
        left = [*(future for future, _ in under_way), *([reading] if reading is not None else ())]
        for future in left:
            future.cancel()
        await asyncio.gather(*left, return_exceptions=True)
