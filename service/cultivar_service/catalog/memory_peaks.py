"""Records of the memory that jobs of one shape took at most."""

import time
from dataclasses import dataclass

import sqlalchemy as sa

from cultivar_service.catalog.tables import memory_peaks

MOST_KEPT = 10_000
"""Shapes; of more, those that were measured longest ago are forgotten."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peak:
    """What jobs of a shape took."""

    gpu_bytes: int
    """The CUDA context included; 0 on a CPU."""
    host_bytes: int
    """Resident memory."""


def find(connection: sa.Connection, shape: str) -> Peak | None:
    """Return what jobs of a shape took at most; None where none was measured."""
    query = sa.select(memory_peaks.c.gpu_bytes, memory_peaks.c.host_bytes).where(memory_peaks.c.shape == shape)
    row = connection.execute(query).first()
    return None if row is None else Peak(gpu_bytes=row[0] or 0, host_bytes=row[1])


def raise_to(connection: sa.Connection, shape: str, peak: Peak) -> None:
    """Take in what another job of a shape took: the larger figures stay."""
    connection.exec_driver_sql(
        "INSERT INTO memory_peaks VALUES (?, ?, ?, ?) ON CONFLICT (shape) DO UPDATE SET "
        "gpu_bytes = max(coalesce(gpu_bytes, 0), excluded.gpu_bytes), "
        "host_bytes = max(host_bytes, excluded.host_bytes), time_ns = excluded.time_ns",
        (shape, peak.gpu_bytes, peak.host_bytes, time.time_ns()),
    )
    connection.exec_driver_sql(
        "DELETE FROM memory_peaks WHERE shape NOT IN (SELECT shape FROM memory_peaks ORDER BY time_ns DESC LIMIT ?)",
        (MOST_KEPT,),
    )
