"""Classifies images: admits what can be answered in time, in fair turns, and waits for the answers."""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Sequence

from cultivar_service.caller import Caller
from cultivar_service.config import cores
from cultivar_service.errors import DeadlineExceeded, Draining, QueueFull
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.lanes import Answer, Lane, Pace, Pixels, Work
from cultivar_service.serving.pipeline import Pipeline
from cultivar_service.serving.workers import Workers
from cultivar_service.telemetry.metrics import PredictionMetrics

_CHUNK = 16
"""Images of one request that wait at a time: a large request can't fill a queue."""
_RETRY_S = (0.05, 5.0)
_BACK_OFF = 8.0
"""How much longer refused clients are told to wait, for each refusal that an answered image comes with."""
_LONGEST_HOLD_S = 0.5


class Predictor:
    """The door: admission in front of the pipeline, and the workers behind it. Made inside a running event loop."""

    def __init__(self, *, max_queued_images: int, metrics: PredictionMetrics, num_cores: int | None = None) -> None:
        """Start the workers, one for each core where nothing else is said."""
        self._most_waiting = max_queued_images
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._patient: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._num_patient = 0
        self._num_workers = num_cores or cores()
        self._pipeline = Pipeline(metrics, self._num_workers, self._step_ended, self._nothing_left)
        self._lock = self._pipeline.lock
        self._workers = Workers(self._num_workers, self._lock, self._pipeline.next_step)
        metrics.images_in_flight.set_function(self._in_flight)
        metrics.queued_images.read = self._queued

    def close(self) -> None:
        """Refuse what comes, finish what is here. Called off the event loop."""
        self._closed = True
        self._workers.close()

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
        while len(answers) < len(images):
            start = len(answers)
            # Of a patient request a few go first where all would never find room beside others of one image each.
            size = self._room(loaded) if patient and not start else _CHUNK
            chunk = images[start : start + size]
            work = Work(
                loaded, chunk, client=caller.client, deadline=caller.deadline, future=self._loop.create_future()
            )
            room = self._submit(work, len(images) - start, is_admitted=start > 0, patient=patient)
            if room is not None:
                self._num_patient += 1
                try:
                    await room
                finally:
                    self._loop.call_soon(self._forget_patient)  # after it has tried again
                continue
            try:
                await work.future
            except asyncio.CancelledError:
                self._abandon(work)
                raise
            if work.error is not None:
                raise work.error
            answers += work.answers  # type: ignore[arg-type]  # none is missing any more
        if caller.deadline is not None:
            self._metrics.of(loaded.model).deadline_margin_s.observe(caller.deadline - time.monotonic())
        return answers

    def _submit(self, work: Work, num_left: int, *, is_admitted: bool, patient: bool) -> asyncio.Future[None] | None:
        """Let images wait, of so many that their request has left; return what to wait for where it must have patience.

        Raises:
            QueueFull, DeadlineExceeded, Draining: it is refused.
        """
        with self._lock:
            if self._closed:
                raise Draining
            lane = self._pipeline.lane(work.loaded)
            try:
                self._check_deadline(lane, work, num_left)
                excess = lane.queued + len(work.images) - self._places(patient=patient)
                if not is_admitted and lane.queued and excess > 0:
                    if patient:
                        # Noted with the lock held: the last step that could make room may end right after.
                        room = self._loop.create_future()
                        self._patient.append(room)  # where it is cancelled, those who call the patient pass it over
                        return room
                    self._make_room(lane, work, excess)
                lane.add(work)
            finally:
                self._pipeline.forget_if_empty(lane)
            self._workers.wake(len(work.images))
        return None

    def _places(self, *, patient: bool) -> int:
        """Return how many images may wait: room that becomes free belongs to those who wait for it."""
        return self._most_waiting - (0 if patient else min(self._num_patient, self._most_waiting // 2))

    def _forget_patient(self) -> None:
        self._num_patient -= 1

    def _room(self, loaded: LoadedVersion) -> int:
        """Return how many images of a request may wait together, at least one."""
        with self._lock:
            lane = self._pipeline.lanes.get(loaded)
            return min(_CHUNK, max(1, self._most_waiting - (lane.queued if lane else 0)))

    def _check_deadline(self, lane: Lane, work: Work, num_images: int) -> None:
        if work.deadline is None:
            return
        wait_s = self._wait_s(lane, work.client, num_images)
        left_s = work.deadline - time.monotonic()
        if wait_s < left_s:
            return
        lane.metrics.refuse("QUEUE_WAIT")
        raise DeadlineExceeded(
            f"the answer would take {wait_s:.3g} s, the deadline is in {max(left_s, 0):.3g} s: allow more time, or "
            "try another replica",
            reason="QUEUE_WAIT",
            retry_after_s=self._retry_s(lane.pace),
        )

    def _make_room(self, lane: Lane, work: Work, excess: int) -> None:
        """Refuse the new request, or in its place some of clients that have more waiting."""
        evicted = lane.giving_way(work.client, len(work.images), excess)
        if not evicted:
            raise self._queue_full(lane)
        for one in evicted:
            lane.metrics.drop("EVICTED", self._pipeline.end(one, self._queue_full(lane)))

    def _queue_full(self, lane: Lane) -> QueueFull:
        lane.metrics.refuse("QUEUE_FULL")
        lane.pace.refused()
        return QueueFull(
            f"{lane.queued} images wait for {lane.loaded.name}, {self._most_waiting} may: try again in a moment",
            retry_after_s=self._retry_s(lane.pace),
            hold_s=self._hold_s(lane.pace),
        )

    def _wait_s(self, lane: Lane, client: str, num_images: int) -> float:
        """Estimate the seconds until the last of a client's next images is answered."""
        own_s = lane.pace.image_s
        ahead = lane.ahead(client, num_images) + len(lane.large) + lane.active + len(lane.decoded)
        others_s = sum(
            min(other.queued, ahead) * other.pace.image_s
            for other in self._pipeline.lanes.values()
            if other is not lane
        )
        return (ahead * own_s + others_s) / self._num_workers + own_s * -(-num_images // self._num_workers)

    def _retry_s(self, pace: Pace) -> float:
        """Return when another try is worth it.

        That is when the queue has emptied, or later where more come back than can be answered; spread out, so that
        those who were refused don't come back as one.
        """
        patience = random.uniform(0.5, 1.5) * (1 + _BACK_OFF * pace.refusals_per_image)
        return min(max(self._drained_s(pace) * patience, _RETRY_S[0]), _RETRY_S[1])

    def _hold_s(self, pace: Pace) -> float:
        """Return how long a refusal is held back: where more are refused than answered, and come back at once."""
        excess = max(pace.refusals_per_image - 1, 0.0)
        return min(self._drained_s(pace) * 2 * excess, _LONGEST_HOLD_S)

    def _drained_s(self, pace: Pace) -> float:
        """Return how long a full queue takes."""
        return self._most_waiting * (pace.image_s or 0.01) / self._num_workers

    def _step_ended(self) -> None:
        """Let one of those who wait for room try again."""
        if self._patient:
            self._loop.call_soon_threadsafe(_wake, self._patient, 1)
        if any(lane.waiting or lane.large for lane in self._pipeline.lanes.values()):
            self._workers.wake(1)

    def _nothing_left(self) -> None:
        """Let all who wait for room try again: no step's end would tell them."""
        if self._patient:
            self._loop.call_soon_threadsafe(_wake, self._patient, len(self._patient))

    def _abandon(self, work: Work) -> None:
        """Let go of a request whose caller is gone."""
        with self._lock:
            work.is_over = True
            lane = self._pipeline.lanes.get(work.loaded)
            if lane is not None:
                lane.metrics.drop("CANCELLED", lane.drop(work))
                self._pipeline.forget_if_empty(lane)

    def _queued(self) -> Counter[str]:
        with self._lock:
            queued: Counter[str] = Counter()
            for loaded, lane in self._pipeline.lanes.items():
                queued[loaded.model] += lane.queued + len(lane.decoded)
            return queued

    def _in_flight(self) -> float:
        with self._lock:
            return sum(lane.queued + len(lane.decoded) + lane.active for lane in self._pipeline.lanes.values())


def _wake(patient: deque[asyncio.Future[None]], count: int) -> None:
    while patient and count > 0:
        future = patient.popleft()
        if not future.done():
            future.set_result(None)
            count -= 1
