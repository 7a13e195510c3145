"""Work on many images at a time, answered in order, with a bounded number in memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_PENDING_PER_CORE = 8


def on_all_cores(work: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
    """Yield `work(item)` for each item, in order, computed by one thread per core.

    Decoders let go of Python's lock, so threads suffice. An exception, also one that cancels the task, drops what has
    not begun.
    """
    cores = len(os.sched_getaffinity(0))
    pending: deque[Future[Answer]] = deque()
    pool = ThreadPoolExecutor(cores)
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > _PENDING_PER_CORE * cores:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
