"""Who asks, as far as api objects need to know."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """One request's sender."""

    request_id: str
    """Made by the transport; also in its log lines."""
