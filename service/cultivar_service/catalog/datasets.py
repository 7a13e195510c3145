"""Records of data sets: an import and the version that it becomes are one record."""

from dataclasses import dataclass

import sqlalchemy as sa

from cultivar.v1 import dataset_pb2
from cultivar_contract.recipe import DatasetFacts
from cultivar_service.catalog.paging import Page, PageRequest, cut
from cultivar_service.catalog.references import DatasetReference
from cultivar_service.catalog.tables import datasets, next_version

SPLIT_NAMES = {dataset_pb2.SPLIT_TRAIN: "train", dataset_pb2.SPLIT_VAL: "val", dataset_pb2.SPLIT_TEST: "test"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """What an import's content will be known as."""

    version: int
    """Number of the version."""
    is_new: bool
    """False where an existing version has the same content."""


def insert(
    connection: sa.Connection,
    resource: dataset_pb2.Dataset,
    *,
    dataset: str,
    import_id: str,
    request_id: str,
    request_digest: str,
) -> None:
    """Add an import in state IMPORTING."""
    connection.execute(
        datasets.insert().values(
            dataset=dataset,
            import_id=import_id,
            state=resource.state,
            request_id=request_id or None,
            request_digest=request_digest,
            resource=resource.SerializeToString(),
        )
    )


def find(connection: sa.Connection, reference: DatasetReference) -> dataset_pb2.Dataset | None:
    """Return what a reference names; for a bare name the newest version, or the newest import where there is none."""
    query = sa.select(datasets.c.resource, datasets.c.resolved_to).where(datasets.c.dataset == reference.dataset)
    if reference.import_id:
        query = query.where(datasets.c.import_id == reference.import_id)
    elif reference.version is not None:
        # An import has taken its number before it is READY; a version whose files are gone has FAILED with its number.
        over = datasets.c.state != dataset_pb2.DATASET_STATE_IMPORTING
        query = query.where(datasets.c.version == reference.version, over)
    else:
        query = query.where(datasets.c.resolved_to.is_(None)).order_by(
            _is_ready().desc(), datasets.c.version.desc(), datasets.c.sequence.desc()
        )
    row = connection.execute(query.limit(1)).first()
    if row is not None and row[1] is not None:
        row = connection.execute(sa.select(datasets.c.resource).where(datasets.c.sequence == row[1])).first()
    return None if row is None else dataset_pb2.Dataset.FromString(row[0])


def by_request_id(connection: sa.Connection, request_id: str) -> tuple[str, str, str] | None:
    """Return data set, import and digest of the request that made an import."""
    query = sa.select(datasets.c.dataset, datasets.c.import_id, datasets.c.request_digest)
    row = connection.execute(query.where(datasets.c.request_id == request_id)).first()
    return None if row is None else (str(row[0]), str(row[1]), str(row[2]))


def page(connection: sa.Connection, request: PageRequest) -> Page[dataset_pb2.Dataset]:
    """Return a page of versions and imports, newest first."""
    query = (
        sa.select(datasets.c.sequence, datasets.c.resource)
        .where(datasets.c.resolved_to.is_(None))
        .order_by(datasets.c.sequence.desc())
        .limit(request.size + 1)
    )
    if (before := request.number()) is not None:
        query = query.where(datasets.c.sequence < before)
    rows = ((str(row[0]), bytes(row[1])) for row in connection.execute(query))
    return cut(rows, request, dataset_pb2.Dataset.FromString)


def ready(connection: sa.Connection) -> list[str]:
    """Return the full names of all READY versions."""
    query = (
        sa.select(datasets.c.dataset, datasets.c.version)
        .where(_is_ready(), datasets.c.resolved_to.is_(None))
        .order_by(datasets.c.sequence)
    )
    return [f"datasets/{dataset}/versions/{version}" for dataset, version in connection.execute(query)]


def by_digest(connection: sa.Connection, digest: str, preferred: str) -> str | None:
    """Return the full name of a READY version with this content: the preferred one where it has it."""
    rows = connection.execute(
        sa.select(datasets.c.dataset, datasets.c.version)
        .where(_is_ready(), datasets.c.digest == digest, datasets.c.resolved_to.is_(None))
        .order_by(datasets.c.sequence)
    )
    names = [f"datasets/{dataset}/versions/{version}" for dataset, version in rows]
    return preferred if preferred in names else next(iter(names), None)


def importing(connection: sa.Connection) -> list[str]:
    """Return the identifier of every import that is not over, oldest first."""
    query = (
        sa.select(datasets.c.import_id)
        .where(datasets.c.state == dataset_pb2.DATASET_STATE_IMPORTING)
        .order_by(datasets.c.sequence)
    )
    return [str(row[0]) for row in connection.execute(query)]


def upload_user(connection: sa.Connection, upload: str) -> str | None:
    """Return the name of an import that is not over and reads an upload, given by its full name."""
    query = sa.select(datasets.c.resource).where(datasets.c.state == dataset_pb2.DATASET_STATE_IMPORTING)
    found = (dataset_pb2.Dataset.FromString(row[0]) for row in connection.execute(query))
    return next((one.name for one in found if one.source.upload == upload), None)


def failed_imports(connection: sa.Connection) -> list[dataset_pb2.Dataset]:
    """Return the imports that ended without a version."""
    query = sa.select(datasets.c.resource).where(
        datasets.c.state == dataset_pb2.DATASET_STATE_FAILED, datasets.c.version.is_(None)
    )
    return [dataset_pb2.Dataset.FromString(resource) for resource in connection.execute(query).scalars()]


def get_importing(connection: sa.Connection, import_id: str) -> dataset_pb2.Dataset:
    """Return the record of an import that is not over."""
    query = sa.select(datasets.c.resource).where(datasets.c.import_id == import_id)
    return dataset_pb2.Dataset.FromString(connection.execute(query).scalar_one())


def update(connection: sa.Connection, import_id: str, resource: dataset_pb2.Dataset) -> None:
    """Replace a record."""
    connection.execute(
        datasets.update()
        .where(datasets.c.import_id == import_id)
        .values(state=resource.state, resource=resource.SerializeToString())
    )


def reserve(connection: sa.Connection, dataset: str, import_id: str, digest: str) -> Reservation:
    """Take the number of the version that an import becomes, or find the version that has the same content.

    Asking again gives the same answer.
    """
    row = connection.execute(
        sa.select(datasets.c.sequence, datasets.c.import_id, datasets.c.version).where(
            datasets.c.dataset == dataset, datasets.c.digest == digest, datasets.c.version.is_not(None)
        )
    ).first()
    own = datasets.update().where(datasets.c.import_id == import_id)
    if row is not None and row[1] == import_id:
        return Reservation(version=int(row[2]), is_new=True)
    if row is not None:
        connection.execute(own.values(resolved_to=row[0], state=dataset_pb2.DATASET_STATE_READY))
        return Reservation(version=int(row[2]), is_new=False)
    version = next_version(connection, "dataset", dataset)
    connection.execute(own.values(version=version, digest=digest))
    return Reservation(version=version, is_new=True)


def release(connection: sa.Connection, import_id: str) -> None:
    """Give up the number that an import had reserved."""
    connection.execute(datasets.update().where(datasets.c.import_id == import_id).values(version=None, digest=None))


def delete(connection: sa.Connection, name: str) -> None:
    """Delete the record of a version or a failed import, by its full name."""
    _, dataset, kind, key = name.split("/")
    column = datasets.c.version if kind == "versions" else datasets.c.import_id
    value = int(key) if kind == "versions" else key
    connection.execute(datasets.delete().where(datasets.c.dataset == dataset, column == value))


def facts(resource: dataset_pb2.Dataset) -> DatasetFacts:
    """Return what resolving a recipe needs to know of a version."""
    return DatasetFacts(
        name=resource.name,
        class_ids=tuple(one.id for one in resource.classes),
        counts={SPLIT_NAMES[one.split]: tuple(one.class_counts) for one in resource.splits},
    )


def _is_ready() -> sa.ColumnElement[bool]:
    return datasets.c.state == dataset_pb2.DATASET_STATE_READY
