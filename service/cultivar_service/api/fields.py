"""Checks of fields that several requests share."""

from cultivar_service.errors import InvalidRequest

_MAX_REQUEST_ID = 128


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
