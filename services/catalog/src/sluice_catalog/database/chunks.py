"""Queries on chunks. Where many pass, `start_ts` is in them: it names the partition."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Uuid, any_, bindparam, select, text, tuple_, update

from sluice_catalog.database.rows import columns_of
from sluice_catalog.database.tables import Moment, chunks, media, objects
from sluice_catalog.domain import Chunk
from sluice_contracts.questions import ChunkView, Gap, ListChunks
from sluice_contracts.statuses import ChunkStatus
from sluice_runtime.database import insert_many
from sluice_runtime.errors import NotFound
from sluice_runtime.session import Session

# What ends last so far, chunk by chunk: a long one may reach over several short ones behind it, and
# into the time that was asked for, of which no more are looked at than these.
_REACHING_IN = 100
_GAPS = text("""
    with earlier as (
        select end_ts from chunks
        where tenant = :tenant and device_id = :device_id
            and start_ts < cast(:since as timestamptz)
        order by start_ts desc, chunk_id desc limit :reaching_in
    )
    select covered_to, start_ts, extract(epoch from start_ts - covered_to) as seconds
    from (
        select start_ts, greatest((select max(end_ts) from earlier), max(end_ts) over (
            order by start_ts, chunk_id rows between unbounded preceding and 1 preceding
        )) as covered_to
        from chunks
        where tenant = :tenant and device_id = :device_id
            and (cast(:since as timestamptz) is null or start_ts >= :since)
            and (cast(:until as timestamptz) is null or start_ts < :until)
    ) as covered
    where start_ts - covered_to > make_interval(secs => :tolerance)
    order by start_ts limit :most
""").columns()

_KNOWN = select(chunks.c.chunk_id, chunks.c.file_path).where(
    chunks.c.chunk_id == any_(bindparam("ids", type_=ARRAY(Uuid))),
    chunks.c.start_ts.between(bindparam("first", type_=Moment), bindparam("last", type_=Moment)),
)


class ChunkNotFound(NotFound):
    code = "chunk-not-found"


class SqlChunks:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, added: Sequence[Chunk]) -> None:
        await insert_many(self._session, chunks, [columns_of(one) for one in added])

    async def known(self, starts: Mapping[UUID, datetime]) -> dict[UUID, str]:
        """The keys of those of the chunks that are there; `starts` is when each of them begins."""
        if not starts:
            return {}
        first, last = min(starts.values()), max(starts.values())
        values = {"ids": list(starts), "first": first, "last": last}
        rows = await self._session.ask(_KNOWN, values)
        return {row.chunk_id: row.file_path for row in rows}

    async def lock(self, tenant: str, chunk_id: UUID) -> Chunk:
        """The chunk, its row held until this transaction ends; raises `ChunkNotFound`."""
        query = select(chunks).where(chunks.c.chunk_id == chunk_id, chunks.c.tenant == tenant)
        row = (await self._session.execute(query.with_for_update())).first()
        if row is None:
            raise ChunkNotFound(f"There is no chunk {chunk_id}.")
        return Chunk(**{**row._mapping, "status": ChunkStatus(row.status)})

    async def save(self, chunk: Chunk) -> None:
        statement = (
            update(chunks)
            .where(chunks.c.chunk_id == chunk.chunk_id, chunks.c.start_ts == chunk.start_ts)
            .values(status=chunk.status, sequence=chunk.sequence)
        )
        await self._session.execute(statement)

    async def view(self, tenant: str, chunk_id: UUID) -> ChunkView:
        """Raises `ChunkNotFound`."""
        query = _VIEW.where(chunks.c.chunk_id == chunk_id, chunks.c.tenant == tenant)
        row = (await self._session.execute(query)).first()
        if row is None:
            raise ChunkNotFound(f"There is no chunk {chunk_id}.")
        return _view(row)

    async def page(self, asked: ListChunks, limit: int) -> list[ChunkView]:
        """The latest chunks, or those that follow the place asked for."""
        query = _narrowed(_VIEW, asked)
        if asked.after is not None:
            place = tuple_(chunks.c.start_ts, chunks.c.chunk_id)
            query = query.where(place < (asked.after.created_at, UUID(asked.after.id)))
            # The planner leaves partitions out for a plain bound, not for a pair.
            query = query.where(chunks.c.start_ts <= asked.after.created_at)
        latest = (chunks.c.start_ts.desc(), chunks.c.chunk_id.desc())
        rows = await self._session.execute(query.order_by(*latest).limit(limit))
        return [_view(row) for row in rows]

    async def gaps(
        self,
        tenant: str,
        device_id: UUID,
        *,
        since: datetime | None,
        until: datetime | None,
        tolerance_ms: int,
        most: int,
    ) -> list[Gap]:
        """The first holes before chunks of a device that begin within the time; the chunk before a
        hole may have ended earlier."""
        values = {
            "tenant": tenant,
            "device_id": device_id,
            "since": since,
            "until": until,
            "tolerance": tolerance_ms / 1000,
            "most": most,
            "reaching_in": _REACHING_IN,
        }
        return [
            Gap(start_ts=row.covered_to, end_ts=row.start_ts, duration_sec=row.seconds)
            for row in await self._session.ask(_GAPS, values)
        ]


def _narrowed(query: Select[Any], asked: ListChunks) -> Select[Any]:
    query = query.where(chunks.c.tenant == asked.tenant)
    for name in ("point_id", "register_id", "device_id", "status"):
        wanted = getattr(asked, name)
        if wanted is not None:
            query = query.where(chunks.c[name] == wanted)
    if asked.since is not None:
        query = query.where(chunks.c.start_ts >= asked.since)
    if asked.until is not None:
        query = query.where(chunks.c.start_ts < asked.until)
    return query


def _view(row: Row[Any]) -> ChunkView:
    return ChunkView(**row._mapping)


_SHOWN = [column for column in chunks.c if column.name not in ("tenant", "sequence")]
_VIEW: Select[Any] = (
    select(
        *_SHOWN,
        media.c.duration_seconds.label("true_duration_seconds"),
        objects.c.sha256,
        objects.c.content_type,
        objects.c.bucket,
    )
    .join(objects, objects.c.upload_id == chunks.c.upload_id)
    .outerjoin(media, media.c.upload_id == chunks.c.upload_id)
)
