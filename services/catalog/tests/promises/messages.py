"""What is promised of messages."""

from datetime import datetime
from typing import Any

import pytest

from sluice_catalog.domain import Message
from sluice_catalog.ports import Work
from sluice_contracts.questions import ListMessages, MessageView, Page
from sluice_runtime.errors import NotFound

from .values import MINUTE, Open

NOBODY = "msg_00000099"
SNAPSHOT: Any = {"title": 'Grüße "50 %"', "deep": [{"a": None, "b": 1e20}], "n": 1.5, "z": 2**70}


def message(n: int, at: datetime, tenant: str = "dev", **more: Any) -> Message:
    return Message(
        **{
            "message_id": f"msg_{n:08}",
            "tenant": tenant,
            "parent_thread": "thread",
            "user_id": "ada",
            "snapshot": SNAPSHOT,
            "snapshot_metadata": None,
            "timestamp": at,
            "created_at": at + MINUTE,
            **more,
        }
    )


async def places(work: Work, limit: int = 10, **narrowed: Any) -> list[Page]:
    tenant = narrowed.pop("tenant", "dev")
    return await work.messages.page(ListMessages(tenant=tenant, limit=limit, **narrowed), limit)


async def found(work: Work, limit: int = 10, **narrowed: Any) -> list[int]:
    """The numbers of the messages on a page."""
    return [int(one.id.removeprefix("msg_")) for one in await places(work, limit, **narrowed)]


class MessagePromises:
    async def test_a_message_comes_back_as_it_was(self, open_work: Open) -> None:
        async with open_work() as work:
            one = message(1, work.now())
            two = message(2, work.now(), snapshot={}, snapshot_metadata={"title": None})
            for added in (one, two):
                await work.messages.add(added)
            await work.commit()
        async with open_work() as work:
            seen = await work.messages.view("dev", one.message_id, with_snapshot=True)
            assert seen == MessageView(
                message_id="msg_00000001",
                parent_thread="thread",
                user_id="ada",
                snapshot=SNAPSHOT,
                snapshot_metadata=None,
                timestamp=one.timestamp,
                created_at=one.created_at,
            )
            bare = await work.messages.view("dev", two.message_id, with_snapshot=False)
            assert (bare.snapshot, bare.snapshot_metadata) == (None, {"title": None})
            full = await work.messages.view("dev", two.message_id, with_snapshot=True)
            assert full.snapshot == {}
            ids = [one.message_id, two.message_id, NOBODY]
            for with_snapshot in (True, False):
                views = await work.messages.views(ids, with_snapshot=with_snapshot)
                assert views.keys() == {one.message_id, two.message_id}
                assert views[two.message_id] == (full if with_snapshot else bare)
            assert await work.messages.views([], with_snapshot=True) == {}

    async def test_a_message_belongs_to_its_tenant(self, open_work: Open) -> None:
        async with open_work() as work:
            await work.messages.add(message(1, work.now()))
            await work.messages.lock("dev", "msg_00000001")
            for tenant, id_ in (("other", "msg_00000001"), ("dev", NOBODY)):
                for look in (
                    work.messages.lock(tenant, id_),
                    work.messages.view(tenant, id_, with_snapshot=True),
                ):
                    with pytest.raises(NotFound) as caught:
                        await look
                    assert caught.value.code == "message-not-found"

    @pytest.mark.parametrize("order", ["asc", "desc"])
    async def test_messages_are_listed_by_their_timestamp_page_by_page(
        self, open_work: Open, order: str
    ) -> None:
        numbers = [3, 1, 2, 4] if order == "asc" else [4, 2, 1, 3]
        async with open_work() as work:
            now = work.now()
            for one in (
                *(message(n, now) for n in (1, 2)),
                message(3, now - MINUTE),
                message(4, now + MINUTE, parent_thread="another"),
                message(5, now, tenant="other"),
            ):
                await work.messages.add(one)
            assert await found(work, order=order) == numbers
            for at in range(4):
                after = (await places(work, order=order))[at]
                assert await found(work, order=order, after=after) == numbers[at + 1 :]
                assert await found(work, 1, order=order, after=after) == numbers[at + 1 : at + 2]
            assert await found(work, parent_thread="another") == [4]
            assert await found(work, parent_thread="nobody's") == []
            assert await found(work, tenant="other") == [5]

    async def test_so_many_messages_fit_as_are_small_together_and_one_at_least(
        self, open_work: Open
    ) -> None:
        async with open_work() as work:
            now = work.now()
            small, large = {"a": "ä" * 100}, {"a": "ä" * 5000}
            for one in (
                message(1, now, snapshot=small),
                message(2, now, snapshot=small),
                message(3, now, snapshot=large),
                message(4, now, snapshot=small, snapshot_metadata=large),
            ):
                await work.messages.add(one)

            async def fitting(*numbers: int, with_snapshot: bool = True) -> int:
                ids = [f"msg_{n:08}" for n in numbers]
                return await work.messages.fitting(
                    ids, with_snapshot=with_snapshot, most_bytes=2000
                )

            assert await fitting() == 0
            assert await fitting(1, 2) == 2
            assert await fitting(1, 2, 3, 1) == 2
            assert await fitting(3) == await fitting(3, 1) == await fitting(4, 1) == 1
            assert await fitting(1, 2, 3, with_snapshot=False) == 3
            assert await fitting(1, 4, with_snapshot=False) == 1

    async def test_a_deleted_message_is_gone_and_others_stay(self, open_work: Open) -> None:
        async with open_work() as work:
            for n in (1, 2):
                await work.messages.add(message(n, work.now()))
            for _ in range(2):
                await work.messages.delete("msg_00000001")
            assert await found(work) == [2]
