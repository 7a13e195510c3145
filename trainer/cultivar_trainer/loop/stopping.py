"""Lets a request to stop wait until an update is whole."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cultivar_trainer.errors import Cancelled


@dataclass(slots=True)
class StopRequest:
    """Whether this process was asked to stop."""

    asked: bool = False


@contextmanager
def deferred() -> Iterator[StopRequest]:
    """Only note SIGTERM inside the block, which looks at it between updates; outside it goes on to stop at once.

    Raises:
        Cancelled: the block was asked to stop, however it ended: what else went wrong will do so again when it goes on.
    """
    stop = StopRequest()

    def note(signum: int, frame: object) -> None:
        stop.asked = True

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield stop
    finally:
        # Asked once is enough: what is written from here on is not to be interrupted.
        signal.signal(signal.SIGTERM, signal.SIG_IGN if stop.asked else before)
        if stop.asked:
            raise Cancelled
