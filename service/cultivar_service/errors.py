"""Everything that can go wrong with a request, as a tree; each error knows the status that it is answered with.

CultivarError
├── Unauthenticated         UNAUTHENTICATED
├── PermissionDenied        PERMISSION_DENIED
├── InvalidRequest          INVALID_ARGUMENT
│   └── OutOfRange          OUT_OF_RANGE
│       └── OffsetMismatch
├── NotBuilt                UNIMPLEMENTED
├── NotFound                NOT_FOUND
├── AlreadyExists           ALREADY_EXISTS
├── FailedPrecondition      FAILED_PRECONDITION
│   └── TrainerNotInstalled
├── Aborted                 ABORTED
├── Exhausted               RESOURCE_EXHAUSTED
│   ├── QueueFull
│   └── InsufficientDisk
├── DeadlineExceeded        DEADLINE_EXCEEDED
└── Unavailable             UNAVAILABLE
    └── Draining

StartupRefused              the service does not start; no request is involved
"""

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from cultivar_contract.violations import Violation

_MAX_SHOWN = 80


class Status(enum.Enum):
    """Status codes by the names that every transport knows."""

    UNAUTHENTICATED = enum.auto()
    PERMISSION_DENIED = enum.auto()
    INVALID_ARGUMENT = enum.auto()
    OUT_OF_RANGE = enum.auto()
    UNIMPLEMENTED = enum.auto()
    NOT_FOUND = enum.auto()
    ALREADY_EXISTS = enum.auto()
    FAILED_PRECONDITION = enum.auto()
    ABORTED = enum.auto()
    RESOURCE_EXHAUSTED = enum.auto()
    DEADLINE_EXCEEDED = enum.auto()
    UNAVAILABLE = enum.auto()


class CultivarError(Exception):
    """A request that can't be answered as asked."""

    status: ClassVar[Status]
    reason: str
    """UPPER_SNAKE_CASE, stable, for programs."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        violations: Sequence[Violation] = (),
        resource: tuple[str, str] | None = None,
        retry_after_s: float | None = None,
        metadata: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.message = message
        """Fact, value and remedy, for people."""
        self.reason = reason
        self.violations = tuple(violations)
        """Fields of the request that caused it."""
        self.resource = resource
        """Type and name of the resource that it is about."""
        self.retry_after_s = retry_after_s
        """Seconds after which the same request may succeed."""
        self.metadata = metadata
        """Further facts, for programs."""


class Unauthenticated(CultivarError):
    """The sender did not prove who they are."""

    status = Status.UNAUTHENTICATED


class PermissionDenied(CultivarError):
    """The sender is known and may not do this."""

    status = Status.PERMISSION_DENIED


class InvalidRequest(CultivarError):
    """Fields of the request can't be used, whatever the service's state."""

    status = Status.INVALID_ARGUMENT

    def __init__(
        self,
        violations: Sequence[Violation],
        *,
        reason: str = "INVALID_FIELD",
        metadata: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(_describe(violations), reason=reason, violations=violations, metadata=metadata)

    @classmethod
    def at(cls, field: str, message: str, *, reason: str = "INVALID_FIELD") -> "InvalidRequest":
        """Make the error of one field."""
        return cls([Violation(field=field, message=message)], reason=reason)


class OutOfRange(InvalidRequest):
    """A position lies behind the end of what it points into."""

    status = Status.OUT_OF_RANGE


class OffsetMismatch(OutOfRange):
    """A chunk does not begin where the one before ended."""

    def __init__(self, offset: int, expected: int) -> None:
        message = f"{offset} is not where the next chunk is due: send from byte {expected} on"
        super().__init__(
            [Violation(field="offset", message=message)],
            reason="OFFSET_MISMATCH",
            metadata={"expected_offset": str(expected)},
        )


class NotBuilt(CultivarError):
    """The request sets fields whose feature is not built yet."""

    status = Status.UNIMPLEMENTED

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(_describe(violations), reason="NOT_BUILT_YET", violations=violations)


class NotFound(CultivarError):
    """The request names something that does not exist."""

    status = Status.NOT_FOUND

    def __init__(self, kind: str, name: str, *, field: str, remedy: str) -> None:
        fact = f"{kind} {shown(name)} does not exist: {remedy}"
        super().__init__(
            fact,
            reason=f"{kind.upper().replace(' ', '_')}_NOT_FOUND",
            violations=[Violation(field=field, message=fact)],
            resource=(kind, name[:_MAX_SHOWN]),
        )


class AlreadyExists(CultivarError):
    """The request's identifier was used for something else."""

    status = Status.ALREADY_EXISTS

    def __init__(self, kind: str, name: str, message: str, *, reason: str) -> None:
        super().__init__(message, reason=reason, resource=(kind, name))


class FailedPrecondition(CultivarError):
    """The request is fine; the state of what it names is not."""

    status = Status.FAILED_PRECONDITION


class TrainerNotInstalled(FailedPrecondition):
    """This installation can serve models but not make them."""

    def __init__(self) -> None:
        super().__init__(
            "no trainer is installed beside this service: install cultivar[trainer] or use the image `gpu`",
            reason="TRAINER_NOT_INSTALLED",
        )


class Aborted(CultivarError):
    """Somebody else was faster; what the request relied on is no longer so."""

    status = Status.ABORTED


class Exhausted(CultivarError):
    """Something is used up for now."""

    status = Status.RESOURCE_EXHAUSTED


class QueueFull(Exhausted):
    """As much work is waiting as may wait."""

    def __init__(self, message: str, *, retry_after_s: float, hold_s: float = 0.0) -> None:
        super().__init__(message, reason="QUEUE_FULL", retry_after_s=retry_after_s)
        self.hold_s = hold_s
        """Seconds that the refusal is better held back: who tries again at once costs the others time."""


class InsufficientDisk(Exhausted):
    """The disk is too full to start something that writes."""

    def __init__(self, free_bytes: int, needed_bytes: int) -> None:
        super().__init__(
            f"{free_bytes >> 20} MiB of disk are free, {needed_bytes >> 20} MiB are needed: "
            "delete data sets, jobs or model versions",
            reason="INSUFFICIENT_DISK",
            retry_after_s=60,
        )


class DeadlineExceeded(CultivarError):
    """The work took longer than it may."""

    status = Status.DEADLINE_EXCEEDED


class Unavailable(CultivarError):
    """The service can't answer right now; another try may succeed."""

    status = Status.UNAVAILABLE


class Draining(Unavailable):
    """The service is shutting down and takes no new work."""

    def __init__(self) -> None:
        super().__init__("the service is shutting down: try again", reason="DRAINING", retry_after_s=2)


class StartupRefused(Exception):
    """The service must not start like this; the message says why and what to do."""

    def __init__(self, message: str, *, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status
        """2 where the configuration is at fault, else 1."""


def shown(text: str) -> str:
    """Quote a client's text for a message, shortened."""
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "...")


def required(value: str, field: str) -> str:
    """Return a required text.

    Raises:
        InvalidRequest: it is empty.
    """
    if not value:
        raise InvalidRequest.at(field, "is required")
    return value


def _describe(violations: Sequence[Violation]) -> str:
    text = "; ".join(f"{one.field}: {one.message}" for one in violations[:3])
    return text if len(violations) <= 3 else f"{text}; and {len(violations) - 3} more"
