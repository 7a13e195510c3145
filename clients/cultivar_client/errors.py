"""The one error that calls of the service raise, made from a gRPC status and its details."""

from collections.abc import Mapping, Sequence

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


class CultivarError(Exception):
    """A call failed: the service refused it, could not be reached, or sent what can't be used.

    `code` is the name of the gRPC status, such as `NOT_FOUND`; `message` is for people; `reason` is UPPER_SNAKE_CASE
    and stable, empty where the service gave none; `field_violations` are pairs of field path and description;
    `metadata` are the error's further facts. The gRPC error, where there was one, is `__cause__`.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str = "",
        field_violations: Sequence[tuple[str, str]] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.field_violations = list(field_violations)
        self.metadata = dict(metadata or {})

    def __repr__(self) -> str:
        return f"CultivarError({self.message!r}, code={self.code!r}, reason={self.reason!r})"


def error_from_rpc(error: grpc.aio.AioRpcError, address: str) -> CultivarError:
    """Returns the CultivarError that says what a gRPC error said; `address` is the service that was called."""
    code = error.code()
    status = _status_details(error)
    if status is None:
        return CultivarError(_plain_message(error, address), code=code.name)
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    for detail in status.details:
        # Unpack answers False and changes nothing where the detail is of another kind.
        detail.Unpack(info)
        detail.Unpack(bad_request)
    return CultivarError(
        status.message,
        code=code.name,
        reason=info.reason,
        field_violations=[(violation.field, violation.description) for violation in bad_request.field_violations],
        metadata=info.metadata,
    )


def _status_details(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    try:
        return rpc_status.from_call(error)
    except ValueError:
        # The details contradict the status: a proxy rewrote one of them, so only the status can be trusted.
        return None


def _plain_message(error: grpc.aio.AioRpcError, address: str) -> str:
    details = error.details() or "no details"
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return (
            f"no service answers at {address} ({details}): start one with `cultivar-service`, "
            "or name another address with --address or CULTIVAR_ADDRESS; one that speaks TLS needs --tls or --tls-ca"
        )
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"the service at {address} did not answer in time ({details})"
    return details
