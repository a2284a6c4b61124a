"""Places asked for together travel together, and each is answered by itself."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluice_contracts.facts import RenderUpload
from sluice_contracts.questions import (
    PlaceUpload,
    PlaceUploads,
    UploadBegun,
    UploadPlaced,
    UploadsPlaced,
)
from sluice_gateway.places import CoalescedPlaces
from sluice_runtime.errors import Unavailable

from .fakes import NOW


def place(n: int) -> PlaceUpload:
    return PlaceUpload(
        tenant="dev",
        upload_id=f"upl_{n:08}",
        registration=RenderUpload(
            render_id=f"{n:032x}", filename="a", format="wav", created_at=NOW, created_by="me"
        ),
        content_type="audio/wav",
        size_bytes=n,
    )


@dataclass
class FakeStorage:
    rounds: list[int] = field(default_factory=list)
    away_in: int | None = None
    closed: set[str] = field(default_factory=set)

    async def ask(self, question: Any, *, timeout_seconds: float = 5.0) -> Any:
        assert isinstance(question, PlaceUploads)
        self.rounds.append(len(question.uploads))
        await asyncio.sleep(0)
        if len(self.rounds) == self.away_in:
            raise Unavailable("away", code="storage-unavailable")
        if self.closed & {one.upload_id for one in question.uploads}:
            raise Unavailable("being removed", code="place-closed")
        begun = UploadBegun(put_url="http://store/whole", part_size=1)
        return UploadsPlaced(
            placed=tuple(
                UploadPlaced(bucket="media", key=one.upload_id, begun=begun)
                for one in question.uploads
            )
        )


async def test_everybody_gets_their_own_place_and_no_question_is_too_large() -> None:
    storage = FakeStorage()
    places = CoalescedPlaces(storage)
    placed = await asyncio.gather(*(places.place(place(n)) for n in range(1, 251)))
    assert [one.key for one in placed] == [f"upl_{n:08}" for n in range(1, 251)]
    assert max(storage.rounds) <= 100
    assert sum(storage.rounds) == 250


async def test_a_single_place_is_asked_for_at_once() -> None:
    storage = FakeStorage()
    placed = await CoalescedPlaces(storage).place(place(1))
    assert (placed.key, storage.rounds) == ("upl_00000001", [1])


async def test_with_storage_away_those_who_asked_then_know_it_and_the_next_do_not() -> None:
    places = CoalescedPlaces(FakeStorage(away_in=1))
    with pytest.raises(Unavailable) as caught:
        await places.place(place(1))
    assert caught.value.code == "storage-unavailable"
    assert (await places.place(place(2))).key == "upl_00000002"


async def test_a_closed_place_holds_up_nobody_else() -> None:
    storage = FakeStorage(closed={"upl_00000002"})
    places = CoalescedPlaces(storage)
    answers = await asyncio.gather(
        *(places.place(place(n)) for n in range(1, 4)), return_exceptions=True
    )
    assert [isinstance(one, Unavailable) for one in answers] == [False, True, False]
