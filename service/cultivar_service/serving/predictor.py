"""Classifies images: admits what can be answered in time, decodes and computes it on a thread for each core.

A thread takes whatever can be done next: a batch for the network where one is full or nothing waits to join it, else
one image to decode. So a lone image never waits for company, a busy service computes full batches, and an image passes
from the event loop to a thread and back once.
"""

import asyncio
import logging
import random
import threading
import time
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence

import numpy as np

from cultivar_contract import preprocessing
from cultivar_contract.preprocessing import UnreadableImage
from cultivar_service.caller import Caller
from cultivar_service.config import cores
from cultivar_service.errors import DeadlineExceeded, Draining, Exhausted, QueueFull
from cultivar_service.serving.engine import LoadedVersion, Outputs
from cultivar_service.serving.lanes import Answer, Lane, Pace, Pixels, Ticket, Work
from cultivar_service.telemetry.metrics import PredictionMetrics

logger = logging.getLogger(__name__)

MAX_IMAGE_BYTES = 24 << 20
"""Encoded images of more are not looked into."""
_CHUNK = 16
"""Images of one request that wait at a time: a large request can't fill a queue."""
_RETRY_S = (0.05, 5.0)


class Predictor:
    """The threads, and what waits for them."""

    def __init__(self, *, max_queued_images: int, metrics: PredictionMetrics, num_threads: int | None = None) -> None:
        """Start the threads, one for each core where nothing else is said."""
        self._most_waiting = max_queued_images
        self._metrics = metrics
        self._lanes: OrderedDict[LoadedVersion, Lane] = OrderedDict()
        self._pace: weakref.WeakKeyDictionary[LoadedVersion, Pace] = weakref.WeakKeyDictionary()
        self._busy: Counter[str] = Counter()
        """Batches that each execution provider computes right now: one for each core, or one on the GPU."""
        self._patient: deque[asyncio.Future[None]] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._idle = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"predict-{number}", daemon=True)
            for number in range(num_threads or cores())
        ]
        for thread in self._threads:
            thread.start()
        metrics.images_in_flight.set_function(self._in_flight)

    def close(self) -> None:
        """Refuse what comes, finish what is here."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    async def classify(
        self, loaded: LoadedVersion, images: Sequence[bytes | Pixels], caller: Caller, *, patient: bool = False
    ) -> list[Answer]:
        """Answer every image, in order. Cancelled, it drops what has not begun.

        Args:
            loaded: the version that answers.
            images: encoded images, or pixels (S, S, channels) that are preprocessed already.
            caller: whose request it is; its deadline counts.
            patient: wait for room where the queue is full (a stream, which is not read on meanwhile).

        Raises:
            QueueFull: as many images wait as may wait.
            DeadlineExceeded: the answer would come, or comes, after the caller's deadline.
            Exhausted: the GPU's memory does not suffice.
            Draining: the service is shutting down.
        """
        answers: list[Answer] = []
        for start in range(0, len(images), _CHUNK):
            chunk = images[start : start + _CHUNK]
            future = asyncio.get_running_loop().create_future()
            work = Work(loaded, chunk, client=caller.client, deadline=caller.deadline, future=future)
            while not self._submit(work, is_admitted=start > 0, patient=patient):
                await self._room()
            try:
                await future
            except asyncio.CancelledError:
                self._abandon(work)
                raise
            if work.error is not None:
                raise work.error
            answers += work.answers  # type: ignore[arg-type]  # none is missing any more
        if caller.deadline is not None:
            self._metrics.of(loaded.model).deadline_margin_s.observe(caller.deadline - time.monotonic())
        return answers

    # On the event loop

    def _submit(self, work: Work, *, is_admitted: bool, patient: bool) -> bool:
        """Let a request wait; False where it must have patience.

        Raises:
            QueueFull, DeadlineExceeded, Draining: it is refused.
        """
        with self._lock:
            if self._closed:
                raise Draining
            lane = self._lanes.get(work.loaded)
            if lane is None:
                pace = self._pace.setdefault(work.loaded, Pace())
                lane = self._lanes[work.loaded] = Lane(work.loaded, pace, self._metrics.of(work.loaded.model))
            try:
                self._check_deadline(lane, work)
                if not is_admitted and lane.waiting and lane.waiting + len(work.images) > self._most_waiting:
                    if patient:
                        return False
                    self._make_room(lane, work)
                lane.add(work)
            finally:
                self._forget_if_empty(lane)
            if self._idle:
                self._changed.notify(len(work.images))
        return True

    def _check_deadline(self, lane: Lane, work: Work) -> None:
        if work.deadline is None:
            return
        wait_s = self._wait_s(lane, work.client, len(work.images))
        left_s = work.deadline - work.started
        if wait_s < left_s:
            return
        lane.metrics.refuse("QUEUE_WAIT")
        raise DeadlineExceeded(
            f"the answer would take {wait_s:.3g} s, the deadline is in {max(left_s, 0):.3g} s: allow more time, or "
            "try another replica",
            reason="QUEUE_WAIT",
            retry_after_s=self._retry_s(lane),
        )

    def _make_room(self, lane: Lane, work: Work) -> None:
        """Refuse the new request, or in its place one of a client that has more waiting."""
        while lane.waiting + len(work.images) > self._most_waiting:
            evicted = lane.newest_of_heaviest(work.client, len(work.images))
            lane.metrics.refuse("QUEUE_FULL")
            refusal = QueueFull(
                f"{lane.waiting} images wait for {work.loaded.name}, {self._most_waiting} may: try again in a moment",
                retry_after_s=self._retry_s(lane),
            )
            if evicted is None:
                raise refusal
            lane.metrics.drop("EVICTED", self._end(evicted, refusal))

    def _wait_s(self, lane: Lane, client: str, num_images: int) -> float:
        """Estimate the seconds until the last of a client's next images is answered."""
        own_s = lane.pace.image_s
        ahead = lane.ahead(client, num_images) + lane.active + len(lane.decoded)
        others = sum(
            min(other.waiting, ahead) * other.pace.image_s for other in self._lanes.values() if other is not lane
        )
        return (ahead * own_s + others) / len(self._threads) + own_s * -(-num_images // len(self._threads))

    def _retry_s(self, lane: Lane) -> float:
        """Return when the queue has emptied, spread out so that those who were refused don't come back as one."""
        drained_s = lane.waiting * (lane.pace.image_s or 0.01) / len(self._threads)
        return min(max(drained_s * random.uniform(0.5, 1.5), _RETRY_S[0]), _RETRY_S[1])

    async def _room(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._patient.append(future)
        await future  # where it is cancelled, those who call the patient pass it over

    def _abandon(self, work: Work) -> None:
        """Let go of a request whose caller is gone."""
        with self._lock:
            work.is_over = True
            lane = self._lanes.get(work.loaded)
            if lane is not None:
                lane.metrics.drop("CANCELLED", lane.drop(work))
                self._forget_if_empty(lane)

    def _in_flight(self) -> float:
        with self._lock:
            return sum(lane.waiting + len(lane.decoded) + lane.active for lane in self._lanes.values())

    # On the threads

    def _work(self) -> None:
        with self._lock:
            while True:
                if self._patient:
                    self._call_patient()
                if not (self._infer_next() or self._decode_next()):
                    if self._closed and not self._lanes:
                        self._changed.notify_all()
                        return
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1

    def _infer_next(self) -> bool:
        """Compute a batch that is full, or that nothing will join; False where there is none. Lets go of the lock."""
        for lane in self._lanes.values():
            loaded = lane.loaded
            if not lane.decoded or (lane.waiting and len(lane.decoded) < loaded.max_batch):
                continue
            if self._busy[loaded.provider] >= (len(self._threads) if loaded.runs_on_cpu else 1):
                continue
            batch = lane.take_decoded(loaded.max_batch)
            batch = [ticket for ticket in batch if not self._is_late(lane, ticket.work)]
            if batch:
                self._lanes.move_to_end(loaded)
                lane.active += len(batch)
                self._busy[loaded.provider] += 1
                self._lock.release()
                try:
                    started = time.perf_counter()
                    outputs = _run(loaded, [ticket.pixels for ticket in batch if ticket.pixels is not None])
                    seconds = time.perf_counter() - started
                    if isinstance(outputs, Outputs):
                        lane.observe_batch(seconds, outputs)
                finally:
                    self._lock.acquire()
                    lane.active -= len(batch)
                    self._busy[loaded.provider] -= 1
                if isinstance(outputs, Outputs):
                    lane.pace.computed(seconds, len(batch))
                    self._answer(batch, [Outputs(*rows) for rows in zip(*outputs, strict=True)])
                else:
                    self._fail(batch, outputs)
                if self._idle:
                    self._changed.notify()
            self._forget_if_empty(lane)
            return True
        return False

    def _decode_next(self) -> bool:
        """Decode one image; False where none waits. Lets go of the lock."""
        for lane in self._lanes.values():
            loaded = lane.loaded
            if not lane.waiting or len(lane.decoded) >= 2 * loaded.max_batch:
                continue
            ticket = lane.take()
            work = ticket.work
            if not self._is_late(lane, work):
                self._lanes.move_to_end(loaded)
                lane.active += 1
                self._lock.release()
                try:
                    started = time.monotonic()
                    pixels = _decode(work.images[ticket.position], loaded)
                    seconds = time.monotonic() - started
                    lane.observe_decoding(started - work.started, seconds)
                finally:
                    self._lock.acquire()
                    lane.active -= 1
                if isinstance(pixels, UnreadableImage):
                    self._answer([ticket], [pixels])
                elif isinstance(pixels, Exception):
                    self._fail([ticket], pixels)
                elif not work.is_over:
                    lane.pace.decoded(seconds)
                    ticket.pixels = pixels
                    lane.decoded.append(ticket)
            self._forget_if_empty(lane)
            return True
        return False

    def _answer(self, tickets: Sequence[Ticket], answers: Sequence[Answer]) -> None:
        complete = []
        for ticket, answer in zip(tickets, answers, strict=True):
            work = ticket.work
            work.answers[ticket.position] = answer
            work.missing -= 1
            if not work.missing and not work.is_over:
                work.is_over = True
                complete.append(work)
        _settle(complete)

    def _fail(self, tickets: Sequence[Ticket], error: Exception) -> None:
        for ticket in tickets:
            self._end(ticket.work, error)

    def _end(self, work: Work, error: Exception) -> int:
        """Let go of a request that gets no answer; return how many of its images nobody had in hand."""
        if not work.is_over:
            work.is_over, work.error = True, error
            _settle([work])
        lane = self._lanes.get(work.loaded)
        return 0 if lane is None else lane.drop(work)

    def _is_late(self, lane: Lane, work: Work) -> bool:
        """Tell whether nobody would hear the answer any more; then let go of the request."""
        if work.is_over:
            return True
        if work.deadline is None or work.deadline > time.monotonic():
            return False
        error = DeadlineExceeded(
            "the deadline passed while the image waited: allow more time, or try another replica",
            reason="QUEUE_WAIT",
            retry_after_s=self._retry_s(lane),
        )
        lane.metrics.drop("DEADLINE", 1 + self._end(work, error))
        return True

    def _forget_if_empty(self, lane: Lane) -> None:
        if lane.is_empty and self._lanes.get(lane.loaded) is lane:
            del self._lanes[lane.loaded]
            if self._closed:
                self._changed.notify_all()

    def _call_patient(self) -> None:
        loop = self._patient[0].get_loop()
        loop.call_soon_threadsafe(_wake, self._patient, 1 if self._lanes else len(self._patient))


def _wake(patient: deque[asyncio.Future[None]], count: int) -> None:
    while patient and count > 0:
        future = patient.popleft()
        if not future.done():
            future.set_result(None)
            count -= 1


def _settle(works: Sequence[Work]) -> None:
    """Tell requests, all on one event loop, that they are over."""
    if works:
        works[0].future.get_loop().call_soon_threadsafe(_tell, works)


def _tell(works: Sequence[Work]) -> None:
    for work in works:
        if not work.future.done():
            work.future.set_result(None)


def _decode(image: bytes | Pixels, loaded: LoadedVersion) -> Pixels | Exception:
    if isinstance(image, np.ndarray):
        return image
    if len(image) > MAX_IMAGE_BYTES:
        return UnreadableImage(
            "TOO_MANY_BYTES", f"the image has {len(image)} bytes, more than {MAX_IMAGE_BYTES}: send a smaller one"
        )
    try:
        return preprocessing.load(image, loaded.preprocessing)
    except Exception as error:  # Unreadable or not foreseen: it ends one request, and the thread goes on.
        return error


def _run(loaded: LoadedVersion, pixels: Sequence[Pixels]) -> Outputs | Exception:
    """Compute a batch; where it fails, which is mostly for want of memory, its halves."""
    try:
        return loaded.run(np.stack(pixels))
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
    if not loaded.runs_on_cpu and "memory" in str(failure):
        return Exhausted(
            "the GPU's memory does not suffice right now: send fewer images at a time, or try again in a moment",
            reason="GPU_OOM",
            retry_after_s=1,
        )
    return failure
