"""The shape of a question, of a failure, and of an answer that has nothing to say."""

from enum import StrEnum
from typing import ClassVar, Generic, TypeVar

from sluice_contracts.base import Contract

A = TypeVar("A", bound=Contract)


class Question(Contract, Generic[A]):
    """Something asked of one service; `ANSWER` is the model that comes back."""

    SERVICE: ClassVar[str]
    ENTITY: ClassVar[str]
    VERB: ClassVar[str]
    ANSWER: ClassVar[type[Contract]]

    @classmethod
    def subject(cls) -> str:
        return f"sluice.rpc.v1.{cls.SERVICE}.{cls.ENTITY}.{cls.VERB}"


class Failure(StrEnum):
    """The four kinds of planned failure, and the one nobody planned."""

    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    BUG = "bug"


class FailureDetail(Contract):
    """Why a question was not answered. `code` is stable; `detail` is for people."""

    failure: Failure
    code: str
    detail: str
    retry_after_seconds: int | None = None


class Done(Contract):
    """The answer of a command that has nothing else to say."""
