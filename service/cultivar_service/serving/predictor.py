"""Classifies images: decoded by a few threads, batched, run by ONNX Runtime; as much at a time as was agreed."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from cultivar_contract import preprocessing
from cultivar_contract.preprocessing import UnreadableImage
from cultivar_service.caller import Caller
from cultivar_service.config import Config, cores
from cultivar_service.errors import QueueFull
from cultivar_service.serving.engine import MAX_BATCH, LoadedVersion, Outputs
from cultivar_service.telemetry.metrics import Metrics

MAX_IMAGE_BYTES = 24 << 20
"""Encoded images of more are not looked into."""

Answer = Outputs | UnreadableImage
"""Of one image."""


class Predictor:
    """Threads that decode and threads that compute."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        self._limit = config.max_images_in_flight
        self._metrics = metrics
        self._in_flight = 0
        self._seconds_per_image = 0.01  # a guess until the first batch has been timed
        self._decoders = ThreadPoolExecutor(cores(), thread_name_prefix="decode")
        # Two, so that one request's small batch needs not wait for the whole of another's large one.
        self._runners = ThreadPoolExecutor(2, thread_name_prefix="inference")

    def close(self) -> None:
        """Wait for the threads."""
        self._decoders.shutdown(cancel_futures=True)
        self._runners.shutdown(cancel_futures=True)

    async def classify(
        self,
        loaded: LoadedVersion,
        images: Sequence[bytes | NDArray[np.uint8]],
        caller: Caller,
        *,
        patient: bool = False,
    ) -> list[Answer]:
        """Answer every image, in order. Cancelled, it drops what has not begun.

        Args:
            loaded: the version that answers.
            images: encoded images, or pixels (S, S, channels) that are preprocessed already.
            caller: whose request it is; its deadline counts.
            patient: wait for room where the queue is full (a stream, which is not read on meanwhile).

        Raises:
            QueueFull: as many images wait as may wait.
            DeadlineExceeded: the answer would come after the caller's deadline.
        """
        answers: list[Answer] = []
        with self._admitted(len(images)):
            for start in range(0, len(images), MAX_BATCH):
                answers += await self._classify_batch(loaded, images[start : start + MAX_BATCH])
        return answers

    async def _classify_batch(self, loaded: LoadedVersion, images: Sequence[bytes | NDArray[np.uint8]]) -> list[Answer]:
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        decoded = await asyncio.gather(
            *(loop.run_in_executor(self._decoders, _decode, image, loaded) for image in images)
        )
        decoded_at = time.perf_counter()
        self._metrics.prediction_stage_seconds.labels("decode").observe(decoded_at - started)
        loaded.statistics.stage("decode", (decoded_at - started) * len(images), len(images))
        pixels = [one for one in decoded if not isinstance(one, UnreadableImage)]
        if not pixels:
            return [one for one in decoded if isinstance(one, UnreadableImage)]
        outputs = await loop.run_in_executor(self._runners, loaded.run, np.stack(pixels))
        rows = map(Outputs, outputs.logits, outputs.probabilities)
        ended = time.perf_counter()
        self._metrics.prediction_stage_seconds.labels("inference").observe(ended - decoded_at)
        loaded.statistics.batch(len(pixels), ended - decoded_at)
        self._seconds_per_image += 0.1 * ((ended - started) / len(images) - self._seconds_per_image)
        return [one if isinstance(one, UnreadableImage) else next(rows) for one in decoded]

    @contextmanager
    def _admitted(self, num_images: int) -> Iterator[None]:
        if self._in_flight + num_images > self._limit:
            raise QueueFull(
                f"{self._in_flight} images are being classified, {num_images} more pass the limit of {self._limit}: "
                "try again in a moment",
                retry_after_s=min(5.0, max(0.1, self._in_flight * self._seconds_per_image)),
            )
        self._in_flight += num_images
        self._metrics.images_in_flight.set(self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= num_images
            self._metrics.images_in_flight.set(self._in_flight)


def _decode(image: bytes | NDArray[np.uint8], loaded: LoadedVersion) -> NDArray[np.uint8] | UnreadableImage:
    if isinstance(image, np.ndarray):
        return image
    if len(image) > MAX_IMAGE_BYTES:
        return UnreadableImage(
            "TOO_MANY_BYTES", f"the image has {len(image)} bytes, more than {MAX_IMAGE_BYTES}: send a smaller one"
        )
    try:
        return preprocessing.load(image, loaded.preprocessing)
    except UnreadableImage as error:
        return error
