"""An upload from its claim to an honest answer: 201, 202, 4xx or 503, and nothing left behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sluice_contracts.facts import ObjectStored, UploadReceived
from sluice_contracts.questions import (
    AbandonUpload,
    Claim,
    Failure,
    FailureDetail,
    ReleaseClaim,
    RenewClaim,
    UploadOutcome,
)
from sluice_gateway.usecases.uploads import Answer, Offer, receive_upload
from sluice_runtime.errors import Conflict, NotFound, Rejected, SluiceError, Unavailable

from .fakes import KEY, REPLY_TO, TOKEN, UPLOAD, FakeStore, FakeWorld, body_of

STORED = UploadOutcome(upload_id=UPLOAD, state="stored")
REGISTERED = UploadOutcome(upload_id=UPLOAD, state="registered")
SMALL, LARGE = b"xxxx", b"x" * 10


def offer(data: bytes | None = SMALL, *, token: str = TOKEN, upload_id: str = UPLOAD) -> Offer:
    return Offer(upload_id, token, "audio/wav", None if data is None else len(data))


def rejected(failure: FailureDetail | None) -> UploadOutcome:
    return UploadOutcome(upload_id=UPLOAD, state="rejected", failure=failure)


def left_behind(world: FakeWorld) -> bool:
    """Whether a sender that failed left bytes, a session or a claim."""
    return not (world.questions(AbandonUpload) and world.questions(ReleaseClaim))


class TestAnswers:
    @pytest.mark.parametrize("data", [SMALL, LARGE])
    async def test_registered_is_only_said_when_the_catalog_said_so(self, data: bytes) -> None:
        world = FakeWorld(outcomes=[STORED, REGISTERED])
        received = await receive_upload(offer(data), body_of(data), world.deps())
        assert received.answer is Answer.REGISTERED
        assert not world.questions(AbandonUpload)
        assert not world.questions(ReleaseClaim)

    @pytest.mark.parametrize(
        ("data", "outcomes"),
        [(SMALL, []), (SMALL, [STORED]), (LARGE, [STORED])],
        ids=["one PUT", "one PUT, stored", "parts, joined"],
    )
    async def test_accepted_is_said_when_the_bytes_are_whole_and_the_catalog_is_slow(
        self, data: bytes, outcomes: list[UploadOutcome | None]
    ) -> None:
        world = FakeWorld(outcomes=outcomes)
        received = await receive_upload(offer(data), body_of(data), world.deps())
        assert received.answer is Answer.ACCEPTED
        assert world.patience[-1] == world.register_timeout

    async def test_parts_that_were_not_joined_are_not_accepted(self) -> None:
        world = FakeWorld()
        with pytest.raises(Unavailable) as caught:
            await receive_upload(offer(LARGE), body_of(LARGE), world.deps())
        assert caught.value.retry_after_seconds
        assert world.patience[0] > world.register_timeout
        assert not world.questions(AbandonUpload), "storage may still be joining them"

    @pytest.mark.parametrize(
        ("failure", "kind"),
        [
            (Failure.UNAVAILABLE, Unavailable),
            (Failure.REJECTED, Rejected),
            (Failure.CONFLICT, Conflict),
            (Failure.NOT_FOUND, NotFound),
            (Failure.BUG, Unavailable),
            (None, Conflict),
        ],
    )
    async def test_a_refusal_is_passed_on(
        self, failure: Failure | None, kind: type[SluiceError]
    ) -> None:
        detail = failure and FailureDetail(failure=failure, code="a-code", detail="because")
        world = FakeWorld(outcomes=[STORED, rejected(detail)])
        with pytest.raises(kind) as caught:
            await receive_upload(offer(), body_of(SMALL), world.deps())
        assert caught.value.code == ("a-code" if failure else "upload-rejected")

    async def test_a_fact_that_may_have_got_through_is_not_taken_back(self) -> None:
        world = FakeWorld(refuses_fact=Unavailable("no PubAck"))
        with pytest.raises(Unavailable):
            await receive_upload(offer(), body_of(SMALL), world.deps())
        assert not world.questions(AbandonUpload)
        assert not world.questions(ReleaseClaim)


class TestTheFact:
    async def test_it_says_what_was_sent_and_where_to_answer(self) -> None:
        world = FakeWorld(outcomes=[REGISTERED])
        await receive_upload(offer(LARGE), body_of(LARGE), world.deps())
        ((fact, _),) = world.announced
        assert isinstance(fact, UploadReceived)
        assert (fact.tenant, fact.upload_id, fact.reply_to) == ("dev", UPLOAD, REPLY_TO)
        assert (fact.bytes.bucket, fact.bytes.key) == ("media", KEY)
        assert fact.bytes.size_bytes == len(LARGE)
        assert fact.multipart is not None
        assert [part.number for part in fact.multipart.parts] == [1, 2, 3]

    @pytest.mark.parametrize(("is_first", "said"), [(True, ObjectStored), (False, UploadReceived)])
    async def test_only_the_first_sender_vouches_for_a_small_body(
        self, is_first: bool, said: type
    ) -> None:
        """Whatever an earlier attempt has still on its way may undo what a later one sent."""
        world = FakeWorld(is_first=is_first, outcomes=[REGISTERED])
        await receive_upload(offer(), body_of(SMALL), world.deps())
        ((fact, _),) = world.announced
        assert isinstance(fact, said)

    async def test_its_id_follows_from_upload_and_claim(self) -> None:
        ids = set()
        for _ in range(2):
            world = FakeWorld(outcomes=[REGISTERED])
            await receive_upload(offer(), body_of(SMALL), world.deps())
            ids.add(world.announced[0][1])
        assert len(ids) == 1


class TestRefusalsBeforeTheFirstByte:
    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            (offer(token="1.x"), "upload-token-invalid"),
            (offer(upload_id="upl_00000002"), "upload-token-invalid"),
            (offer(upload_id="nonsense"), "upload-not-found"),
            (offer(b"x" * 1001), "body-too-large"),
            (offer(b""), "empty-upload"),
        ],
    )
    async def test_nothing_is_claimed_and_nothing_is_read(self, sent: Offer, code: str) -> None:
        world = FakeWorld()

        async def unread() -> AsyncIterator[bytes]:
            raise AssertionError("was read")
            yield b""

        with pytest.raises(SluiceError) as caught:
            await receive_upload(sent, unread(), world.deps())
        assert caught.value.code == code
        assert not world.asked

    async def test_a_refused_claim_leaves_the_other_sender_alone(self) -> None:
        world = FakeWorld(refuses_claim=Conflict("busy", code="upload-in-progress"))
        with pytest.raises(Conflict):
            await receive_upload(offer(), body_of(SMALL), world.deps())
        assert [type(one) for one in world.asked] == [Claim]


class TestFailuresOnTheWay:
    @pytest.mark.parametrize("data", [SMALL, LARGE])
    async def test_with_the_store_away_nothing_is_kept_or_said(self, data: bytes) -> None:
        world = FakeWorld(store=FakeStore(away=True))
        with pytest.raises(Unavailable):
            await receive_upload(offer(data), body_of(data), world.deps())
        assert not left_behind(world)
        assert not world.announced

    async def test_a_session_is_ended_by_its_id(self) -> None:
        world = FakeWorld(store=FakeStore(fails_at=2))
        with pytest.raises(Unavailable):
            await receive_upload(offer(LARGE), body_of(LARGE), world.deps())
        (asked,) = world.questions(AbandonUpload)
        assert (asked.key, asked.session_id) == (KEY, "s1")

    async def test_a_body_of_unknown_length_is_cut_off(self) -> None:
        world = FakeWorld(max_upload_bytes=9)
        with pytest.raises(Rejected) as caught:
            await receive_upload(offer(None), body_of(LARGE), world.deps())
        assert caught.value.code == "body-too-large"
        assert not left_behind(world)

    async def test_a_sender_that_leaves_leaves_nothing(self) -> None:
        class Gone(Exception):
            pass

        async def leaving() -> AsyncIterator[bytes]:
            yield b"xx"
            raise Gone

        world = FakeWorld()
        with pytest.raises(Gone):
            await receive_upload(offer(LARGE), leaving(), world.deps())
        assert not left_behind(world)

    async def test_a_request_that_is_cancelled_leaves_nothing(self) -> None:
        async def stalled() -> AsyncIterator[bytes]:
            yield b"xx"
            await asyncio.sleep(60)

        world = FakeWorld()
        running = asyncio.create_task(receive_upload(offer(LARGE), stalled(), world.deps()))
        await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not left_behind(world)

    async def test_cleaning_up_may_fail_without_hiding_the_reason(self) -> None:
        async def away(_: object) -> object:
            raise Unavailable("everything is away")

        world = FakeWorld(store=FakeStore(fails_at=1))
        world.answers = {AbandonUpload: away, ReleaseClaim: away}
        with pytest.raises(Unavailable) as caught:
            await receive_upload(offer(LARGE), body_of(LARGE), world.deps())
        assert caught.value.code == "store-unavailable"

    async def test_a_sender_that_is_too_slow_is_told_so(self) -> None:
        async def dripping() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(60)

        world = FakeWorld(min_rate_bytes=1000, min_rate_seconds=0.02)
        async with asyncio.timeout(5):
            with pytest.raises(Rejected) as caught:
                await receive_upload(offer(LARGE), dripping(), world.deps())
        assert caught.value.code == "body-too-slow"
        assert not left_behind(world)

    async def test_a_slow_store_is_not_the_fault_of_the_sender(self) -> None:
        world = FakeWorld(
            store=FakeStore(pauses=iter([0.1] * 5)),
            min_rate_bytes=1000,
            min_rate_seconds=0.02,
            in_flight=1,
            outcomes=[REGISTERED],
        )
        received = await receive_upload(offer(LARGE), body_of(LARGE), world.deps())
        assert received.answer is Answer.REGISTERED


class TestTheClaim:
    async def test_it_is_renewed_while_bytes_flow(self) -> None:
        world = FakeWorld(
            store=FakeStore(pauses=iter([0.1] * 5)), lease_seconds=0.03, outcomes=[REGISTERED]
        )
        await receive_upload(offer(LARGE), body_of(LARGE), world.deps())
        assert len(world.questions(RenewClaim)) >= 2

    async def test_nothing_is_announced_once_it_may_be_somebody_elses(self) -> None:
        world = FakeWorld(
            store=FakeStore(pauses=iter([0.1] * 5)),
            lease_seconds=0.03,
            refuses_renewal=Unavailable("away"),
        )
        with pytest.raises(Unavailable):
            await receive_upload(offer(LARGE), body_of(LARGE), world.deps())
        assert not world.announced

    async def test_a_claim_that_was_lost_ends_the_upload(self) -> None:
        world = FakeWorld(
            store=FakeStore(pauses=iter([60.0] * 5)),
            lease_seconds=0.03,
            refuses_renewal=Conflict("lost", code="claim-lost"),
        )
        async with asyncio.timeout(5):
            with pytest.raises(Conflict) as caught:
                await receive_upload(offer(LARGE), body_of(LARGE), world.deps())
        assert caught.value.code == "claim-lost"
        assert not world.announced
        assert not world.questions(AbandonUpload), "they may be the bytes of its new holder"
        assert world.store.in_flight == 0
