"""Records of uploads: archives on their way to become data sets."""

from dataclasses import dataclass

import sqlalchemy as sa

from cultivar.v1 import dataset_pb2
from cultivar_service.catalog.tables import uploads


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the uploads of one creator take."""

    count: int
    """Uploads."""
    size_bytes: int
    """Size of all together, whether it has arrived or not."""


def insert(connection: sa.Connection, resource: dataset_pb2.Upload, *, request_id: str) -> None:
    """Add an upload."""
    connection.execute(
        uploads.insert().values(
            id=_id(resource),
            creator=resource.creator,
            size_bytes=resource.size_bytes,
            request_id=_own(resource.creator, request_id) if request_id else None,
            request_digest=resource.sha256,
            **_changing(resource),
        )
    )


def find(connection: sa.Connection, upload_id: str) -> dataset_pb2.Upload | None:
    """Return an upload."""
    row = connection.execute(sa.select(uploads.c.resource).where(uploads.c.id == upload_id)).first()
    return None if row is None else dataset_pb2.Upload.FromString(row[0])


def by_request_id(connection: sa.Connection, creator: str, request_id: str) -> dataset_pb2.Upload | None:
    """Return the upload that a creator's request made."""
    query = sa.select(uploads.c.resource).where(uploads.c.request_id == _own(creator, request_id))
    row = connection.execute(query).first()
    return None if row is None else dataset_pb2.Upload.FromString(row[0])


def update(connection: sa.Connection, resource: dataset_pb2.Upload) -> None:
    """Replace a record."""
    connection.execute(uploads.update().where(uploads.c.id == _id(resource)).values(**_changing(resource)))


def delete(connection: sa.Connection, upload_id: str) -> None:
    """Delete a record."""
    connection.execute(uploads.delete().where(uploads.c.id == upload_id))


def usage(connection: sa.Connection, creator: str) -> Usage:
    """Return what a creator's uploads take."""
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(uploads.c.size_bytes), 0))
    count, size_bytes = connection.execute(query.where(uploads.c.creator == creator)).one()
    return Usage(count=int(count), size_bytes=int(size_bytes))


def awaited_bytes(connection: sa.Connection) -> int:
    """Return how many bytes all uploads still lack."""
    rows = connection.execute(
        sa.select(uploads.c.resource).where(uploads.c.state == dataset_pb2.UPLOAD_STATE_RECEIVING)
    )
    found = (dataset_pb2.Upload.FromString(row[0]) for row in rows)
    return sum(one.size_bytes - one.received_bytes for one in found)


def expired(connection: sa.Connection, now_ns: int) -> list[str]:
    """Return the identifiers of uploads whose time is over."""
    query = sa.select(uploads.c.id).where(uploads.c.expire_ns <= now_ns)
    return [str(row[0]) for row in connection.execute(query)]


def identifiers(connection: sa.Connection) -> set[str]:
    """Return the identifiers of all uploads."""
    return {str(row[0]) for row in connection.execute(sa.select(uploads.c.id))}


def _id(resource: dataset_pb2.Upload) -> str:
    return resource.name.removeprefix("uploads/")


def _own(creator: str, request_id: str) -> str:
    # Two people who send the same archive may choose the same request_id, such as one made of its digest.
    return f"{creator}\n{request_id}"


def _changing(resource: dataset_pb2.Upload) -> dict[str, object]:
    return {
        "state": resource.state,
        "expire_ns": resource.expire_time.ToNanoseconds(),
        "resource": resource.SerializeToString(),
    }
