"""Wakes those who wait for something to change; what changed they read themselves."""

import asyncio


class Signals:
    """One signal per key. Take `next` before looking and await it after: no change is missed."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    def next(self, key: str) -> asyncio.Event:
        """Return the event that the next change sets."""
        return self._waiting.setdefault(key, asyncio.Event())

    def notify(self, key: str) -> None:
        """Wake everybody who waits for this key."""
        event = self._waiting.pop(key, None)
        if event is not None:
            event.set()
