"""Work on many images at a time, answered in order, with a bounded number in memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_BATCH = 8
"""Items that a thread takes at a time: handing them out one by one would cost a second core most of its gain."""
_PENDING_PER_CORE = 2


def on_all_cores(work: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
    """Yield `work(item)` for each item, in order, computed by one thread per core.

    Decoders let go of Python's lock, so threads suffice. An exception, also one that cancels the task, drops what has
    not begun.
    """

    def work_on(batch: tuple[Item, ...]) -> list[Answer]:
        return [work(item) for item in batch]

    cores, rest = len(os.sched_getaffinity(0)), iter(items)
    pending: deque[Future[list[Answer]]] = deque()
    pool = ThreadPoolExecutor(cores)
    try:
        while batch := tuple(islice(rest, _BATCH)):
            pending.append(pool.submit(work_on, batch))
            if len(pending) > _PENDING_PER_CORE * cores:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
