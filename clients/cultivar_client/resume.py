"""Continues a stream where it broke, for streams that can start at a cursor."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from cultivar_client.errors import CultivarError

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 5.0
PATIENCE_S = 60.0

Item = TypeVar("Item")
Cursor = TypeVar("Cursor")


async def resumed(
    open_stream: Callable[[Cursor], AsyncGenerator[Item, None]],
    cursor_after: Callable[[Item], Cursor],
    cursor: Cursor,
    patience_s: float = PATIENCE_S,
    *,
    is_heartbeat: Callable[[Item], bool] = lambda _: False,
) -> AsyncGenerator[Item, None]:
    """Yields a stream's items from `cursor` on, and opens it again after the last item when it breaks.

    Items that `is_heartbeat` tells are swallowed: they say that the stream lives, and move no cursor.

    Raises the CultivarError of the last attempt when the service stays unreachable for `patience_s` seconds, and at
    once every CultivarError that is not UNAVAILABLE.
    """
    broken_since: float | None = None
    delay_s = FIRST_DELAY_S
    while True:
        opened = time.monotonic()
        try:
            async with aclosing(open_stream(cursor)) as stream:
                async for item in stream:
                    broken_since, delay_s = None, FIRST_DELAY_S
                    if is_heartbeat(item):
                        continue
                    cursor = cursor_after(item)
                    yield item
            return
        except CultivarError as error:
            now = time.monotonic()
            # A stream that was open for so long had reached the service, even if there was nothing to send.
            if broken_since is None or now - opened >= patience_s:
                broken_since, delay_s = now, FIRST_DELAY_S
            if error.code != "UNAVAILABLE" or now + delay_s > broken_since + patience_s:
                raise
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, LONGEST_DELAY_S)
