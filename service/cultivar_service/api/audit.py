"""Writes the audit log: a line in the service's log at once, and a row in the catalog a moment later."""

import asyncio
import logging
import time
from collections import deque
from functools import partial

from cultivar_service.catalog import audit
from cultivar_service.catalog.audit import Entry
from cultivar_service.catalog.database import Catalog

logger = logging.getLogger(__name__)

_MAX_WAITING = 10_000
"""Rows that may wait for the disk; beyond, a row is only in the log."""


class AuditTrail:
    """Takes entries without making requests wait; what comes in during a write is the next write, whole."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._waiting: deque[Entry] = deque()
        self._writing: asyncio.Task[None] | None = None

    def record(self, *, request_id: str, caller: str, peer: str, method: str, resource: str, code: str) -> None:
        """Keep what came of a request."""
        # %r: a client's text can't begin a line of its own.
        logger.info("request %s: %r from %s: %s %r: %s", request_id, caller, peer, method, resource, code)
        if len(self._waiting) >= _MAX_WAITING:
            logger.error("the audit table lacks request %s: %d rows wait for the disk", request_id, len(self._waiting))
            return
        self._waiting.append(
            Entry(
                time_ns=time.time_ns(),
                request_id=request_id,
                caller=caller,
                peer=peer,
                method=method,
                resource=resource,
                code=code,
            )
        )
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="audit")

    async def close(self) -> None:
        """Wait until everything is written."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            entries = list(self._waiting)
            try:
                await self._catalog.write(partial(audit.insert, entries=entries))
            except Exception:  # A full disk must not end requests that have changed something already.
                logger.exception("the audit table lacks %d rows: the log has them", len(entries))
            for _ in entries:
                self._waiting.popleft()
