"""What is promised of direct uploads."""

from dataclasses import replace
from datetime import datetime

import pytest

from sluice_catalog.domain import Change, Direct
from sluice_contracts.statuses import Kind, UploadStatus
from sluice_runtime.errors import NotFound

from .values import MINUTE, Open, stored, upload


def direct(n: int, at: datetime, in_batch: int | None = None, tenant: str = "dev") -> Direct:
    return Direct(
        upload_id=f"upl_{n:08}",
        tenant=tenant,
        batch_id=None if in_batch is None else f"rb_{in_batch:08}",
        recording_id=None if in_batch is None else f"rec_{n:08}",
        filename="Grüße.wav",
        content_type="audio/wav",
        bucket="media",
        key=f"tenants/{tenant}/{n:08}",
        session_id="s1",
        part_size=2**23,
        size_bytes=2**40,
        sha256=None,
        metadata={"title": 'Grüße "50 %"', "deep": [{"a": None}]},
        status=UploadStatus.CREATED,
        sequence=1,
        created_at=at,
        created_by="me",
        deadline=at + MINUTE,
    )


class DirectPromises:
    async def test_a_direct_upload_comes_back_as_it_was(self, open_work: Open) -> None:
        async with open_work() as work:
            one, two = direct(1, work.now(), in_batch=1), direct(2, work.now())
            for added in (one, two):
                await work.direct.add(added)
            await work.commit()
        async with open_work() as work:
            assert await work.direct.get("dev", one.upload_id) == one
            assert await work.direct.lock("dev", two.upload_id) == two
            ids = [two.upload_id, "upl_00000009", one.upload_id, two.upload_id]
            assert await work.direct.lock_many(ids) == {one.upload_id: one, two.upload_id: two}
            assert await work.direct.lock_many([]) == {}
            assert await work.direct.lock_page("rb_00000001", "", 5) == [one]
            assert await work.direct.lock_page("rb_00000001", one.upload_id, 5) == []
            assert await work.direct.lock_page("rb_00000009", "", 5) == []
            for look in (work.direct.get, work.direct.lock):
                for tenant, id_ in (("other", one.upload_id), ("dev", "upl_00000009")):
                    with pytest.raises(NotFound) as caught:
                        await look(tenant, id_)
                    assert caught.value.code == "upload-not-found"

    async def test_saving_a_direct_upload_changes_what_may_change(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            one, two = direct(1, now), direct(2, now)
            for added in (one, two):
                await work.direct.add(added)
            moved = replace(
                one,
                session_id=None,
                size_bytes=5,
                sha256="b" * 64,
                status=UploadStatus.STORED,
                sequence=3,
                deadline=now + 5 * MINUTE,
            )
            await work.direct.save(replace(moved, filename="other", metadata={}, key="x"))
            await work.direct.save(direct(9, now))
            assert await work.direct.get("dev", one.upload_id) == moved
            assert await work.direct.get("dev", two.upload_id) == two
            await work.direct.remove([one.upload_id, "upl_00000009"])
            await work.direct.remove([])
            found = await work.direct.lock_many([one.upload_id, two.upload_id, "upl_00000009"])
            assert found == {two.upload_id: two}

    async def test_a_direct_upload_is_overdue_while_it_is_open(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            ages = {1: 3, 2: 5, 3: 4, 4: 9, 5: 0}
            states = {3: UploadStatus.UPLOADING, 4: UploadStatus.REGISTERED}
            for n, age in ages.items():
                status = states.get(n, UploadStatus.CREATED)
                await work.direct.add(replace(direct(n, now - age * MINUTE), status=status))
            found = await work.direct.overdue(now, 10)
            assert sorted(one.upload_id[-1] for one in found) == ["1", "2", "3"]
            few = [await work.direct.overdue(now, 2) for _ in range(100)]
            assert {len(one) for one in few} == {2}
            assert {one.upload_id[-1] for some in few for one in some} == {"1", "2", "3"}

    async def test_a_direct_upload_is_expected_while_it_is_open(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            await work.uploads.add([upload(1, now)])
            await work.direct.add(direct(2, now))
            await work.direct.add(replace(direct(3, now), status=UploadStatus.UPLOADING))
            await work.direct.add(replace(direct(4, now), status=UploadStatus.EXPIRED))
            await work.objects.add([stored(5, now)])
            found = await work.objects.page("", 10)
            assert [(one.key[-1], one.state) for one in found] == [
                ("1", "expected"),
                ("2", "expected"),
                ("3", "expected"),
                ("5", "stored"),
            ]

    async def test_an_upload_failed_for_the_reason_its_history_knows_last(
        self, open_work: Open
    ) -> None:
        id_ = "upl_00000001"
        async with open_work() as work:
            steps = [
                Change(Kind.UPLOAD, "dev", id_, None, n, "uploading", "failed", reason)
                for n, reason in ((2, "first"), (3, "last"))
            ]
            other = Change(Kind.UPLOAD, "dev", id_, None, 4, "failed", "created", "other")
            work.record([*steps, other], actor="me", at=work.now())
            await work.commit()
        async with open_work() as work:
            assert await work.direct.failure_of(id_) == "last"
            assert await work.direct.failure_of("upl_00000002") is None
