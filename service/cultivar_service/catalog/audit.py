"""The audit log: a row for each request that asked for a change; rows are added, the oldest dropped, none changed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from cultivar_service.catalog.tables import audit

MAX_ENTRIES = 100_000
"""Rows that are kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Who asked for what, and what came of it."""

    time_ns: int
    """When the answer was ready, since 1970."""
    request_id: str
    """Also in the service's log."""
    caller: str
    """Name of the token; empty where none is asked for."""
    peer: str
    """Address that the request came from."""
    method: str
    """`cultivar.v1.ModelService/DeleteModel`."""
    resource: str
    """What it was about, by the request's own word; empty where it named nothing."""
    code: str
    """Status that it was answered with."""


def insert(connection: sa.Connection, entries: Sequence[Entry], *, max_entries: int = MAX_ENTRIES) -> None:
    """Add rows and drop the oldest beyond `max_entries`."""
    connection.execute(audit.insert(), [asdict(entry) for entry in entries])
    newest = sa.select(sa.func.max(audit.c.sequence)).scalar_subquery()
    connection.execute(audit.delete().where(audit.c.sequence <= newest - max_entries))


def page(
    connection: sa.Connection, *, before: int | None = None, caller: str | None = None, limit: int = 100
) -> list[tuple[int, Entry]]:
    """Return rows with their numbers, newest first: those numbered below `before`, of one caller."""
    query = sa.select(audit).order_by(audit.c.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.sequence < before)
    if caller is not None:
        query = query.where(audit.c.caller == caller)
    rows = (dict(row._mapping) for row in connection.execute(query))
    return [(int(row.pop("sequence")), Entry(**row)) for row in rows]
