"""Records of models and their versions."""

import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from cultivar.v1 import event_pb2, model_pb2
from cultivar_service.catalog import aliases, jobs
from cultivar_service.catalog.paging import Page, PageRequest, cut
from cultivar_service.catalog.tables import models, next_version, versions

READY = aliases.READY
LOADING = model_pb2.MODEL_VERSION_STATE_LOADING
REJECTED = model_pb2.MODEL_VERSION_STATE_REJECTED
_HISTORY = 20
"""Moves of `live` that a model shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What became of a job's package."""

    model_version: str
    """Name of the version; empty where the package gave none."""
    live: bool = False
    """Whether the alias `live` moved to it."""
    reason: str = ""
    """Why it did or did not."""
    error: event_pb2.Failure | None = None
    """Why the version can't answer."""


def version_name(model: str, version: int) -> str:
    """Return a version's full name."""
    return f"models/{model}/versions/{version}"


def get(connection: sa.Connection, model: str) -> model_pb2.Model | None:
    """Return a model, with its latest moves of `live`."""
    row = connection.execute(_models().where(models.c.name == model)).first()
    return None if row is None else _model(connection, *row, history=_HISTORY)


def page(connection: sa.Connection, request: PageRequest) -> Page[model_pb2.Model]:
    """Return a page of models, by name."""
    query = _models().order_by(models.c.name).limit(request.size + 1)
    if request.cursor:
        query = query.where(models.c.name > request.cursor)
    rows = ((str(row[0]), _model(connection, *row).SerializeToString()) for row in connection.execute(query).all())
    return cut(rows, request, model_pb2.Model.FromString)


def get_version(connection: sa.Connection, model: str, version: int) -> model_pb2.ModelVersion | None:
    """Return a version."""
    query = sa.select(versions.c.resource).where(versions.c.model == model, versions.c.version == version)
    resource = connection.execute(query).scalar()
    if resource is None:
        return None
    return _version(resource, aliases.live_version(connection, model), aliases.of_model(connection, model))


def version_page(connection: sa.Connection, request: PageRequest, model: str) -> Page[model_pb2.ModelVersion]:
    """Return a page of a model's versions, newest first."""
    query = (
        sa.select(versions.c.version, versions.c.resource)
        .where(versions.c.model == model)
        .order_by(versions.c.version.desc())
        .limit(request.size + 1)
    )
    if (before := request.number()) is not None:
        query = query.where(versions.c.version < before)
    live, names = aliases.live_version(connection, model), aliases.of_model(connection, model)
    rows = ((str(row[0]), bytes(row[1])) for row in connection.execute(query))
    return cut(rows, request, lambda resource: _version(resource, live, names))


def creators(connection: sa.Connection, model: str) -> dict[str, str]:
    """Return who made each version of a model, by its name."""
    rows = connection.execute(sa.select(versions.c.resource).where(versions.c.model == model))
    found = (model_pb2.ModelVersion.FromString(row[0]) for row in rows)
    return {version.name: version.creator for version in found}


def every_version(connection: sa.Connection, model: str | None = None) -> list[model_pb2.ModelVersion]:
    """Return all versions, or those of one model, by model and number; `live` is not set."""
    query = sa.select(versions.c.resource).order_by(versions.c.model, versions.c.version)
    if model is not None:
        query = query.where(versions.c.model == model)
    return [model_pb2.ModelVersion.FromString(resource) for resource in connection.execute(query).scalars()]


def loading(connection: sa.Connection, model: str) -> bool:
    """Tell whether a version of a model is being published."""
    query = sa.select(versions.c.version).where(versions.c.model == model, versions.c.state == LOADING).limit(1)
    return connection.execute(query).first() is not None


def reserve(connection: sa.Connection, model: str, job: str) -> tuple[int, Publication | None]:
    """Return the number of the version that a job makes, and what became of it where that is known already.

    Asking again gives the same answer.
    """
    now = time.time_ns()
    connection.exec_driver_sql("INSERT INTO models VALUES (?, ?) ON CONFLICT DO NOTHING", (model, now))
    query = sa.select(
        versions.c.version, versions.c.state, versions.c.resource, versions.c.went_live, versions.c.publish_reason
    ).where(versions.c.job == job)
    row = connection.execute(query).first()
    if row is None:
        version = next_version(connection, "model", model)
        resource = model_pb2.ModelVersion(name=version_name(model, version), state=LOADING, training_job=job)
        resource.create_time.GetCurrentTime()
        connection.execute(
            versions.insert().values(
                model=model, version=version, state=LOADING, job=job, resource=resource.SerializeToString()
            )
        )
        return version, None
    version = int(row[0])
    if row[4] is None:
        return version, None
    resource = model_pb2.ModelVersion.FromString(row[2])
    return version, Publication(
        model_version=resource.name,
        live=bool(row[3]),
        reason=str(row[4]),
        error=resource.error if resource.HasField("error") else None,
    )


