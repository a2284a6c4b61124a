"""The four kinds of planned failure. Any other exception is a bug.

The kind decides what happens: which HTTP status the gateway answers, and whether a message is
retried. The code is stable and made for programs; the message is for people.
"""

from typing import ClassVar

from sluice_contracts.questions import Failure, FailureDetail


class SluiceError(Exception):
    """A failure that was foreseen.

    `code` is stable; `retry_after_seconds` says when repeating the same request makes sense.
    """

    failure: ClassVar[Failure]
    code: str = "error"

    def __init__(
        self, detail: str, *, code: str | None = None, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code or self.code
        self.retry_after_seconds = retry_after_seconds

    def detail(self) -> FailureDetail:
        """This failure as it travels between services."""
        return FailureDetail(
            failure=self.failure,
            code=self.code,
            detail=str(self),
            retry_after_seconds=self.retry_after_seconds,
        )


class NotFound(SluiceError):
    """There is no such thing, or it belongs to somebody else."""

    failure = Failure.NOT_FOUND
    code = "not-found"


class Conflict(SluiceError):
    """The request is fine and the state of things forbids it."""

    failure = Failure.CONFLICT
    code = "conflict"


class Rejected(SluiceError):
    """The request can never succeed as it is."""

    failure = Failure.REJECTED
    code = "rejected"


class Unavailable(SluiceError):
    """Something Sluice needs is away; repeating the same request later is safe."""

    failure = Failure.UNAVAILABLE
    code = "unavailable"

    def __init__(
        self, detail: str, *, code: str | None = None, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(detail, code=code, retry_after_seconds=retry_after_seconds or 2)


_KINDS: dict[Failure, type[SluiceError]] = {
    kind.failure: kind for kind in (NotFound, Conflict, Rejected, Unavailable)
}


def revive(failure: FailureDetail) -> SluiceError:
    """The error another service answered with. Its bugs are our unavailability."""
    kind = _KINDS.get(failure.failure, Unavailable)
    return kind(failure.detail, code=failure.code, retry_after_seconds=failure.retry_after_seconds)
