"""Calls: born once with their task, worked on in order, and gone for good when deleted."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_catalog.domain import IllegalTransition
from sluice_catalog.usecases.calls import delete_call, get_call, get_call_history, list_calls
from sluice_catalog.usecases.objects import take_news
from sluice_catalog.usecases.status import report_status
from sluice_contracts.envelope import wrap
from sluice_contracts.facts import CallUpload, ObjectDiscarded, ObjectStored, StoredBytes
from sluice_contracts.questions import (
    DeleteCall,
    GetCall,
    GetCallHistory,
    ListCalls,
    ReportStatus,
)
from sluice_contracts.statuses import CallStatus, Kind
from sluice_contracts.tasks import TranscriptionTask
from sluice_runtime.errors import NotFound

from .fakes import NOW, FakeWorld

ROAD = ["transcribing", "transcribed", "analyzing", "completed"]


def call_id(n: int = 1) -> UUID:
    return UUID(int=n)


def stored(n: int = 1, **told: Any) -> ObjectStored:
    registration = CallUpload(
        **{
            "call_id": call_id(n),
            "filename": "call.mp3",
            "format": "mp3",
            "company_name": "Acme",
            "contact_email": "a@example.com",
            "call_type": "demo",
            "created_at": NOW - timedelta(seconds=n),
            "created_by": "key:sales",
            **told,
        }
    )
    return ObjectStored(
        tenant="dev",
        upload_id=f"upl_{call_id(n).hex}",
        bytes=StoredBytes(
            bucket="media",
            key=f"2026/11/20/{n}.mp3",
            size_bytes=1,
            sha256=hashlib.sha256(b"x").hexdigest(),
            content_type="audio/mpeg",
        ),
        etag="e",
        registration=registration,
        stored_at=NOW,
        reply_to="sluice.live.v1.reply.i.x",
    )


async def hear(world: FakeWorld, *facts: ObjectStored, prefix: str = "first") -> None:
    events = [
        wrap(fact, event_id=f"{prefix}-{fact.upload_id}", source="storage", at=NOW)
        for fact in facts
    ]
    await take_news(events, world.deps())  # type: ignore[arg-type]


async def report(world: FakeWorld, *statuses: str, n: int = 1, tenant: str = "dev") -> None:
    for status in statuses:
        asked = ReportStatus(
            tenant=tenant, kind=Kind.CALL, id=str(call_id(n)), status=status, actor="worker"
        )
        await report_status(asked, world.deps())


def answers(world: FakeWorld) -> list[str]:
    return [said.state for _, said in world.replies]


class TestBirth:
    async def test_stored_bytes_become_a_call_with_a_task(self) -> None:
        world = FakeWorld()
        await hear(world, stored(1, priority="high"), stored(2))
        assert world.steps(str(call_id(1))) == world.steps(str(call_id(2))) == ["uploaded"]
        expected = TranscriptionTask(
            call_id=call_id(1),
            s3_bucket="media",
            s3_key="2026/11/20/1.mp3",
            format="mp3",
            timestamp=NOW,
        )
        assert world.tasks()[0] == expected
        assert [(one.tenant, one.priority) for one in world.tables.tasks] == [
            *(("dev", "high"), ("dev", "normal")),
        ]
        assert answers(world) == ["registered", "registered"]

    async def test_what_is_told_twice_makes_one_call_with_one_task(self) -> None:
        world = FakeWorld()
        await hear(world, stored(1), stored(1))
        await hear(world, stored(1))
        await hear(world, stored(1, company_name="Another"), prefix="reconciled")
        assert len(world.tasks()) == 1
        assert world.tables.calls[call_id()].company_name == "Acme"
        assert world.steps(str(call_id())) == ["uploaded"]


class TestReading:
    async def test_pages_end_where_the_calls_do(self) -> None:
        world = FakeWorld()
        await hear(world, *(stored(n) for n in range(1, 6)))
        page = await list_calls(ListCalls(tenant="dev", limit=3), world.deps())
        assert [one.call_id.int for one in page.calls] == [1, 2, 3]
        rest = await list_calls(ListCalls(tenant="dev", limit=3, after=page.next), world.deps())
        assert ([one.call_id.int for one in rest.calls], rest.next) == ([4, 5], None)

    async def test_a_stranger_finds_nothing(self) -> None:
        world = FakeWorld()
        await hear(world, stored())
        for look in (
            get_call(GetCall(tenant="other", call_id=call_id()), world.deps()),
            get_call_history(GetCallHistory(tenant="other", call_id=call_id()), world.deps()),
            delete_call(DeleteCall(tenant="other", call_id=call_id()), world.deps()),
            report(world, "transcribing", tenant="other"),
        ):
            with pytest.raises(NotFound):
                await look
        assert world.steps(str(call_id())) == ["uploaded"]


class TestStatus:
    async def test_a_call_is_worked_through_step_by_step(self) -> None:
        world = FakeWorld()
        await hear(world, stored())
        world.now = NOW + timedelta(minutes=1)
        await report(world, *ROAD, "completed")
        assert world.steps(str(call_id())) == ["uploaded", *ROAD]
        one = world.tables.calls[call_id()]
        assert (one.status, one.updated_at) == (CallStatus.COMPLETED, world.now)
        asked = GetCallHistory(tenant="dev", call_id=call_id())
        found = await get_call_history(asked, world.deps())
        assert [step.status for step in found.steps] == ["uploaded", *ROAD]
        assert [step.actor for step in found.steps] == ["key:sales", *["worker"] * 4]
        assert len(world.tasks()) == 1

    async def test_a_step_that_is_left_out_is_refused_and_changes_nothing(self) -> None:
        world = FakeWorld()
        await hear(world, stored())
        for status in ("transcribed", "analyzing", "completed"):
            with pytest.raises(IllegalTransition):
                await report(world, status)
        assert world.steps(str(call_id())) == ["uploaded"]

    async def test_a_call_that_begins_again_has_a_new_task(self) -> None:
        world = FakeWorld()
        await hear(world, stored(priority="high"))
        await report(world, "transcribing", "failed", "uploaded", "uploaded")
        assert [one.priority for one in world.tables.tasks] == ["high", "high"]
        first, second = world.tasks()
        assert first == second


class TestDeletion:
    async def test_nothing_is_left_and_late_bytes_are_discarded(self) -> None:
        world = FakeWorld()
        await hear(world, stored(1), stored(2))
        await delete_call(DeleteCall(tenant="dev", call_id=call_id(1)), world.deps())
        assert world.tables.calls.keys() == {call_id(2)}
        assert [one.id for one in world.tables.history] == [str(call_id(2))]
        key = "2026/11/20/1.mp3"
        assert [one.key for one in world.facts(ObjectDiscarded)] == [key]
        assert world.tables.objects[key].state == "discarded"
        await hear(world, stored(1), prefix="late")
        assert world.tables.calls.keys() == {call_id(2)}
        assert [one.key for one in world.facts(ObjectDiscarded)] == [key, key]
        assert answers(world)[-1] == "rejected"
        assert len(world.tasks()) == 2
        with pytest.raises(NotFound):
            await delete_call(DeleteCall(tenant="dev", call_id=call_id(1)), world.deps())
