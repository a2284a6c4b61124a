"""What can go wrong for a command, and the exit code that says so."""

from collections.abc import Sequence
from typing import ClassVar

from sluice_contracts.api import Problem

ALL_DONE = 0
SOME_FAILED = 1
USAGE = 2
REFUSED = 3
NETWORK = 4
INTEGRITY = 5
INTERRUPTED = 130


class CommandError(Exception):
    """A planned failure of a command: a message for people and an exit code for programs."""

    exit_code: ClassVar[int]
    code: str


class UsageError(CommandError):
    """The command was called in a way that cannot work."""

    exit_code = USAGE
    code = "usage"


class RefusedError(CommandError):
    """Sluice understood and said no. `code` is the stable one of its problem."""

    exit_code = REFUSED

    def __init__(self, code: str, detail: str, status: int | None = None) -> None:
        super().__init__(f"{detail} ({code})")
        self.code = code
        self.detail = detail
        self.status = status

    @classmethod
    def from_problem(cls, problem: Problem) -> "RefusedError":
        fields = "; ".join(f"{error.field}: {error.reason}" for error in problem.errors)
        detail = f"{problem.detail} [{fields}]" if fields else problem.detail
        return cls(problem.code, detail, problem.status)


class NetworkError(CommandError):
    """No usable answer: nobody there, cut off, or a server that cannot answer now."""

    exit_code = NETWORK
    code = "network"


class IntegrityError(CommandError):
    """The bytes sent, or the lists compared, are not what they have to be."""

    exit_code = INTEGRITY
    code = "integrity"


def combined(codes: Sequence[int]) -> int:
    """One exit code for several items: the common one, or `SOME_FAILED` when they differ."""
    kinds = set(codes) or {ALL_DONE}
    return kinds.pop() if len(kinds) == 1 else SOME_FAILED
