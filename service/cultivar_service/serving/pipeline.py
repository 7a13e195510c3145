"""What is done with admitted images: decode one, or compute a batch, whichever is next; then tell who waits for it.

A batch is computed where it is full or nothing waits to join it, else one image is decoded. So a lone image never waits
for company, and a busy service computes full batches.
"""

import asyncio
import functools
import logging
import threading
import time
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from cultivar_contract import preprocessing
from cultivar_contract.preprocessing import NoRoom, UnreadableImage
from cultivar_service.errors import DeadlineExceeded, Exhausted
from cultivar_service.serving import sessions
from cultivar_service.serving.engine import LoadedVersion, Outputs
from cultivar_service.serving.lanes import Answer, Lane, Pace, Pixels, Ticket, Work
from cultivar_service.serving.workers import Step
from cultivar_service.telemetry.metrics import PredictionMetrics

logger = logging.getLogger(__name__)

MAX_IMAGE_BYTES = 24 << 20
"""Encoded images of more are not looked into."""


class Pipeline:
    """The lanes of all versions, and the steps that move images along them. Its users hold `lock` around most calls."""

    def __init__(
        self,
        metrics: PredictionMetrics,
        num_workers: int,
        after_step: Callable[[], None],
        when_empty: Callable[[], None],
    ) -> None:
        self.lock = threading.Lock()
        self.lanes: OrderedDict[LoadedVersion, Lane] = OrderedDict()
        """Of versions that have images here; the one whose turn is next comes first."""
        self._metrics = metrics
        self._num_workers = num_workers
        self._after_step = after_step
        self._when_empty = when_empty
        self._paces: weakref.WeakKeyDictionary[LoadedVersion, Pace] = weakref.WeakKeyDictionary()
        self._busy: Counter[str] = Counter()
        """Batches that each execution provider computes right now: one for each core, or one on the GPU."""
        self._waits_for_room = False
        """Whether a thread waits until a large image has room: the others go on with what has."""

    def lane(self, loaded: LoadedVersion) -> Lane:
        """Return a version's lane."""
        lane = self.lanes.get(loaded)
        if lane is None:
            pace = self._paces.setdefault(loaded, Pace())
            lane = self.lanes[loaded] = Lane(loaded, pace, self._metrics.of(loaded.model))
        return lane

    def forget_if_empty(self, lane: Lane) -> None:
        """Forget a lane without images."""
        if lane.is_empty and self.lanes.get(lane.loaded) is lane:
            del self.lanes[lane.loaded]
            if not self.lanes:
                self._when_empty()

    def end(self, work: Work, error: Exception) -> int:
        """Let go of a request that gets no answer; return how many of its images nobody had in hand."""
        if not work.is_over:
            work.is_over, work.error = True, error
            _tell_soon([work])
        lane = self.lanes.get(work.loaded)
        return 0 if lane is None else lane.drop(work)

    def next_step(self) -> Step | None:
        """Take the next step out of the lanes."""
        # Images that came too late may have been all that a batch waited for.
        return self._next_batch() or self._next_large() or self._next_image() or self._next_batch()

    def _next_batch(self) -> Step | None:
        for lane in list(self.lanes.values()):
            loaded = lane.loaded
            if not lane.decoded or (lane.waiting and len(lane.decoded) < loaded.max_batch):
                continue
            if self._busy[loaded.provider] >= (self._num_workers if loaded.runs_on_cpu else 1):
                continue
            batch = [one for one in lane.take_decoded(loaded.max_batch) if not self._is_late(lane, one.work)]
            if not batch:
                self.forget_if_empty(lane)
                continue
            lane.active += len(batch)
            self._busy[loaded.provider] += 1
            self.lanes.move_to_end(loaded)
            return functools.partial(self._compute, lane, batch)
        return None

    def _next_image(self) -> Step | None:
        for lane in list(self.lanes.values()):
            while lane.waiting and len(lane.decoded) < 2 * lane.loaded.max_batch:
                ticket = lane.take()
                if self._is_late(lane, ticket.work):
                    continue
                lane.active += 1
                self.lanes.move_to_end(lane.loaded)
                return functools.partial(self._decode, lane, ticket)
            self.forget_if_empty(lane)
        return None

    def _next_large(self) -> Step | None:
        if self._waits_for_room:
            return None
        for lane in list(self.lanes.values()):
            while lane.large and len(lane.decoded) < 2 * lane.loaded.max_batch:
                ticket = lane.large.popleft()
                if self._is_late(lane, ticket.work):
                    continue
                lane.active += 1
                self._waits_for_room = True
                return functools.partial(self._decode, lane, ticket, wait=True)
            self.forget_if_empty(lane)
        return None

    def _compute(self, lane: Lane, batch: Sequence[Ticket]) -> None:
        started = time.perf_counter()
        outputs = _run(lane.loaded, [ticket.pixels for ticket in batch if ticket.pixels is not None])
        seconds = time.perf_counter() - started
        if isinstance(outputs, Outputs):
            lane.observe_batch(seconds, outputs)
        with self.lock:
            lane.active -= len(batch)
            self._busy[lane.loaded.provider] -= 1
            if isinstance(outputs, Outputs):
                lane.pace.computed(seconds, len(batch))
                _answer(batch, [Outputs(*rows) for rows in zip(*outputs, strict=True)])
            else:
                for ticket in batch:
                    self.end(ticket.work, outputs)
            self.forget_if_empty(lane)
            self._after_step()

    def _decode(self, lane: Lane, ticket: Ticket, *, wait: bool = False) -> None:
        work = ticket.work
        started = time.monotonic()
        pixels = _decode(work.images[ticket.position], work.loaded, wait=wait)
        seconds = time.monotonic() - started
        if not isinstance(pixels, NoRoom):
            lane.observe_decoding(started - work.started, seconds)
        with self.lock:
            lane.active -= 1
            if wait:
                self._waits_for_room = False
            if isinstance(pixels, NoRoom):
                if not work.is_over:
                    lane.large.append(ticket)
            elif isinstance(pixels, UnreadableImage):
                _answer([ticket], [pixels])
            elif isinstance(pixels, Exception):
                self.end(work, pixels)
            elif not work.is_over:
                lane.pace.decoded(seconds)
                ticket.pixels = pixels
                lane.decoded.append(ticket)
            self.forget_if_empty(lane)
            self._after_step()

    def _is_late(self, lane: Lane, work: Work) -> bool:
        """Tell whether nobody would hear the answer any more; then let go of the request."""
        if work.is_over:
            return True
        if work.deadline is None or work.deadline > time.monotonic():
            return False
        error = DeadlineExceeded(
            "the deadline passed while the image waited: allow more time, or try another replica", reason="QUEUE_WAIT"
        )
        lane.metrics.drop("DEADLINE", 1 + self.end(work, error))
        return True


