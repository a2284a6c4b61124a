"""Letters: each goes to the stream of its subject, with its id, and is confirmed."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from sluice_contracts.facts import FACTS, Fact
from sluice_contracts.tasks import TASKS as TASK_TYPES
from sluice_contracts.tasks import Task, TranscriptionTask
from sluice_contracts.topology import EVENTS, TASKS, stream_of
from sluice_runtime.publish import Letter, publish

CALL = TranscriptionTask(
    call_id=UUID(int=1),
    s3_bucket="media",
    s3_key="k",
    format="wav",
    timestamp=datetime(2026, 11, 20, tzinfo=UTC),
)


@dataclass
class FakeBus:
    """A connection that keeps what was published, or never confirms it."""

    published: list[tuple[str, bytes, dict[str, Any]]] = field(default_factory=list)
    confirms: bool = True

    def jetstream(self, **_: Any) -> "FakeBus":
        return self

    async def publish(self, subject: str, body: bytes, **more: Any) -> None:
        if not self.confirms:
            raise TimeoutError
        self.published.append((subject, body, more))


def letter(subject: str) -> Letter:
    return Letter(subject, b"{}", {"Nats-Msg-Id": "e1"})


@pytest.mark.parametrize("fact", FACTS)
def test_facts_are_kept_with_the_events(fact: type[Fact]) -> None:
    assert stream_of(fact.pattern()) is EVENTS


@pytest.mark.parametrize("task", TASK_TYPES)
def test_tasks_are_kept_on_the_work_queue(task: type[Task]) -> None:
    assert stream_of(task.pattern()) is TASKS


@pytest.mark.parametrize("priority", ["normal", "high"])
def test_the_subject_of_a_task_says_how_urgent_it_is(priority: Any) -> None:
    subject = CALL.subject(priority)
    assert subject == f"sluice.task.v1.transcription.{priority}.{UUID(int=1)}"
    assert subject.startswith(CALL.pattern().removesuffix(">"))
    assert stream_of(subject) is TASKS


@pytest.mark.parametrize(
    ("subject", "stream"),
    [(CALL.subject(), TASKS.name), ("sluice.v1.dev.object.stored.upl_1", EVENTS.name)],
)
async def test_a_letter_is_confirmed_by_the_stream_of_its_subject(
    subject: str, stream: str
) -> None:
    bus: Any = FakeBus()
    await publish(bus, letter(subject))
    ((to, body, more),) = bus.published
    assert (to, body) == (subject, b"{}")
    assert more["stream"] == stream
    assert more["headers"] == {"Nats-Msg-Id": "e1"}


async def test_a_letter_nobody_confirms_is_not_published() -> None:
    bus: Any = FakeBus(confirms=False)
    with pytest.raises(TimeoutError):
        await publish(bus, letter(CALL.subject()))
