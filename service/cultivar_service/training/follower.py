"""Copies a trainer's events into its job's log: each once, in order, whatever is killed in between."""

import sqlalchemy as sa

from cultivar.v1 import training_pb2
from cultivar_contract.run_directory import RunDirectory, read_events
from cultivar_service.catalog import jobs
from cultivar_service.catalog.database import Catalog

_SERVICES_OWN = frozenset(
    (
        None,
        "state_changed",
        "version_published",
        "reproduced",
        "attempt_failed",
        "placed",
        "placement_refused",
        "heartbeat",
    )
)
"""What the service tells of a job, and no trainer."""


class Follower:
    """Follows the events of one attempt."""

    def __init__(self, catalog: Catalog, directory: RunDirectory, job_id: str, attempt: int) -> None:
        self._catalog = catalog
        self._path = directory.events(attempt)
        self._job_id = job_id
        self._attempt = attempt
        self._copied: int | None = None

    async def copy(self) -> training_pb2.TrainingJob | None:
        """Copy what is new; return the job if that changed it.

        Raises:
            InsufficientDisk: the disk is full; the next call copies it.
        """
        if not self._path.exists() or self._path.stat().st_size == self._copied:
            return None
        changed: training_pb2.TrainingJob | None = None
        while True:
            job, end = await self._catalog.write(self._copy_some)
            self._copied = end  # here, where it is sure to stay
            if job is None:
                return changed
            changed = job

    def _copy_some(self, connection: sa.Connection) -> tuple[training_pb2.TrainingJob | None, int]:
        # The offset moves in the transaction that adds the events: neither can be lost or done twice alone.
        offset = jobs.event_offset(connection, self._job_id, self._attempt)
        events, end = read_events(self._path, offset)
        if end == offset:
            return None, end
        jobs.set_event_offset(connection, self._job_id, self._attempt, end)
        told = [one for one in events if one.WhichOneof("event") not in _SERVICES_OWN]
        return jobs.append(connection, self._job_id, told), end
