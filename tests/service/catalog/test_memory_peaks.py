"""Remembered peaks."""

from pathlib import Path

import pytest

from cultivar_service.catalog import memory_peaks
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.memory_peaks import Peak


async def test_the_largest_figures_stay(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    for gpu_bytes, host_bytes in ((5, 1), (3, 2)):
        peak = Peak(gpu_bytes=gpu_bytes, host_bytes=host_bytes)
        await catalog.write(lambda connection, peak=peak: memory_peaks.raise_to(connection, "a", peak))

    assert await catalog.read(lambda connection: memory_peaks.find(connection, "a")) == Peak(gpu_bytes=5, host_bytes=2)
    assert await catalog.read(lambda connection: memory_peaks.find(connection, "b")) is None
    catalog.close()


async def test_what_was_measured_longest_ago_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_peaks, "MOST_KEPT", 2)
    catalog = Catalog(tmp_path / "catalog.sqlite")
    peak = Peak(gpu_bytes=1, host_bytes=1)
    for shape in ("a", "b", "a", "c"):
        await catalog.write(lambda connection, shape=shape: memory_peaks.raise_to(connection, shape, peak))
    found = [
        await catalog.read(lambda connection, shape=shape: memory_peaks.find(connection, shape)) for shape in "abc"
    ]

    assert found == [peak, None, peak]
    catalog.close()
