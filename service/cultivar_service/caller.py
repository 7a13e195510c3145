"""Who asks, what they may do, and until when, as far as the parts behind the transport need to know."""

import enum
from dataclasses import dataclass

from cultivar_service.errors import PermissionDenied


class Scope(enum.IntEnum):
    """What a token allows. Each scope includes the ones before it."""

    PREDICT = 1
    """Ask models for predictions, and which models there are."""
    TRAIN = 2
    """Import data sets, train, evaluate, publish, read what jobs leave; cancel and delete what is one's own."""
    ADMIN = 3
    """Everything, also what others made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """One request's sender."""

    request_id: str
    """Made by the transport; also in its log lines."""
    name: str = ""
    """Name of the sender's token; empty where no tokens are asked for."""
    is_admin: bool = False
    """Whether what others made may be changed: by tokens of scope `admin`, and by everybody where there are none."""
    client: str = ""
    """Whom fairness goes by: requests of one client wait for each other before they wait for those of others."""
    deadline: float | None = None
    """When the client stops waiting, on the clock of `time.monotonic`; None: never."""

    def check_may_change(self, name: str, creator: str) -> None:
        """Check that the sender may cancel or delete a resource that `creator` made.

        Raises:
            PermissionDenied: another made it, and the sender is no admin.
        """
        if not self.is_admin and self.name != creator:
            made_by = f"made by {creator!r}" if creator else "made without a token"
            raise PermissionDenied(
                f"{name} was {made_by}, the token is {self.name!r}: use that token or one of scope admin",
                reason="NOT_CREATOR",
            )
