"""Who asks, and until when, as far as the parts behind the transport need to know."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """One request's sender."""

    request_id: str
    """Made by the transport; also in its log lines."""
    client: str = ""
    """Whom fairness goes by: requests of one client wait for each other before they wait for those of others."""
    deadline: float | None = None
    """When the client stops waiting, on the clock of `time.monotonic`; None: never."""
