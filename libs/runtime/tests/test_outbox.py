"""The outbox: facts and tasks as the rows the relay publishes."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import MetaData

from sluice_contracts.envelope import Envelope
from sluice_contracts.facts import ObjectDeleted
from sluice_contracts.tasks import TranscriptionTask
from sluice_runtime.database import Outbox, outbox_table
from sluice_runtime.trace import new_trace, tracing

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TABLE = outbox_table(MetaData())
TASK = TranscriptionTask(
    call_id=UUID(int=1), s3_bucket="media", s3_key="k", format="wav", timestamp=NOW
)
FACT = ObjectDeleted(tenant="dev", upload_id="upl_00000001", key="k")


class FakeSession:
    """Keeps what is written as rows."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    async def write(self, table: str, sql: str, parameters: Mapping[str, Any]) -> None:
        assert table == "outbox"
        self.rows += json.loads(parameters["rows"])


def outbox() -> tuple[Outbox, FakeSession]:
    session: Any = FakeSession()
    return Outbox(session, TABLE, "catalog"), session


async def test_a_task_is_a_row_with_all_that_its_worker_needs() -> None:
    box, session = outbox()
    box.add_task(TASK, tenant="dev", priority="high")
    await box.flush()
    (row,) = session.rows
    assert row["subject"] == f"sluice.task.v1.transcription.high.{UUID(int=1)}"
    assert row["aggregate_id"] == str(UUID(int=1))
    assert TranscriptionTask.model_validate_json(row["payload"]) == TASK
    headers = row["headers"]
    assert headers["Nats-Msg-Id"] == row["event_id"]
    assert headers["content-type"] == "application/json"
    assert (headers["task_type"], headers["priority"]) == ("transcription", "high")
    assert headers["tenant"] == "dev"


async def test_a_task_is_normal_unless_it_is_said_to_be_urgent() -> None:
    box, session = outbox()
    box.add_task(TASK, tenant="dev")
    await box.flush()
    (row,) = session.rows
    assert row["headers"]["priority"] == "normal"
    assert ".normal." in row["subject"]


async def test_a_task_carries_the_trace_of_what_led_to_it() -> None:
    box, session = outbox()
    trace = new_trace({"sluice-correlation-id": "who-asked"})
    with tracing(trace):
        box.add_task(TASK, tenant="dev")
    await box.flush()
    headers = session.rows[0]["headers"]
    assert headers["sluice-correlation-id"] == "who-asked"
    assert headers["traceparent"] == trace.traceparent


async def test_the_same_work_said_twice_is_two_tasks() -> None:
    """A task that is done again must not be taken for a repeat of the first one."""
    box, session = outbox()
    for _ in range(2):
        box.add_task(TASK, tenant="dev")
    await box.flush()
    assert len({row["event_id"] for row in session.rows}) == 2


async def test_facts_and_tasks_leave_in_the_order_they_were_said() -> None:
    box, session = outbox()
    box.add(FACT, at=NOW)
    box.add_task(TASK, tenant="dev")
    box.add(FACT, at=NOW)
    await box.flush()
    words = [row["subject"].split(".")[1] for row in session.rows]
    assert words == ["v1", "task", "v1"]


async def test_a_fact_leaves_in_its_envelope() -> None:
    box, session = outbox()
    box.add(FACT, at=NOW)
    await box.flush()
    (row,) = session.rows
    envelope = Envelope.from_headers(row["headers"])
    assert (envelope.id, envelope.source, envelope.tenant) == (
        row["event_id"],
        "/sluice/catalog",
        "dev",
    )
    assert (row["subject"], row["aggregate_id"]) == (FACT.subject(), FACT.upload_id)


async def test_what_was_written_is_not_written_again() -> None:
    box, session = outbox()
    box.add_task(TASK, tenant="dev")
    await box.flush()
    await box.flush()
    assert len(session.rows) == 1
