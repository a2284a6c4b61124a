"""What is promised of renders."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest

from sluice_catalog.domain import Render, first_change
from sluice_catalog.ports import Work
from sluice_contracts.statuses import Kind, RenderStatus
from sluice_runtime.errors import NotFound

from .values import MINUTE, Open, stored

NOBODY = UUID(int=99)


def render(n: int, at: datetime, message: int | None = None, tenant: str = "dev") -> Render:
    return Render(
        render_id=UUID(int=n),
        tenant=tenant,
        upload_id=f"upl_{n:08}",
        message_id=None if message is None else f"msg_{message:08}",
        filename="Grüße.mp3",
        format="mp3",
        bitrate=320,
        duration=45.5,
        status=RenderStatus.UPLOADED if message is None else RenderStatus.ATTACHED,
        sequence=1 if message is None else 2,
        created_at=at,
        created_by="me",
        attached_at=None if message is None else at,
    )


async def keep(work: Work, *renders: Render) -> None:
    """Renders with their objects, which every view of them needs."""
    told = [stored(one.render_id.int, one.created_at, one.tenant) for one in renders]
    await work.objects.add(told)
    await work.renders.add(renders)


class RenderPromises:
    async def test_a_render_comes_back_as_it_was(self, open_work: Open) -> None:
        async with open_work() as work:
            one = render(1, work.now())
            bare = replace(render(2, work.now()), bitrate=None, duration=None)
            await keep(work, one, bare)
            await work.renders.add([])
            await work.commit()
        async with open_work() as work:
            assert await work.renders.lock("dev", one.render_id) == one
            assert await work.renders.lock("dev", bare.render_id) == bare
            assert await work.renders.known([one.render_id, NOBODY]) == {one.render_id}
            assert await work.renders.known([]) == set()
            for look in (work.renders.lock, work.renders.view):
                for tenant, id_ in (("other", one.render_id), ("dev", NOBODY)):
                    with pytest.raises(NotFound) as caught:
                        await look(tenant, id_)
                    assert caught.value.code == "render-not-found"

    async def test_a_render_is_changed_in_its_status_and_its_message_alone(
        self, open_work: Open
    ) -> None:
        async with open_work() as work:
            one, two = (render(n, work.now()) for n in (1, 2))
            await keep(work, one, two)
            changed = replace(
                one,
                status=RenderStatus.ATTACHED,
                sequence=2,
                message_id="msg_00000001",
                attached_at=work.now(),
            )
            await work.renders.save(replace(changed, filename="another"))
            assert await work.renders.lock("dev", one.render_id) == changed
            assert await work.renders.lock("dev", two.render_id) == two

    async def test_a_render_is_shown_with_its_object_to_its_tenant_or_to_all(
        self, open_work: Open
    ) -> None:
        async with open_work() as work:
            one = render(1, work.now(), message=3)
            await keep(work, one)
            seen, kept = await work.renders.view("dev", one.render_id), stored(1, work.now())
            assert (seen.key, seen.sha256, seen.size_bytes) == (
                *(kept.key, kept.sha256, kept.size_bytes),
            )
            assert (seen.message_id, seen.content_type) == ("msg_00000003", kept.content_type)
            assert (seen.filename, seen.bitrate, seen.duration) == ("Grüße.mp3", 320, 45.5)
            assert await work.renders.view(None, one.render_id) == seen
            with pytest.raises(NotFound):
                await work.renders.view(None, NOBODY)

    async def test_what_no_message_claimed_in_time_is_found_oldest_first(
        self, open_work: Open
    ) -> None:
        async with open_work() as work:
            now = work.now()
            await keep(
                work,
                render(1, now - 2 * MINUTE),
                render(2, now - 3 * MINUTE, tenant="other"),
                render(3, now - 2 * MINUTE, message=1),
                render(4, now - MINUTE),
                render(5, now),
            )
            found = await work.renders.lock_unclaimed(now - MINUTE, 10)
            assert [one.render_id.int for one in found] == [2, 1]
            found = await work.renders.lock_unclaimed(now, 2)
            assert [one.render_id.int for one in found] == [2, 1]
            assert found[1] == render(1, now - 2 * MINUTE)

    async def test_the_time_of_a_render_begins_when_it_was_heard_of(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            both = [render(n, now - 9 * MINUTE) for n in (1, 2)]
            await keep(work, *both)
            for one, heard in zip(both, (now - 2 * MINUTE, now - MINUTE), strict=True):
                born = first_change(Kind.RENDER, "dev", one.id, None, one.status)
                work.record([born], actor="me", at=heard)
            await work.commit()
        async with open_work() as work:
            assert await work.renders.lock_unclaimed(now - 2 * MINUTE, 10) == []
            assert await work.renders.lock_unclaimed(now - MINUTE, 10) == both[:1]
            assert await work.renders.lock_unclaimed(now, 10) == both

    async def test_the_renders_of_messages_are_in_the_order_they_were_attached(
        self, open_work: Open
    ) -> None:
        async with open_work() as work:
            now = work.now()
            await keep(
                work,
                render(1, now, message=1),
                replace(render(2, now, message=1), attached_at=now - MINUTE),
                render(3, now, message=1),
                render(4, now, message=2),
                render(5, now, message=3),
                render(6, now),
            )
            ids = [f"msg_{n:08}" for n in (1, 2, 9)]
            found = await work.renders.of_messages(ids)
            assert {id_: [one.render_id.int for one in shown] for id_, shown in found.items()} == {
                ids[0]: [2, 1, 3],
                ids[1]: [4],
            }
            assert await work.renders.of_messages([]) == {}
            held = await work.renders.lock_of_message(ids[0])
            assert sorted(one.render_id.int for one in held) == [1, 2, 3]
            assert [await work.renders.count_of(one) for one in ids] == [3, 1, 0]

    async def test_deleted_renders_are_gone_and_others_stay(self, open_work: Open) -> None:
        async with open_work() as work:
            await keep(work, *(render(n, work.now()) for n in (1, 2, 3)))
            await work.renders.delete([UUID(int=1), UUID(int=3), NOBODY])
            await work.renders.delete([])
            assert await work.renders.known([UUID(int=n) for n in (1, 2, 3)]) == {UUID(int=2)}
