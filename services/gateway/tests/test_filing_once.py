"""A file of a form under an idempotency key: its key goes with it, or back."""

from uuid import UUID

import pytest

from sluice_contracts.facts import CallUpload, ObjectStored, Registration
from sluice_contracts.questions import (
    AbandonUpload,
    Failure,
    FailureDetail,
    FreeKey,
    Reserved,
    UploadOutcome,
)
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.filing import Filed, Filing, file_away
from sluice_gateway.usecases.once import only_once
from sluice_gateway.usecases.sending import Sent
from sluice_runtime.errors import Conflict, Unavailable

from .fakes import NOW, UPLOAD, FakeWorld
from .keyed_requests import AWAY, DATA, TAKEN, form, kept, world_of

REGISTERED = UploadOutcome(upload_id=UPLOAD, state="registered")


async def file_once(world: FakeWorld) -> Filed:
    """File the form of a call under a key, as a route does."""
    planned = CallUpload(
        call_id=UUID(int=1),
        filename="a.mp3",
        format="mp3",
        company_name="Acme",
        contact_email="a@b",
        call_type="demo",
        created_at=NOW,
        created_by="me",
    )
    one = await form()

    async def describe(_: Sent) -> Registration:
        await one.finish()
        return planned

    async with only_once("k", "dev", "call", one, world.deps()) as once:
        body = one.file_chunks()
        filing = Filing("calls", "dev", UPLOAD, planned, "audio/mpeg", len(DATA), once=once)
        return await file_away(filing, body, describe, world.deps())


class TestFiling:
    async def test_the_key_travels_with_what_was_sent(self) -> None:
        world = world_of(outcomes=[REGISTERED])
        assert (await file_once(world)).answer is Answer.REGISTERED
        ((fact, _),) = world.announced
        assert isinstance(fact, ObjectStored)
        assert fact.request_key is not None
        expected = await kept()
        assert (fact.request_key.key, fact.request_key.fingerprint) == ("k", expected.fingerprint)
        assert not world.questions(FreeKey)

    async def test_a_fact_that_may_have_got_through_keeps_its_key(self) -> None:
        world = world_of(refuses_fact=AWAY)
        with pytest.raises(Unavailable):
            await file_once(world)
        assert not world.questions(FreeKey)

    async def test_before_anything_is_said_the_key_is_given_back(self) -> None:
        world = world_of(refuses_place=AWAY)
        with pytest.raises(Unavailable):
            await file_once(world)
        assert world.questions(FreeKey)

    async def test_what_the_catalog_refused_gives_its_key_back(self) -> None:
        failure = FailureDetail(failure=Failure.CONFLICT, code="upload-taken-over", detail="gone")
        refused = UploadOutcome(upload_id=UPLOAD, state="rejected", failure=failure)
        world = world_of(outcomes=[refused])
        with pytest.raises(Conflict):
            await file_once(world)
        assert world.questions(FreeKey)

    async def test_who_lost_the_key_leaves_no_bytes(self) -> None:
        world = world_of(Reserved(lease_seconds=0.0), TAKEN)
        with pytest.raises(Conflict):
            await file_once(world)
        assert world.questions(AbandonUpload)
        assert not world.announced
