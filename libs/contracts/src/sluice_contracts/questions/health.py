"""Whether what a service depends on works right now."""

from sluice_contracts.base import Contract
from sluice_contracts.questions.base import Question


class PartState(Contract):
    """Whether something a service depends on works right now."""

    works: bool


class CheckDatabase(Question[PartState]):
    SERVICE, ENTITY, VERB, ANSWER = "catalog", "health", "check", PartState


class CheckStore(Question[PartState]):
    """Can an object be written and removed?"""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "health", "check", PartState
