"""Asked of the notifier: the public event log."""

from typing import Annotated

from pydantic import Field

from sluice_contracts.base import Contract, Moment, Token
from sluice_contracts.facts import StatusChanged
from sluice_contracts.questions.base import Question


class LogEntry(Contract):
    """A status change in the public log; `sequence` counts those of one tenant without a gap."""

    sequence: int
    id: str
    type: str
    time: Moment
    correlation_id: str | None = None
    data: StatusChanged


class LogEntries(Contract):
    """A stretch of the log. `last` is the newest sequence there is; `read_to` how far this went."""

    entries: tuple[LogEntry, ...]
    read_to: int
    last: int


class ListEvents(Question[LogEntries]):
    """The log of one tenant after a sequence; types and ids narrow it."""

    SERVICE, ENTITY, VERB, ANSWER = "notifier", "event", "list", LogEntries

    tenant: Token
    after: Annotated[int, Field(ge=0, le=2**63 - 1)]
    limit: Annotated[int, Field(ge=1, le=200)]
    types: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
