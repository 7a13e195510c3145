"""Loads versions off the event loop: proven, timed, and gone without a trace when nobody holds them any more."""

import asyncio
import time
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from cultivar_contract.package import DamagedPackage
from cultivar_service.config import Config, cores
from cultivar_service.errors import Unavailable
from cultivar_service.serving import engine
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.reclaim import Reclaimer
from cultivar_service.telemetry.metrics import Metrics


class Loader:
    """Makes LoadedVersions of packages, a few at a time."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        self._config = config
        self._metrics = metrics
        self._reclaimer = Reclaimer()
        # Threads of their own: each has a heap, and what a version leaves in one is used again by the next.
        self._threads = ThreadPoolExecutor(cores(), thread_name_prefix="loading")
        self._in_memory: Counter[str] = Counter()
        """Versions by what computes them."""
        metrics.loaded_versions.read = self._in_memory.copy

    def close(self) -> None:
        """Wait for what is being loaded. Blocks."""
        self._threads.shutdown()

    async def load(self, model: str, version: int) -> LoadedVersion:
        """Load a version: digests, graph, golden images, a first batch.

        Raises:
            DamagedPackage: it must not answer.
            Unavailable: it can't be read right now.
        """
        try:
            loaded = await asyncio.get_running_loop().run_in_executor(self._threads, self._load, model, version)
        except DamagedPackage:
            self._reclaimer.soon()
            raise
        self._in_memory[loaded.provider] += 1
        weakref.finalize(loaded, self._in_memory.subtract, [loaded.provider]).atexit = False
        self._reclaimer.watch(loaded)
        return loaded

    def _load(self, model: str, version: int) -> LoadedVersion:
        folder = self._config.models / model / str(version)
        started = time.perf_counter()
        try:
            loaded = engine.load(
                folder,
                model=model,
                version=version,
                device=self._config.device,
                threads=self._config.inference_threads,
            )
            self._metrics.version_load_seconds.observe(time.perf_counter() - started)
            return loaded
        except DamagedPackage as error:
            refusal: Exception = DamagedPackage(str(error), reason=error.reason)
        except OSError as error:
            refusal = Unavailable(
                f"version {version} of models/{model} can't be read right now ({error.strerror}): try again",
                reason="VERSION_UNREADABLE",
                retry_after_s=2,
            )
        # Not the error itself: its traceback holds the session for as long as somebody holds the error.
        raise refusal
