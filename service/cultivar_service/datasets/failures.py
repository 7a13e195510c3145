"""How an import ends that makes no version."""

from cultivar.v1 import event_pb2
from cultivar_contract import files

_MAX_MESSAGE = 2000


class ImportFailed(Exception):
    """An import can't go on; its failure is what the record will show."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.failure = event_pb2.Failure(reason=reason, message=message[:_MAX_MESSAGE])

    @classmethod
    def by_os(cls, what: str, error: OSError, *, reason: str) -> "ImportFailed":
        """Say what the operating system did not do: for want of disk, or for the reason that is given."""
        reason = "INSUFFICIENT_DISK" if files.is_disk_full(error) else reason
        return cls(reason, f"{what}: {error.strerror or type(error).__name__}")
