"""How a task ends other than well."""


class TaskFailed(Exception):
    """The task can't be done; becomes the failure of the job or import."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """UPPER_SNAKE_CASE, stable."""
        self.message = message
        """Fact, value and remedy, for people."""


class EpochsReached(Exception):
    """The run that this one repeats was ended here, and its best epoch exported."""


class Cancelled(BaseException):
    """The service asked this process to stop. No `except Exception` of a library may swallow it."""
