"""Queries across tables: an object with what is known of it, and what happened to an upload."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, or_, select

from sluice_catalog.database.tables import direct_uploads, media, objects, status_history, uploads
from sluice_contracts.facts import MediaFacts
from sluice_contracts.questions import Inspection, ObjectView, TimelineEntry
from sluice_contracts.statuses import Kind
from sluice_runtime.errors import NotFound
from sluice_runtime.session import Session

_MEDIA = [column for column in media.c if column.name not in ("upload_id", "peaks")]

_PLAIN = tuple(name for name in ObjectView.model_fields if name != "inspection")


class SqlShown:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def object(self, tenant: str, upload_id: str, *, with_peaks: bool) -> ObjectView:
        """An object of any door. Raises `NotFound`, also for one of another tenant."""
        name = func.coalesce(
            direct_uploads.c.filename,
            uploads.c.filename,
            func.regexp_replace(objects.c.key, "^.*/", ""),
        )
        query = (
            select(objects, name.label("filename"), *_MEDIA)
            .outerjoin(direct_uploads, direct_uploads.c.upload_id == objects.c.upload_id)
            .outerjoin(uploads, uploads.c.upload_id == objects.c.upload_id)
            .outerjoin(media, media.c.upload_id == objects.c.upload_id)
            .where(
                objects.c.upload_id == upload_id,
                objects.c.tenant == tenant,
                objects.c.state != "discarded",
            )
        )
        row = (await self._session.execute(query)).first()
        if row is None:
            shown = upload_id.removeprefix("upl_")
            raise NotFound(f"There is no object obj_{shown}.", code="object-not-found")
        peaks = await self._peaks(upload_id) if with_peaks else ()
        values = {
            name: row._mapping[name] for name in ObjectView.model_fields if name in row._fields
        }
        return ObjectView(**values, inspection=_inspection(row, peaks))

    async def _peaks(self, upload_id: str) -> tuple[int, ...]:
        query = select(media.c.peaks).where(media.c.upload_id == upload_id)
        peaks: bytes | None = (await self._session.execute(query)).scalar()
        return tuple(peaks or b"")

    async def history(self, upload_id: str, recording_id: str | None) -> list[TimelineEntry]:
        """Every status of an upload, and of the recording that was made of it, in their order."""
        steps = status_history.c
        query = (
            select(status_history)
            .where(
                or_(
                    (steps.kind == Kind.UPLOAD) & (steps.id == upload_id),
                    (steps.kind == Kind.RECORDING) & (steps.id == recording_id),
                )
            )
            .order_by(steps.position)
        )
        return [_step(row) for row in await self._session.execute(query)]


def _inspection(row: Row[Any], peaks: Sequence[int]) -> Inspection | None:
    if row.inspected_at is None:
        return None
    read = {name: row._mapping[name] for name in MediaFacts.model_fields if name != "peaks"}
    return Inspection(
        readable=row.readable,
        reason=row.reason,
        media=MediaFacts(**read, peaks=tuple(peaks)) if row.readable else None,
        inspected_at=row.inspected_at,
    )


def _step(row: Row[Any]) -> TimelineEntry:
    detail = {
        "sequence": row.sequence,
        "previous": row.previous,
        "reason": row.reason,
        "actor": row.actor,
        "id": row.id,
    }
    return TimelineEntry(at=row.changed_at, event=f"{row.kind}.{row.status}", detail=detail)
