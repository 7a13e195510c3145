"""The images that wait for one model version: in turn between clients, and gone when nobody wants their answer."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cultivar_contract.preprocessing import UnreadableImage
from cultivar_service.serving.engine import LoadedVersion, Outputs
from cultivar_service.telemetry.metrics import ModelMetrics

Pixels = NDArray[np.uint8]
Answer = Outputs | UnreadableImage
"""Of one image."""
_SMOOTHING = 0.1
_MEMORY_IMAGES = 32
"""Answered images after which a refusal is mostly forgotten."""


class Work:
    """Images of one request that are answered together."""

    __slots__ = (
        "answers",
        "client",
        "deadline",
        "error",
        "future",
        "images",
        "is_over",
        "loaded",
        "missing",
        "started",
    )

    def __init__(
        self,
        loaded: LoadedVersion,
        images: Sequence[bytes | Pixels],
        *,
        client: str,
        deadline: float | None,
        future: asyncio.Future[None],
    ) -> None:
        self.loaded = loaded
        self.images = images
        self.client = client
        self.deadline = deadline
        """On the clock of `time.monotonic`."""
        self.future = future
        """Is told when all answers are there; touched on the event loop alone."""
        self.started = time.monotonic()
        self.answers: list[Answer | None] = [None] * len(images)
        self.missing = len(images)
        """Answers that are not there yet."""
        self.error: Exception | None = None
        """Why there will be no answers."""
        self.is_over = False
        """Whether nobody waits for its answers any more."""


class Ticket:
    """One image on its way."""

    __slots__ = ("pixels", "position", "work")

    def __init__(self, work: Work, position: int) -> None:
        self.work = work
        self.position = position
        """Among the work's images."""
        self.pixels: Pixels | None = None
        """Once decoded."""


class Pace:
    """How long a version's images take, and how many are refused; outlives the lane, which ends when it is empty."""

    def __init__(self) -> None:
        self.decode_s = 0.0
        self.inference_s = 0.0
        self._refusals = 0.0

    @property
    def image_s(self) -> float:
        """Seconds of one thread for one image; 0 before the first was timed."""
        return self.inference_s + self.decode_s

    def decoded(self, seconds: float) -> None:
        """Learn how long decoding an image took."""
        self.decode_s += _SMOOTHING * (seconds - self.decode_s) if self.decode_s else seconds

    def computed(self, seconds: float, images: int) -> None:
        """Learn how long a batch took."""
        each_s = seconds / images
        self.inference_s += _SMOOTHING * (each_s - self.inference_s) if self.inference_s else each_s
        self._refusals *= (1 - 1 / _MEMORY_IMAGES) ** images

    def refused(self) -> None:
        """Learn that a request was refused."""
        self._refusals += 1

    @property
    def refusals_per_image(self) -> float:
        """Requests that were refused for each image that was answered, lately."""
        return self._refusals / _MEMORY_IMAGES


class Lane:
    """One version's images. Its users hold one lock around every call."""

    def __init__(self, loaded: LoadedVersion, pace: Pace, metrics: ModelMetrics) -> None:
        self.loaded = loaded
        self.pace = pace
        self.metrics = metrics
        self.decoded: deque[Ticket] = deque()
        """Wait for the network."""
        self.waiting = 0
        """Images that wait to be decoded."""
        self.large: deque[Ticket] = deque()
        """Wait for others as large to be decoded."""
        self.active = 0
        """Images that a thread has in its hands."""
        self._clients: OrderedDict[str, deque[Ticket]] = OrderedDict()

    @property
    def is_empty(self) -> bool:
        """Whether no image is here: neither waiting, nor decoded, nor in a thread's hands."""
        return not (self.waiting or self.large or self.decoded or self.active)

    @property
    def queued(self) -> int:
        """Images that wait to be decoded, large ones too."""
        return self.waiting + len(self.large)

    def add(self, work: Work) -> None:
        """Let all images of a request wait."""
        queue = self._clients.setdefault(work.client, deque())
        queue.extend(Ticket(work, position) for position in range(len(work.images)))
        self.waiting += len(work.images)

    def take(self) -> Ticket:
        """Return the next image to decode, of the client whose turn it is; there is one."""
        client, queue = next(iter(self._clients.items()))
        ticket = queue.popleft()
        if queue:
            self._clients.move_to_end(client)
        else:
            del self._clients[client]
        self.waiting -= 1
        return ticket

    def take_decoded(self, most: int) -> list[Ticket]:
        """Return the next images for the network."""
        return [self.decoded.popleft() for _ in range(min(most, len(self.decoded)))]

    def drop(self, work: Work) -> int:
        """Let go of a request's images that nobody has in hand; return how many those were."""
        before = self.queued + len(self.decoded)
        queue = self._clients.get(work.client)
        if queue is not None:
            kept = deque(ticket for ticket in queue if ticket.work is not work)
            self.waiting -= len(queue) - len(kept)
            if kept:
                self._clients[work.client] = kept
            else:
                del self._clients[work.client]
        for name in ("large", "decoded"):
            if tickets := getattr(self, name):
                setattr(self, name, deque(ticket for ticket in tickets if ticket.work is not work))
        return before - self.queued - len(self.decoded)

    def ahead(self, client: str, num_images: int) -> int:
        """Return how many waiting images are decoded before the last of a client's next images, which take turns."""
        turns = len(self._clients.get(client, ())) + num_images
        return (
            turns - num_images + sum(min(len(queue), turns) for name, queue in self._clients.items() if name != client)
        )

    def observe_decoding(self, queue_s: float, seconds: float) -> None:
        """Count an image that waited and was decoded. Needs no lock."""
        self.metrics.queue_s.observe(queue_s)
        self.metrics.decode_s.observe(seconds)
        self.loaded.statistics.stage("queue", queue_s)
        self.loaded.statistics.stage("decode", seconds)

    def observe_batch(self, seconds: float, outputs: Outputs) -> None:
        """Count a batch that was computed. Needs no lock."""
        self.metrics.inference_s.observe(seconds)
        self.metrics.batch_size.observe(len(outputs.probabilities))
        for confidence in outputs.probabilities.max(axis=1).tolist():
            self.metrics.confidence.observe(confidence)
        self.loaded.statistics.batch(len(outputs.probabilities), seconds)

    def giving_way(self, client: str, num_images: int, excess: int) -> list[Work]:
        """Return the requests that give way to another client's images: the last ones of whoever has most waiting.

        None where other clients would not still have at least as many as this one, or where it would not be enough:
        `excess` waiting images have to go.
        """
        mine = len(self._clients.get(client, ())) + num_images
        left = {name: list(queue) for name, queue in self._clients.items() if name != client and len(queue) > mine}
        found: list[Work] = []
        while excess > 0:
            heaviest = max(left.values(), key=len, default=[])
            newest = heaviest[-1].work if heaviest else None
            if newest is None or len(heaviest) - len(newest.images) < mine:
                return []
            before = len(heaviest)
            while heaviest and heaviest[-1].work is newest:
                heaviest.pop()
            excess -= before - len(heaviest)
            found.append(newest)
        return found
