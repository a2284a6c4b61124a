"""The join of bucket and rows, and what is made of each pair."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_cli.differences import Kind, Pair, join, judge
from sluice_cli.failures import IntegrityError
from sluice_contracts.facts import RecordingUpload, StoredBytes
from sluice_contracts.questions import (
    FoundObject,
    OwnedObject,
    RemoveObject,
    ReportMissing,
    RestateObject,
    StoredRegistration,
)

T = TypeVar("T")
State = Literal["expected", "stored", "damaged", "discarded"]

SETTLED = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
OLD = SETTLED - timedelta(hours=1)
YOUNG = SETTLED + timedelta(minutes=1)
UPLOAD_ID = "upl_12345678"


def found(
    key: str = "k", *, at: datetime = OLD, size: int = 5, registered: bool = False
) -> FoundObject:
    registration = StoredRegistration(
        upload_id=UPLOAD_ID,
        tenant="t",
        bytes=StoredBytes(
            bucket="b", key=key, size_bytes=size, sha256="0" * 64, content_type="audio/wav"
        ),
        etag="e",
        registration=RecordingUpload(
            batch_id="rb_12345678", recording_id="rec_12345678", filename="f", created_by="c"
        ),
        stored_at=at,
    )
    return FoundObject(
        key=key,
        size_bytes=size,
        modified_at=at,
        registration=registration if registered else None,
    )


def owned(key: str = "k", *, state: State = "stored", size: int | None = 5) -> OwnedObject:
    return OwnedObject(key=key, upload_id=UPLOAD_ID, size_bytes=size, sha256=None, state=state)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ((found(registered=True), owned()), None),
        ((found(registered=True, at=YOUNG), None), Kind.LOST_ROW),
        ((found(), None), Kind.ORPHAN),
        ((found(at=YOUNG), None), None),
        ((found(at=SETTLED), None), Kind.ORPHAN),
        ((None, owned()), Kind.MISSING_OBJECT),
        ((None, owned(state="expected")), None),
        ((None, owned(state="damaged")), None),
        ((None, owned(state="discarded")), None),
        ((found(), owned(state="expected")), None),
        ((found(registered=True, at=YOUNG), owned(state="expected", size=None)), None),
        ((found(registered=True), owned(state="expected", size=None)), Kind.UNANNOUNCED),
        ((found(size=6), owned()), Kind.SIZE_MISMATCH),
        ((found(size=6), owned(size=None)), None),
        ((found(size=6), owned(state="damaged")), None),
        ((found(registered=True), owned(state="discarded")), Kind.UNDELETED),
        ((found(at=YOUNG), owned(state="discarded")), None),
        ((None, None), None),
    ],
)
def test_what_is_made_of_a_pair(pair: Pair, expected: Kind | None) -> None:
    difference = judge(*pair, SETTLED)
    assert (difference.kind if difference else None) == expected


def test_each_difference_has_its_repair() -> None:
    def repair(pair: Pair) -> object:
        difference = judge(*pair, SETTLED)
        assert difference is not None
        return difference.repair()

    assert repair((found(registered=True), None)) == RestateObject(key="k")
    assert repair((found(), None)) == RemoveObject(key="k")
    assert repair((found(), owned(state="discarded"))) == RemoveObject(key="k")
    assert repair((None, owned())) == ReportMissing(key="k")
    assert repair((found(size=6), owned())) is None


async def stream(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item


def joined(left: Iterable[str], right: Iterable[str]) -> list[tuple[str | None, str | None]]:
    async def collect() -> list[tuple[str | None, str | None]]:
        pairs = join(stream([found(key) for key in left]), stream([owned(key) for key in right]))
        return [
            (one.key if one else None, other.key if other else None) async for one, other in pairs
        ]

    return asyncio.run(collect())


def in_bytes(keys: Iterable[str]) -> list[str]:
    return sorted(keys, key=lambda key: key.encode())


# Surrogates have no place in UTF-8, so no key holds one.
KEYS = st.sets(st.text(st.characters(codec="utf-8"), min_size=1, max_size=4))


@given(KEYS, KEYS)
def test_the_join_shows_every_key_once_in_byte_order(left: set[str], right: set[str]) -> None:
    assert joined(in_bytes(left), in_bytes(right)) == [
        (key if key in left else None, key if key in right else None)
        for key in in_bytes(left | right)
    ]


@pytest.mark.parametrize("keys", [["b", "a"], ["a", "a"], ["a", "B"]])
def test_a_list_out_of_order_stops_everything(keys: list[str]) -> None:
    with pytest.raises(IntegrityError):
        joined(keys, [])
    with pytest.raises(IntegrityError):
        joined([], keys)
