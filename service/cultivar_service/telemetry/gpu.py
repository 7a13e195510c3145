"""GPU figures, read from NVML at every scrape. No GPU, no driver, no such figure: absent, never zero."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator

import pynvml
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)

_LABELS = ("gpu", "uuid")
_PATIENCE_S = 2.0
_FIGURES: tuple[tuple[str, str, Callable[[object], float]], ...] = (
    (
        "cultivar_gpu_utilization_ratio",
        "Share of the last moments in which a kernel ran, 0 to 1.",
        lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
    ),
    ("cultivar_gpu_memory_used_bytes", "Memory in use.", lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).used),
    ("cultivar_gpu_memory_total_bytes", "Memory in all.", lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).total),
    ("cultivar_gpu_power_watts", "Power draw.", lambda gpu: pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000),
    (
        "cultivar_gpu_temperature_celsius",
        "Temperature of the chip.",
        lambda gpu: pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU),
    ),
)


class GpuCollector(Collector):
    """Reads NVML on a thread of its own, so that a hung driver can't hold up a scrape."""

    def __init__(self, *, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._reader: threading.Thread | None = None
        self._initialised = False

    def collect(self) -> Iterable[Metric]:
        """Return what NVML says now; nothing where it is silent or slow."""
        if self._reader is not None and self._reader.is_alive():
            return []
        found: list[Metric] = []
        self._reader = threading.Thread(target=lambda: found.extend(self._read()), name="nvml", daemon=True)
        self._reader.start()
        self._reader.join(self._patience_s)
        return [] if self._reader.is_alive() else found

    def _read(self) -> Iterator[Metric]:
        try:
            if not self._initialised:
                pynvml.nvmlInit()
                self._initialised = True
                logger.info("NVML found %d GPU(s)", pynvml.nvmlDeviceGetCount())
            gpus = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
            labels = [(str(index), str(pynvml.nvmlDeviceGetUUID(gpu))) for index, gpu in enumerate(gpus)]
        except pynvml.NVMLError:
            self._initialised = False  # a driver that was restarted wants a new start
            return
        for name, text, read in _FIGURES:
            family = GaugeMetricFamily(name, text, labels=_LABELS)
            for gpu, label in zip(gpus, labels, strict=True):
                try:
                    family.add_metric(label, read(gpu))
                except pynvml.NVMLError:  # this GPU does not tell, as in a MIG slice
                    continue
            if family.samples:
                yield family
