"""From a domain error to a gRPC status with machine-readable details: the one place that knows both."""

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from cultivar_service.errors import CultivarError

DOMAIN = "cultivar"
_MAX_MESSAGE_BYTES = 600
_MAX_VIOLATION_CHARACTERS = 300
_MAX_DETAILS_BYTES = 1500
"""Trailers share 8 KiB with the message and what proxies add."""


def code_of(error: CultivarError) -> grpc.StatusCode:
    """Return an error's status code."""
    return grpc.StatusCode[error.status.name]


def message_of(error: CultivarError) -> str:
    """Return an error's message, of bounded size."""
    return _cut(error.message)


def metadata_of(error: CultivarError) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata that carries an error's details."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)]
    if error.resource is not None:
        kind, name = error.resource
        details.append(error_details_pb2.ResourceInfo(resource_type=kind, resource_name=name))
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(error.retry_after_s * 1000))
        details.append(retry)
    if error.violations:
        details.append(_bad_request(error))
    return _pack(code_of(error), message_of(error), details)


def internal(request_id: str) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """Return message and metadata for an error that nobody foresaw: its number, and nothing from inside."""
    message = f"internal error: the service's log has more under request {request_id}"
    details = [
        error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN),
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    return message, _pack(grpc.StatusCode.INTERNAL, message, details)


def _bad_request(error: CultivarError) -> error_details_pb2.BadRequest:
    bad_request = error_details_pb2.BadRequest()
    for violation in error.violations:
        bad_request.field_violations.add(
            field=violation.field[:_MAX_VIOLATION_CHARACTERS], description=violation.message[:_MAX_VIOLATION_CHARACTERS]
        )
        if bad_request.ByteSize() > _MAX_DETAILS_BYTES:
            del bad_request.field_violations[-1]
            break
    return bad_request


def _pack(code: grpc.StatusCode, message: str, details: list[Message]) -> tuple[tuple[str, bytes], ...]:
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _cut(text: str) -> str:
    data = text.encode()
    return text if len(data) <= _MAX_MESSAGE_BYTES else data[: _MAX_MESSAGE_BYTES - 3].decode(errors="ignore") + "..."
