"""What a loaded version has done: counts and durations, as the Open Inference Protocol's statistics ask for them."""

import threading
import time
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Literal

Stage = Literal["queue", "decode", "output"]
"""What happens to an image beside the network: it waits, is decoded; its answer is put together."""


@dataclass(slots=True)
class Duration:
    """How often something was done, and how long it took together."""

    count: int = 0
    """How often."""
    ns: int = 0
    """How long, in nanoseconds."""

    def add(self, seconds: float, count: int = 1) -> None:
        """Count something that was done `count` times, in `seconds` together."""
        self.count += count
        self.ns += round(seconds * 1e9)


@dataclass(slots=True)
class Figures:
    """A version's counts at one moment."""

    success: Duration = field(default_factory=Duration)
    """Requests that were answered, each as long as it took."""
    failure: Duration = field(default_factory=Duration)
    """Requests that were not."""
    queue: Duration = field(default_factory=Duration)
    """Images that waited."""
    decode: Duration = field(default_factory=Duration)
    """Images that were decoded."""
    inference: Duration = field(default_factory=Duration)
    """Images that went through the network, each as long as its batch took."""
    output: Duration = field(default_factory=Duration)
    """Answers that were put together."""
    batches: dict[int, Duration] = field(default_factory=dict)
    """By their number of images: how often the network ran, and how long."""
    last_inference_ms: int = 0
    """When the last batch ended, in milliseconds since 1970; 0: never."""


class VersionStatistics:
    """Counts of one loaded version. May be called from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures = Figures()

    def request(self, seconds: float, *, ok: bool) -> None:
        """Count a request that was answered, or failed, `seconds` after it came."""
        with self._lock:
            (self._figures.success if ok else self._figures.failure).add(seconds)

    def stage(self, stage: Stage, seconds: float, count: int = 1) -> None:
        """Count `count` images that spent `seconds`, together, in a stage."""
        with self._lock:
            duration: Duration = getattr(self._figures, stage)
            duration.add(seconds, count)

    def batch(self, size: int, seconds: float) -> None:
        """Count a batch of `size` images that the network took `seconds` for."""
        with self._lock:
            self._figures.batches.setdefault(size, Duration()).add(seconds)
            self._figures.inference.add(seconds * size, size)
            self._figures.last_inference_ms = time.time_ns() // 1_000_000

    def read(self) -> Figures:
        """Return the counts so far; they stay as they are."""
        with self._lock:
            return deepcopy(self._figures)
