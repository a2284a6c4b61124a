"""Bucket against rows: two sorted lists joined by key, and what to think of each pair."""

from collections.abc import AsyncIterator
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from sluice_cli.failures import IntegrityError
from sluice_contracts.questions import (
    Done,
    FoundObject,
    OwnedObject,
    Question,
    RemoveObject,
    ReportMissing,
    RestateObject,
)

T = TypeVar("T", FoundObject, OwnedObject)

Pair = tuple[FoundObject | None, OwnedObject | None]


class Kind(StrEnum):
    """What can be wrong with one key."""

    LOST_ROW = "lost-row"  # acknowledged bytes the catalog has no row for
    UNANNOUNCED = "unannounced"  # acknowledged bytes the catalog still waits for
    ORPHAN = "orphan"  # bytes nobody acknowledged and nobody waits for
    MISSING_OBJECT = "missing-object"  # a stored row without bytes
    SIZE_MISMATCH = "size-mismatch"  # the bytes are not as many as the row says
    UNDELETED = "undeleted"  # bytes of a discarded row


REPAIRS: dict[Kind, type[RestateObject] | type[RemoveObject] | type[ReportMissing]] = {
    Kind.LOST_ROW: RestateObject,
    Kind.UNANNOUNCED: RestateObject,
    Kind.ORPHAN: RemoveObject,
    Kind.UNDELETED: RemoveObject,
    Kind.MISSING_OBJECT: ReportMissing,
}


class Difference(BaseModel):
    """One key about which store and catalog disagree."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    key: str
    upload_id: str | None = None
    detail: str

    def repair(self) -> Question[Done] | None:
        """The command that puts it right; None where a person has to look."""
        command = REPAIRS.get(self.kind)
        return command(key=self.key) if command else None


def judge(
    found: FoundObject | None, owned: OwnedObject | None, settled: datetime
) -> Difference | None:
    """What is wrong with one key.

    Objects changed after `settled` may belong to an upload or a deletion still under way.
    """
    if owned is None:
        return _unowned(found, settled) if found else None
    if found is None:
        if owned.state != "stored":
            return None
        return _difference(Kind.MISSING_OBJECT, owned, "the row says stored, the store has nothing")
    is_settled = found.modified_at <= settled
    if owned.state == "expected" and found.registration is not None and is_settled:
        return _difference(Kind.UNANNOUNCED, owned, "stored, but the catalog still waits for it")
    if owned.state == "discarded" and is_settled:
        return _difference(Kind.UNDELETED, owned, "discarded, but still in the store")
    if owned.state == "stored" and owned.size_bytes not in (None, found.size_bytes):
        sizes = f"{found.size_bytes} bytes in the store, {owned.size_bytes} in the row"
        return _difference(Kind.SIZE_MISMATCH, owned, sizes)
    return None


def _unowned(found: FoundObject, settled: datetime) -> Difference | None:
    if found.registration is not None:
        return Difference(
            kind=Kind.LOST_ROW,
            key=found.key,
            upload_id=found.registration.upload_id,
            detail=f"acknowledged, {found.size_bytes} bytes, but without a row",
        )
    if found.modified_at > settled:
        return None
    detail = f"{found.size_bytes} bytes since {found.modified_at.isoformat()}, owned by nobody"
    return Difference(kind=Kind.ORPHAN, key=found.key, detail=detail)


def _difference(kind: Kind, owned: OwnedObject, detail: str) -> Difference:
    return Difference(kind=kind, key=owned.key, upload_id=owned.upload_id, detail=detail)


async def join(
    found: AsyncIterator[FoundObject], owned: AsyncIterator[OwnedObject]
) -> AsyncIterator[Pair]:
    """Every key of either list once, ascending, with what each list says of it.

    Raises:
        IntegrityError: a list is out of order. Joined all the same, it would show objects as
            orphans that have an owner, and a repair would delete them.
    """
    left, right = _ascending(found), _ascending(owned)
    one, other = await anext(left, None), await anext(right, None)
    while one is not None or other is not None:
        # Code points sort as their UTF-8 bytes do, so comparing strings is comparing bytes.
        if other is None or (one is not None and one.key < other.key):
            yield one, None
            one = await anext(left, None)
        elif one is None or other.key < one.key:
            yield None, other
            other = await anext(right, None)
        else:
            yield one, other
            one, other = await anext(left, None), await anext(right, None)


async def _ascending(items: AsyncIterator[T]) -> AsyncIterator[T]:
    previous = ""
    async for item in items:
        if item.key <= previous:
            raise IntegrityError(f"a list is not sorted by key in byte order: {item.key}")
        previous = item.key
        yield item
