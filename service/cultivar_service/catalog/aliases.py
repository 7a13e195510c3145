"""Records of aliases: the version that each points to, and how `live` came to be where it is.

Every move of `live` is an entry of its history, and each entry knows the one that a rollback from it goes back to: a
promotion's is the entry that was current, a rollback's is that of the entry it went back to. So rollbacks go back entry
by entry, and a promotion after them begins there.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from cultivar.v1 import model_pb2
from cultivar_service.catalog.references import LIVE, ModelReference
from cultivar_service.catalog.tables import alias_history, aliases, versions

READY = model_pb2.MODEL_VERSION_STATE_READY


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """An entry of the history that `live` can go back to."""

    version: int
    """The version that was live."""
    before: int | None
    """The entry that a further rollback looks at; None: there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One entry of the history, to show."""

    version: int
    time: Timestamp
    actor: str
    reason: str


def resolve(connection: sa.Connection, reference: ModelReference) -> int | None:
    """Return the number of the version that a reference means; None where there is no such alias."""
    if reference.version is not None:
        return reference.version
    if reference.alias == LIVE:
        return live_version(connection, reference.model)
    query = sa.select(aliases.c.version).where(aliases.c.model == reference.model, aliases.c.alias == reference.alias)
    return connection.execute(query).scalar()


def of_model(connection: sa.Connection, model: str) -> dict[str, int]:
    """Return a model's aliases beside `live`, by name."""
    query = (
        sa.select(aliases.c.alias, aliases.c.version)
        .where(aliases.c.model == model, aliases.c.alias != LIVE)
        .order_by(aliases.c.alias)
    )
    return {str(alias): int(version) for alias, version in connection.execute(query)}


def put(connection: sa.Connection, model: str, alias: str, version: int) -> None:
    """Point an alias to a version."""
    connection.exec_driver_sql(
        "INSERT INTO aliases VALUES (?, ?, ?) ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version",
        (model, alias, version),
    )


def delete(connection: sa.Connection, model: str, alias: str) -> bool:
    """Delete an alias; tell whether there was one."""
    gone = connection.execute(aliases.delete().where(aliases.c.model == model, aliases.c.alias == alias))
    return bool(gone.rowcount)


def delete_live_at(connection: sa.Connection, model: str, version: int) -> None:
    """Let `live` point nowhere where it points to this version."""
    here = sa.and_(aliases.c.model == model, aliases.c.alias == LIVE, aliases.c.version == version)
    connection.execute(aliases.delete().where(here))


def live_version(connection: sa.Connection, model: str) -> int | None:
    """Return the number of the live version, if there is one that can answer."""
    ready = sa.and_(
        versions.c.model == aliases.c.model, versions.c.version == aliases.c.version, versions.c.state == READY
    )
    query = sa.select(aliases.c.version).join(versions, ready).where(aliases.c.alias == LIVE, aliases.c.model == model)
    return connection.execute(query).scalar()


def once_live(connection: sa.Connection) -> set[str]:
    """Return the models whose `live` points to a version, also to one that can't answer any more."""
    return set(connection.execute(sa.select(aliases.c.model).where(aliases.c.alias == LIVE)).scalars())


def move_live(connection: sa.Connection, model: str, version: int, *, actor: str, reason: str) -> None:
    """Make a version live; a rollback goes back to what is live now."""
    _append(connection, model, version, actor, reason, before=_current(connection, model))


def move_live_back(connection: sa.Connection, model: str, earlier: Earlier, *, actor: str, reason: str) -> None:
    """Make the version of an earlier entry live; a further rollback goes back from there."""
    _append(connection, model, earlier.version, actor, reason, before=earlier.before)


def was_made_live_by(connection: sa.Connection, model: str, version: int, actor: str) -> bool:
    """Tell whether somebody has made a version live before."""
    query = sa.select(alias_history.c.sequence).where(
        alias_history.c.model == model,
        alias_history.c.alias == LIVE,
        alias_history.c.version == version,
        alias_history.c.actor == actor,
    )
    return connection.execute(query.limit(1)).first() is not None


def earlier_live(connection: sa.Connection, model: str) -> Earlier | None:
    """Return the newest entry before the current one whose version is another one and READY."""
    live = live_version(connection, model)
    for earlier, ready in _chain(connection, model):
        if ready and earlier.version != live:
            return earlier
    return None


def unusable_earlier(connection: sa.Connection, model: str) -> list[int]:
    """Return the versions that were live before and can't be so again, the latest first."""
    return list(dict.fromkeys(earlier.version for earlier, ready in _chain(connection, model) if not ready))


def live_history(connection: sa.Connection, model: str, limit: int) -> list[Move]:
    """Return the last moves of `live`, newest first."""
    query = (
        sa.select(alias_history.c.version, alias_history.c.time_ns, alias_history.c.actor, alias_history.c.reason)
        .where(alias_history.c.model == model, alias_history.c.alias == LIVE)
        .order_by(alias_history.c.sequence.desc())
        .limit(limit)
    )
    return [
        Move(version=version, time=_timestamp(time_ns), actor=actor, reason=reason)
        for version, time_ns, actor, reason in connection.execute(query)
    ]


def _chain(connection: sa.Connection, model: str) -> Iterator[tuple[Earlier, bool]]:
    """Yield what rollbacks would go back to, one after the other, and whether it can answer."""
    ready = sa.and_(
        versions.c.model == alias_history.c.model,
        versions.c.version == alias_history.c.version,
        versions.c.state == READY,
    )
    columns = (alias_history.c.version, alias_history.c.before, versions.c.version)
    current = _current(connection, model)
    row: Any = None if current is None else _entry(connection, columns, ready, current)
    while row is not None and row[1] is not None:
        row = _entry(connection, columns, ready, row[1])
        if row is not None:
            yield Earlier(version=row[0], before=row[1]), row[2] is not None


def _entry(connection: sa.Connection, columns: tuple[Any, ...], ready: Any, sequence: int) -> Any:
    query = sa.select(*columns).select_from(alias_history.outerjoin(versions, ready))
    return connection.execute(query.where(alias_history.c.sequence == sequence)).first()


def _current(connection: sa.Connection, model: str) -> int | None:
    query = sa.select(sa.func.max(alias_history.c.sequence))
    return connection.execute(query.where(alias_history.c.model == model, alias_history.c.alias == LIVE)).scalar()


def _append(
    connection: sa.Connection, model: str, version: int, actor: str, reason: str, *, before: int | None
) -> None:
    put(connection, model, LIVE, version)
    connection.execute(
        alias_history.insert().values(
            model=model,
            alias=LIVE,
            version=version,
            time_ns=time.time_ns(),
            reason=reason,
            actor=actor,
            before=before,
        )
    )


def _timestamp(time_ns: int) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromNanoseconds(time_ns)
    return timestamp
