"""What is promised of calls."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from sluice_catalog.domain import Call, first_change, moved
from sluice_catalog.ports import Work
from sluice_contracts.facts import MediaFacts, ObjectInspected
from sluice_contracts.questions import ListCalls, Page
from sluice_contracts.statuses import CallStatus, Kind
from sluice_runtime.errors import NotFound

from .values import MINUTE, Open, stored

NOBODY = UUID(int=99)


def call(n: int, at: datetime, tenant: str = "dev") -> Call:
    return Call(
        call_id=UUID(int=n),
        tenant=tenant,
        upload_id=f"upl_{n:08}",
        filename="Grüße.mp3",
        format="mp3",
        company_name=f"Company {n % 2}",
        contact_email="a@example.com",
        call_type="demo",
        priority="high",
        status=CallStatus.UPLOADED,
        sequence=1,
        uploaded_at=at + MINUTE,
        uploaded_by="me",
        created_at=at,
        updated_at=at + MINUTE,
    )


async def keep(work: Work, *calls: Call) -> None:
    """Calls with their objects, which every view of them needs."""
    await work.objects.add([stored(one.call_id.int, one.created_at, one.tenant) for one in calls])
    await work.calls.add(calls)


async def found(work: Work, **narrowed: Any) -> list[int]:
    """The numbers of the calls on a page."""
    limit = narrowed.pop("limit", 10)
    asked = ListCalls(tenant=narrowed.pop("tenant", "dev"), limit=limit, **narrowed)
    return [one.call_id.int for one in await work.calls.page(asked, limit)]


class CallPromises:
    async def test_a_call_comes_back_as_it_was(self, open_work: Open) -> None:
        async with open_work() as work:
            one = call(1, work.now())
            await keep(work, one)
            await work.calls.add([])
            await work.commit()
        async with open_work() as work:
            assert await work.calls.lock("dev", one.call_id) == one
            assert await work.calls.known([one.call_id, NOBODY]) == {one.call_id}
            assert await work.calls.known([]) == set()
            for look in (work.calls.lock, work.calls.view):
                for tenant, id_ in (("other", one.call_id), ("dev", NOBODY)):
                    with pytest.raises(NotFound) as caught:
                        await look(tenant, id_)
                    assert caught.value.code == "call-not-found"

    async def test_a_call_is_changed_in_its_status_alone(self, open_work: Open) -> None:
        async with open_work() as work:
            one, two = (call(n, work.now()) for n in (1, 2))
            await keep(work, one, two)
            changed = replace(one, status=CallStatus.FAILED, sequence=2, updated_at=work.now())
            await work.calls.save(replace(changed, company_name="Another"))
            assert await work.calls.lock("dev", one.call_id) == changed
            assert await work.calls.lock("dev", two.call_id) == two

    async def test_a_call_is_shown_with_its_object_and_what_was_read_from_it(
        self, open_work: Open
    ) -> None:
        async with open_work() as work:
            one = call(1, work.now())
            await keep(work, one)
            seen = await work.calls.view("dev", one.call_id)
            kept = stored(1, work.now())
            assert (seen.bucket, seen.key, seen.sha256) == (kept.bucket, kept.key, kept.sha256)
            assert (seen.size_bytes, seen.content_type) == (kept.size_bytes, kept.content_type)
            assert (seen.duration_seconds, seen.priority) == (None, "high")
            fact = ObjectInspected(
                tenant="dev",
                upload_id=one.upload_id,
                readable=True,
                media=MediaFacts(duration_seconds=1.5),
                inspected_at=work.now(),
            )
            await work.media.keep([fact])
            assert (await work.calls.view("dev", one.call_id)).duration_seconds == 1.5

    async def test_calls_are_listed_newest_first_page_by_page(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            ages = ((1, 3), (2, 1), (3, 1), (4, 2))
            await keep(work, *(call(n, now - age * MINUTE) for n, age in ages))
            await keep(work, call(5, now, "other"))
            seen: list[int] = []
            after: Page | None = None
            while page := await found(work, after=after, limit=3):
                seen += page
                last = await work.calls.lock("dev", UUID(int=page[-1]))
                after = Page(created_at=last.created_at, id=str(last.call_id))
            assert seen == [3, 2, 4, 1]
            assert await found(work, company_name="Company 1") == [3, 1]
            assert await found(work, company_name="Company 1", call_type="support") == []
            assert await found(work, status=CallStatus.UPLOADED, since=now - 2 * MINUTE) == [
                3,
                2,
                4,
            ]
            assert await found(work, until=now - 2 * MINUTE) == [1]
            assert await found(work, tenant="other") == [5]

    async def test_a_deleted_call_takes_its_history_along(self, open_work: Open) -> None:
        async with open_work() as work:
            for one in (call(1, work.now()), call(2, work.now())):
                await keep(work, one)
                born = first_change(Kind.CALL, "dev", one.id, None, one.status)
                _, changes = moved(one, CallStatus.FAILED, reason="no sound")
                work.record([born, *changes], actor="me", at=work.now())
            await work.commit()
        async with open_work() as work:
            first, second = await work.calls.history(UUID(int=1))
            assert (first.sequence, first.previous, first.status) == (1, None, "uploaded")
            assert (second.previous, second.status, second.reason) == (
                *("uploaded", "failed", "no sound"),
            )
            assert (second.actor, second.sequence) == ("me", 2)
            await work.calls.delete(UUID(int=1))
            await work.commit()
        async with open_work() as work:
            assert await work.calls.known([UUID(int=1), UUID(int=2)]) == {UUID(int=2)}
            assert await work.calls.history(UUID(int=1)) == []
            assert len(await work.calls.history(UUID(int=2))) == 2
