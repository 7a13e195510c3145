"""A field of a request that can't be used, and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """One thing wrong with a request."""

    field: str
    """Dotted path of the field in the request, such as `optimizer.learning_rate`."""
    message: str
    """Fact, value and remedy."""