def _answer(tickets: Sequence[Ticket], answers: Sequence[Answer]) -> None:
    complete = []
    for ticket, answer in zip(tickets, answers, strict=True):
        work = ticket.work
        work.answers[ticket.position] = answer
        work.missing -= 1
        if not work.missing and not work.is_over:
            work.is_over = True
            complete.append(work)
    if complete:
        _tell_soon(complete)


def _tell_soon(works: Sequence[Work]) -> None:
    """Tell requests, all on one event loop, that they are over."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # on a thread
        works[0].future.get_loop().call_soon_threadsafe(_tell, works)
    else:
        _tell(works)


def _tell(works: Sequence[Work]) -> None:
    for work in works:
        if not work.future.done():
            work.future.set_result(None)


def _decode(image: bytes | Pixels, loaded: LoadedVersion, *, wait: bool) -> Pixels | Exception:
    if isinstance(image, np.ndarray):
        return image
    if len(image) > MAX_IMAGE_BYTES:
        return UnreadableImage(
            "TOO_MANY_BYTES", f"the image has {len(image)} bytes, more than {MAX_IMAGE_BYTES}: send a smaller one"
        )
    try:
        return preprocessing.load(image, loaded.preprocessing, wait=wait)
    except Exception as error:  # Unreadable or not foreseen: it ends one request, and the worker goes on.
        return error


def _run(loaded: LoadedVersion, pixels: Sequence[Pixels]) -> Outputs | Exception:
    """Compute a batch; where it fails on a GPU, which is mostly for want of memory, its halves."""
    try:
        return loaded.run(np.stack(pixels) if len(pixels) > 1 else pixels[0][np.newaxis])
    except Exception as error:  # ONNX Runtime's exceptions share no base but this one.
        logger.exception("%s: a batch of %d failed", loaded.name, len(pixels))
        failure: Exception = error
    if len(pixels) > 1 and not loaded.runs_on_cpu:
        middle = len(pixels) // 2
        try:
            halves = [loaded.run(np.stack(half)) for half in (pixels[:middle], pixels[middle:])]
            return Outputs(*(np.concatenate(parts) for parts in zip(*halves, strict=True)))
        except Exception as error:  # As above.
            failure = error
    if not loaded.runs_on_cpu and sessions.lacks_memory(failure):
        return Exhausted(
            "the GPU's memory does not suffice right now: send fewer images at a time, or try again in a moment",
            reason="GPU_OOM",
            retry_after_s=1,
        )
    return failure
