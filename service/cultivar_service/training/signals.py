"""Wakes those who wait for something to change; what changed they read themselves."""

import asyncio
import math
from weakref import WeakValueDictionary


class Signal(asyncio.Event):
    """One change to come."""

    async def within(self, seconds: float) -> bool:
        """Wait for the change, at most so long (`inf`: for ever); tell whether it came."""
        try:
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                return await self.wait()
        except TimeoutError:
            return False


class Signals:
    """One signal per key. Take `next` before looking and await it after: no change is missed."""

    def __init__(self) -> None:
        # Weakly: a signal that nobody waits for any more is not kept for a job that may never change again.
        self._waiting: WeakValueDictionary[str, Signal] = WeakValueDictionary()

    def next(self, key: str) -> Signal:
        """Return the signal of the next change."""
        signal = self._waiting.get(key)
        if signal is None:
            self._waiting[key] = signal = Signal()
        return signal

    def notify(self, key: str) -> None:
        """Wake everybody who waits for this key."""
        signal = self._waiting.pop(key, None)
        if signal is not None:
            signal.set()
