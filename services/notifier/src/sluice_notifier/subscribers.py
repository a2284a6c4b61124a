"""What the notifier answers."""

from functools import partial

from faststream.nats import NatsBroker

from sluice_contracts.questions import ListEvents
from sluice_notifier import usecases
from sluice_notifier.ports import Deps
from sluice_runtime.rpc import Answers


def bind(broker: NatsBroker, deps: Deps) -> None:
    """Connect every subject to its use case."""
    answers = Answers(broker, "notifier")
    answers.to(ListEvents, partial(usecases.list_events, deps=deps))
