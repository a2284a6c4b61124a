"""Queries on objects: what lies in the store, and what is expected to."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Select,
    Text,
    any_,
    bindparam,
    delete,
    literal,
    null,
    select,
    union_all,
    update,
)

from sluice_catalog.database.rows import columns_of, object_of
from sluice_catalog.database.tables import (
    DIRECT_IS_OPEN,
    UPLOAD_IS_OPEN,
    direct_uploads,
    objects,
    uploads,
)
from sluice_catalog.domain import StoredObject
from sluice_contracts.questions import OwnedObject
from sluice_runtime.database import insert_many
from sluice_runtime.session import Session


class SqlObjects:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, added: Sequence[StoredObject]) -> None:
        """Insert objects; one that is known already stays as it is."""
        rows = [columns_of(one) for one in added]
        await insert_many(self._session, objects, rows, skip_known=True)

    async def of_uploads(self, upload_ids: Sequence[str]) -> dict[str, StoredObject]:
        """The objects of several uploads, by upload."""
        query = select(objects).where(_is_of(upload_ids))
        found = [object_of(row) for row in await self._session.execute(query)]
        return {one.upload_id: one for one in found}

    async def by_key(self, key: str) -> StoredObject | None:
        query = select(objects).where(objects.c.key == key).with_for_update()
        row = (await self._session.execute(query)).first()
        return None if row is None else object_of(row)

    async def mark(self, upload_ids: Sequence[str], **values: Any) -> None:
        """Set `state` or `verified_at`; an object that is discarded stays so."""
        statement = (
            update(objects)
            .where(_is_of(upload_ids), objects.c.state != "discarded")
            .values(**values)
        )
        await self._session.execute(statement)

    async def remove_discarded(self, key: str) -> None:
        """Forget an object whose bytes are gone, if it was to go."""
        statement = delete(objects).where(objects.c.key == key, objects.c.state == "discarded")
        await self._session.execute(statement)

    async def page(self, after: str, limit: int) -> list[OwnedObject]:
        """Owned and expected objects in key order, beginning behind `after`."""
        both = _owned().subquery()
        query = select(both).where(both.c.key > after).order_by(both.c.key).limit(limit)
        return [_view(row) for row in await self._session.execute(query)]

    async def find(self, keys: Sequence[str]) -> list[OwnedObject]:
        """Those of `keys` that the catalog owns or waits for."""
        both = _owned().subquery()
        query = select(both).where(both.c.key.in_(keys))
        return [_view(row) for row in await self._session.execute(query)]


def _is_of(upload_ids: Sequence[str]) -> ColumnElement[bool]:
    """One parameter, however many they are: a batch may have more than a statement takes."""
    return objects.c.upload_id == any_(bindparam("upload_ids", list(upload_ids), ARRAY(Text)))


def _owned() -> Any:
    stored: Select[Any] = select(
        objects.c.key, objects.c.upload_id, objects.c.size_bytes, objects.c.sha256, objects.c.state
    )
    expected: Select[Any] = select(
        uploads.c.key,
        uploads.c.upload_id,
        null().label("size_bytes"),
        null().label("sha256"),
        literal("expected").label("state"),
    ).where(UPLOAD_IS_OPEN)
    sent_directly: Select[Any] = select(
        direct_uploads.c.key,
        direct_uploads.c.upload_id,
        null().label("size_bytes"),
        null().label("sha256"),
        literal("expected").label("state"),
    ).where(DIRECT_IS_OPEN)
    return union_all(stored, expected, sent_directly)


def _view(row: Row[Any]) -> OwnedObject:
    return OwnedObject(**row._mapping)
