"""Threads that take one step of work after another."""

import threading
from collections.abc import Callable

Step = Callable[[], None]
"""Does something, without the lock."""
NextStep = Callable[[], Step | None]
"""Takes what is to be done next; None where there is nothing. Called with the lock held."""


class Workers:
    """The threads."""

    def __init__(self, count: int, lock: threading.Lock, next_step: NextStep) -> None:
        self._next_step = next_step
        self._changed = threading.Condition(lock)
        self._idle = 0
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"predict-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def wake(self, count: int) -> None:
        """Say that there may be so many more steps. Called with the lock held."""
        if self._idle:
            self._changed.notify(count)

    def close(self) -> None:
        """Wait until nothing is left to do."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (step := self._wait_for_step()) is not None:
            step()
            del step  # it holds a version, which may be dropped while the thread waits for the next

    def _wait_for_step(self) -> Step | None:
        with self._changed:
            while (step := self._next_step()) is None:
                if self._closing:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return step
