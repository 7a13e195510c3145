"""What the catalog has to say of uploads before one is made or read."""

import sqlalchemy as sa

from cultivar.v1 import dataset_pb2
from cultivar_service.catalog import uploads
from cultivar_service.catalog.references import parse_upload, upload_not_found
from cultivar_service.config import Config
from cultivar_service.errors import AlreadyExists, Exhausted, FailedPrecondition

RECEIVING = dataset_pb2.UPLOAD_STATE_RECEIVING
FINISHED = dataset_pb2.UPLOAD_STATE_FINISHED


def finished_upload(connection: sa.Connection, name: str, field: str) -> dataset_pb2.Upload:
    """Return an upload that can be read.

    Raises:
        InvalidRequest, NotFound: there is none of that name.
        FailedPrecondition: it is not finished.
    """
    found = uploads.find(connection, parse_upload(name, field))
    if found is None:
        raise upload_not_found(name, field)
    if found.state != FINISHED:
        raise FailedPrecondition(
            f"{found.name} is not finished, it has {found.received_bytes} of {found.size_bytes} bytes: send the rest "
            "and finish it",
            reason="UPLOAD_NOT_FINISHED",
        )
    return found


def repeated(request_id: str, first: dataset_pb2.Upload, asked: dataset_pb2.Upload) -> dataset_pb2.Upload:
    """Return the upload that a request_id has made, if it is the one that is asked for.

    Raises:
        AlreadyExists: it is another.
    """
    if (first.size_bytes, first.sha256) != (asked.size_bytes, asked.sha256):
        raise AlreadyExists(
            "upload",
            first.name,
            f"request_id {request_id!r} announced another archive: use a new request_id",
            reason="REQUEST_ID_REUSED",
        )
    return first


def check_share(config: Config, usage: uploads.Usage, size_bytes: int) -> None:
    """Check that somebody may announce another upload.

    Args:
        config: the limits.
        usage: what their uploads take.
        size_bytes: of the one that is to come.

    Raises:
        Exhausted: they have too many, or they take too much.
    """
    if usage.count >= config.max_uploads:
        raise Exhausted(f"{usage.count} uploads are yours already: import or delete some", reason="TOO_MANY_UPLOADS")
    if usage.size_bytes + size_bytes > config.max_uploads_bytes:
        raise Exhausted(
            f"your uploads take {usage.size_bytes} bytes and may take {config.max_uploads_bytes}, this one has "
            f"{size_bytes}: import or delete some",
            reason="UPLOAD_QUOTA",
        )
