"""Runs the batches that a version has not seen yet once, in the background, before requests need them.

The first run of a batch size allocates its working memory, on a GPU it also chooses kernels. Batch 1 is run at load;
larger ones are warmed by a thread that the kernel lets run when the others leave time.
"""

import contextlib
import logging
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cultivar_service.serving.engine import LoadedVersion

logger = logging.getLogger(__name__)

_NICENESS = 10


class Warmer:
    """One thread of low priority."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="warming", initializer=_lower_priority)
        self._closing = False

    def warm(self, loaded: LoadedVersion) -> None:
        """Run batches of 2, 4, ... some time soon; a version that goes before is let go."""
        self._thread.submit(self._warm, weakref.ref(loaded))

    def close(self) -> None:
        """Wait for the batch that is running. Blocks."""
        self._closing = True
        self._thread.shutdown(cancel_futures=True)

    def _warm(self, version: weakref.ref[LoadedVersion]) -> None:
        batch = 2
        while not self._closing:
            loaded = version()  # held for one batch at a time: warming keeps no version in memory
            if loaded is None or batch > loaded.max_batch:
                return
            size, channels = loaded.preprocessing.size, loaded.preprocessing.channels
            try:
                loaded.run(np.zeros((batch, size, size, channels), np.uint8))
            except Exception as error:  # ONNX Runtime's share no other base; requests would say the same
                logger.warning("%s: a batch of %d does not run: %s", loaded.name, batch, error)
                return
            del loaded
            batch *= 2


def _lower_priority() -> None:
    # Linux schedules threads by their own niceness; elsewhere this thread is as any other.
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