def version_of_job(connection: sa.Connection, job: str) -> str | None:
    """Return the name of the version that a job made, READY or not; None: it made none."""
    row = connection.execute(sa.select(versions.c.model, versions.c.version).where(versions.c.job == job)).first()
    return None if row is None else version_name(str(row[0]), int(row[1]))


def settle(connection: sa.Connection, resource: model_pb2.ModelVersion, *, went_live: bool, reason: str) -> Publication:
    """Record that a version became READY or REJECTED, and move `live` to it if it shall."""
    _, model, _, version = resource.name.split("/")
    _replace(connection, model, int(version), resource, went_live=went_live, publish_reason=reason)
    if went_live:
        aliases.move_live(connection, model, int(version), actor=resource.training_job, reason=reason)
    return Publication(
        model_version=resource.name,
        live=went_live,
        reason=reason,
        error=resource.error if resource.HasField("error") else None,
    )


def reject(connection: sa.Connection, model: str, version: int, error: event_pb2.Failure) -> bool:
    """Record that a version can't answer any more; tell whether it still exists."""
    resource = get_version(connection, model, version)
    if resource is None:
        return False
    resource.state = REJECTED
    resource.error.CopyFrom(error)
    for derived in ("live", "aliases"):
        resource.ClearField(derived)
    _replace(connection, model, version, resource)
    return True


def reject_abandoned(connection: sa.Connection) -> None:
    """Reject versions that were being loaded for a job that has ended since, by an error of the service's own."""
    query = sa.select(versions.c.model, versions.c.version, versions.c.job).where(versions.c.state == LOADING)
    for model, version, job in connection.execute(query).all():
        made_by = jobs.get(connection, job.removeprefix("trainingJobs/"))
        if made_by is None or made_by.state in jobs.FINAL:
            failure = event_pb2.Failure(reason="PUBLISHING_FAILED", message="its publishing did not come to its end")
            reject(connection, model, version, failure)


def delete(connection: sa.Connection, model: str) -> None:
    """Delete a model with its versions and aliases."""
    connection.execute(models.delete().where(models.c.name == model))


def exists(connection: sa.Connection, model: str) -> bool:
    """Tell whether there is such a model."""
    return connection.execute(sa.select(models.c.name).where(models.c.name == model)).first() is not None


def names(connection: sa.Connection) -> list[str]:
    """Return the names of all models."""
    return list(connection.execute(sa.select(models.c.name).order_by(models.c.name)).scalars())


def delete_version(connection: sa.Connection, model: str, version: int) -> None:
    """Delete a version, and `live` where it points to it: to one that was rejected."""
    aliases.delete_live_at(connection, model, version)
    connection.execute(versions.delete().where(versions.c.model == model, versions.c.version == version))


def _models() -> sa.Select[Any]:
    count = sa.select(sa.func.count()).select_from(versions).where(versions.c.model == models.c.name)
    return sa.select(models.c.name, models.c.create_time_ns, count.scalar_subquery())


def _model(
    connection: sa.Connection, name: str, create_time_ns: int, count: int, *, history: int = 0
) -> model_pb2.Model:
    live, earlier = aliases.live_version(connection, name), aliases.earlier_live(connection, name)
    model = model_pb2.Model(
        name=f"models/{name}",
        live_version="" if live is None else version_name(name, live),
        version_count=count,
        create_time=Timestamp(),
        aliases=[
            model_pb2.ModelAlias(alias=alias, model_version=version_name(name, version))
            for alias, version in aliases.of_model(connection, name).items()
        ],
        live_history=[
            model_pb2.LiveChange(
                model_version=version_name(name, move.version), time=move.time, actor=move.actor, reason=move.reason
            )
            for move in (aliases.live_history(connection, name, history) if history else ())
        ],
        rollback_version="" if earlier is None else version_name(name, earlier.version),
    )
    model.create_time.FromNanoseconds(create_time_ns)
    return model


def _version(resource: bytes, live: int | None, names: dict[str, int]) -> model_pb2.ModelVersion:
    version = model_pb2.ModelVersion.FromString(resource)
    number = int(version.name.rpartition("/")[2])
    version.live = number == live
    version.aliases.extend(alias for alias, target in names.items() if target == number)
    return version


def _replace(
    connection: sa.Connection, model: str, version: int, resource: model_pb2.ModelVersion, **values: object
) -> None:
    connection.execute(
        versions.update()
        .where(versions.c.model == model, versions.c.version == version)
        .values(state=resource.state, resource=resource.SerializeToString(), **values)
    )
