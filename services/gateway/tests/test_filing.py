"""A file of a form from its place to an honest answer, and nothing left behind on the way."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.facts import CallUpload, ObjectStored, Registration, UploadReceived
from sluice_contracts.questions import (
    AbandonUpload,
    BeginUpload,
    Failure,
    FailureDetail,
    PlaceUpload,
    UploadOutcome,
)
from sluice_gateway.ports import Body
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.filing import Filed, Filing, file_away, hold, pieces
from sluice_gateway.usecases.sending import Sent
from sluice_runtime.errors import Conflict, Rejected, Unavailable

from .fakes import FORM_KEY, NOW, REPLY_TO, UPLOAD, FakeStore, FakeWorld, body_of

STORED = UploadOutcome(upload_id=UPLOAD, state="stored")
REGISTERED = UploadOutcome(upload_id=UPLOAD, state="registered")
SMALL, LARGE = b"xxxx", b"x" * 10


def call(company: str = "planned") -> CallUpload:
    return CallUpload(
        call_id=UUID(int=1),
        filename="a.mp3",
        format="mp3",
        company_name=company,
        contact_email="a@b",
        call_type="sales",
        created_at=NOW,
        created_by="me",
    )


def filing(size: int | None, **more: Any) -> Filing:
    return Filing("calls", "dev", UPLOAD, call(), "audio/mpeg", size, **more)


async def describe(_: Sent) -> Registration:
    return call("told")


async def refuse(_: Sent) -> Registration:
    raise Rejected("The fields behind the file are wrong.", code="invalid-request")


async def file(world: FakeWorld, data: bytes = SMALL, **more: Any) -> Filed:
    return await file_away(filing(len(data), **more), body_of(data), describe, world.deps())


class TestTheWay:
    async def test_a_small_file_goes_whole_with_the_word_of_the_store(self) -> None:
        world = FakeWorld(outcomes=[REGISTERED])
        filed = await file(world)
        assert filed.answer is Answer.REGISTERED
        assert filed.placed.key == FORM_KEY
        assert world.store.whole == {"http://store/whole": SMALL}
        ((fact, _),) = world.announced
        assert isinstance(fact, ObjectStored)
        assert (fact.bytes.bucket, fact.bytes.key) == ("media", FORM_KEY)
        assert fact.bytes.sha256 == hashlib.sha256(SMALL).hexdigest()
        assert fact.etag == hashlib.md5(SMALL, usedforsecurity=False).hexdigest()
        assert fact.stored_at == NOW

    async def test_the_type_of_a_small_file_is_read_from_its_first_bytes(self) -> None:
        world = FakeWorld(outcomes=[REGISTERED], part_size=100)
        await file(world, b"OggS" + bytes(20))
        assert world.announced[0][0].detected_type == "audio/ogg"  # type: ignore[attr-defined]

    @pytest.mark.parametrize("tag", ["another", ""])
    async def test_without_the_word_of_the_store_storage_is_to_look(self, tag: str) -> None:
        world = FakeWorld(store=FakeStore(tag=tag), outcomes=[REGISTERED])
        await file(world)
        assert isinstance(world.announced[0][0], UploadReceived)

    async def test_a_place_that_others_may_touch_is_for_storage_to_look_at(self) -> None:
        world = FakeWorld(vouch_seconds=0, outcomes=[REGISTERED])
        await file(world)
        assert isinstance(world.announced[0][0], UploadReceived)

    @pytest.mark.parametrize("size", [len(LARGE), None])
    async def test_a_large_or_unmeasured_file_goes_in_parts(self, size: int | None) -> None:
        world = FakeWorld(outcomes=[STORED, REGISTERED])
        filed = await file_away(filing(size), body_of(LARGE), describe, world.deps())
        assert filed.answer is Answer.REGISTERED
        assert b"".join(world.store.parts[n] for n in (1, 2, 3)) == LARGE
        ((fact, _),) = world.announced
        assert isinstance(fact, UploadReceived)
        assert fact.multipart is not None
        assert (fact.multipart.session_id, len(fact.multipart.parts)) == ("s1", 3)
        assert fact.bytes.size_bytes == len(LARGE)

    @pytest.mark.parametrize("data", [SMALL, LARGE])
    async def test_storage_is_asked_once_for_place_and_signatures(self, data: bytes) -> None:
        world = FakeWorld(outcomes=[STORED, REGISTERED])
        await file(world, data)
        (asked,) = world.questions(PlaceUpload)
        assert (asked.tenant, asked.upload_id, asked.size_bytes) == ("dev", UPLOAD, len(data))
        assert asked.registration == call("planned")
        assert not world.questions(BeginUpload)

    async def test_what_is_registered_is_what_was_told_in_the_end(self) -> None:
        world = FakeWorld(outcomes=[REGISTERED])
        seen: list[Sent] = []

        async def late(sent: Sent) -> Registration:
            seen.append(sent)
            return call("told")

        await file_away(filing(4), body_of(SMALL), late, world.deps())
        ((fact, _),) = world.announced
        assert isinstance(fact, ObjectStored)
        assert fact.registration == call("told")
        assert (fact.reply_to, fact.stored_at, fact.tenant) == (REPLY_TO, NOW, "dev")
        assert [sent.size_bytes for sent in seen] == [4]

    async def test_the_id_of_the_fact_follows_from_upload_and_attempt(self) -> None:
        ids = set()
        for _ in range(2):
            world = FakeWorld(outcomes=[REGISTERED])
            await file(world)
            ids.add(world.announced[0][1])
        assert len(ids) == 1


class TestAnswers:
    @pytest.mark.parametrize(
        ("data", "outcomes"), [(SMALL, []), (SMALL, [STORED]), (LARGE, [STORED])]
    )
    async def test_accepted_is_said_when_the_bytes_are_whole_and_the_catalog_is_silent(
        self, data: bytes, outcomes: list[UploadOutcome | None]
    ) -> None:
        world = FakeWorld(outcomes=outcomes)
        assert (await file(world, data)).answer is Answer.ACCEPTED
        assert world.patience[-1] == world.register_timeout

    async def test_parts_that_were_not_joined_are_not_accepted(self) -> None:
        world = FakeWorld()
        with pytest.raises(Unavailable) as caught:
            await file(world, LARGE)
        assert caught.value.retry_after_seconds
        assert not world.questions(AbandonUpload), "storage may still be joining them"

    async def test_a_refusal_is_passed_on_and_nothing_is_removed(self) -> None:
        failure = FailureDetail(failure=Failure.CONFLICT, code="a-code", detail="because")
        refused = UploadOutcome(upload_id=UPLOAD, state="rejected", failure=failure)
        world = FakeWorld(outcomes=[refused])
        with pytest.raises(Conflict) as caught:
            await file(world)
        assert caught.value.code == "a-code"
        assert not world.questions(AbandonUpload)

    async def test_a_fact_that_may_have_got_through_is_not_taken_back(self) -> None:
        world = FakeWorld(refuses_fact=Unavailable("no PubAck"))
        with pytest.raises(Unavailable):
            await file(world)
        assert not world.questions(AbandonUpload)


class TestFailures:
    async def test_without_a_place_nothing_is_read(self) -> None:
        async def unread() -> AsyncIterator[bytes]:
            raise AssertionError("was read")
            yield b""

        world = FakeWorld(refuses_place=Unavailable("away", code="storage-unavailable"))
        with pytest.raises(Unavailable):
            await file_away(filing(4), unread(), describe, world.deps())
        assert not world.questions(AbandonUpload)
        assert not world.announced

    @pytest.mark.parametrize(("data", "session"), [(SMALL, None), (LARGE, "s1")])
    async def test_what_is_refused_in_the_end_is_removed(
        self, data: bytes, session: str | None
    ) -> None:
        world = FakeWorld()
        with pytest.raises(Rejected) as caught:
            await file_away(filing(len(data)), body_of(data), refuse, world.deps())
        assert caught.value.code == "invalid-request"
        (asked,) = world.questions(AbandonUpload)
        assert (asked.key, asked.session_id) == (FORM_KEY, session)
        assert asked.not_after > NOW
        assert not world.announced

    @pytest.mark.parametrize("data", [SMALL, LARGE])
    async def test_nothing_is_ever_removed_from_a_place_that_is_shared(self, data: bytes) -> None:
        world = FakeWorld()
        shared = filing(len(data), shared=True)
        with pytest.raises(Rejected):
            await file_away(shared, body_of(data), refuse, world.deps())
        assert not [one for one in world.questions(AbandonUpload) if one.session_id is None]
        assert not world.announced

    @pytest.mark.parametrize("data", [SMALL, LARGE])
    async def test_with_the_store_away_nothing_is_kept_or_said(self, data: bytes) -> None:
        world = FakeWorld(store=FakeStore(away=True))
        with pytest.raises(Unavailable) as caught:
            await file(world, data)
        assert caught.value.code == "store-unavailable"
        assert world.questions(AbandonUpload)
        assert not world.announced

    async def test_a_file_that_breaks_a_rule_on_the_way_is_removed(self) -> None:
        async def growing() -> AsyncIterator[bytes]:
            yield b"x" * 9
            raise Rejected("too much", code="body-too-large")

        world = FakeWorld()
        with pytest.raises(Rejected) as caught:
            await file_away(filing(None), growing(), describe, world.deps())
        assert caught.value.code == "body-too-large"
        assert world.questions(AbandonUpload)

    async def test_a_sender_that_leaves_leaves_nothing(self) -> None:
        class Gone(Exception):
            pass

        async def leaving() -> AsyncIterator[bytes]:
            yield b"xx"
            raise Gone

        world = FakeWorld()
        with pytest.raises(Gone):
            await file_away(filing(10), leaving(), describe, world.deps())
        assert world.questions(AbandonUpload)
        assert not world.announced

    async def test_a_request_that_is_cancelled_leaves_nothing(self) -> None:
        began = asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            yield b"xx"
            began.set()
            await asyncio.Event().wait()

        world = FakeWorld()
        running = asyncio.create_task(file_away(filing(10), stalled(), describe, world.deps()))
        await began.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert world.questions(AbandonUpload)
        assert not world.announced

    async def test_cleaning_up_may_fail_without_hiding_the_reason(self) -> None:
        async def away(_: object) -> object:
            raise Unavailable("everything is away")

        world = FakeWorld(answers={AbandonUpload: away})
        with pytest.raises(Rejected) as caught:
            await file_away(filing(10), body_of(LARGE), refuse, world.deps())
        assert caught.value.code == "invalid-request"


async def _joined(body: Body | None) -> bytes:
    return b"" if body is None else b"".join([chunk async for chunk in body])


class TestHolding:
    @given(st.lists(st.binary(max_size=9), max_size=9), st.integers(0, 40))
    async def test_what_was_held_and_the_rest_are_the_whole(
        self, chunks: list[bytes], most: int
    ) -> None:
        data = b"".join(chunks)
        held, rest = await hold(body_of(*chunks), most)
        assert (rest is None) is (len(data) <= most)
        if rest is not None:
            assert most < len(held) <= most + 9
        assert await _joined(pieces(held, rest)) == data

    async def test_nothing_held_is_no_piece(self) -> None:
        assert [piece async for piece in pieces(b"")] == []
