"""Checks of fields that several requests share."""

import math

from cultivar.v1 import study_pb2, training_pb2
from cultivar_service.errors import InvalidRequest

_MAX_REQUEST_ID = 128
_HEARTBEAT_S = 15.0
_SHORTEST_HEARTBEAT_S, _LONGEST_HEARTBEAT_S = 1.0, 3600.0


def check_request_id(text: str) -> str:
    """Return a request_id.

    Raises:
        InvalidRequest: it is too long.
    """
    if len(text) > _MAX_REQUEST_ID:
        raise InvalidRequest.at("request_id", f"has {len(text)} characters: use at most {_MAX_REQUEST_ID}")
    return text


def check_not_negative(value: int, field: str) -> int:
    """Return a position.

    Raises:
        InvalidRequest: it is negative.
    """
    if value < 0:
        raise InvalidRequest.at(field, f"{value} is negative: use 0 or more")
    return value


def check_heartbeat(
    request: training_pb2.WatchTrainingJobRequest
    | training_pb2.StreamTrainingLogsRequest
    | study_pb2.WatchTrainingStudyRequest,
) -> float:
    """Return the quiet seconds after which a stream tells that it lives; infinite: never.

    Raises:
        InvalidRequest: they are too few or too many, or no number.
    """
    if not request.HasField("heartbeat_seconds"):
        return _HEARTBEAT_S
    if request.heartbeat_seconds == 0:
        return math.inf
    if not _SHORTEST_HEARTBEAT_S <= request.heartbeat_seconds <= _LONGEST_HEARTBEAT_S:
        raise InvalidRequest.at(
            "heartbeat_seconds",
            f"{request.heartbeat_seconds:g}: use {_SHORTEST_HEARTBEAT_S:g} to {_LONGEST_HEARTBEAT_S:g}, or 0 for none",
        )
    return float(request.heartbeat_seconds)
