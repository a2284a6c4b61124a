"""What inspectors read from files."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, exists

from sluice_catalog.database.tables import media, objects
from sluice_contracts.facts import MediaFacts, ObjectInspected
from sluice_runtime.database import as_document
from sluice_runtime.session import Session

_KEEP = """
    insert into media (upload_id, readable, reason, container, codec, duration_seconds, sample_rate,
        channels, has_video, width, height, peaks, inspected_at)
    select upload_id, readable, reason, container, codec, duration_seconds, sample_rate, channels,
        has_video, width, height, decode(peaks, 'hex'), inspected_at
    from json_to_recordset(cast(:rows as json)) as given(
        upload_id text, readable boolean, reason text, container text, codec text,
        duration_seconds double precision, sample_rate integer, channels integer, has_video boolean,
        width integer, height integer, peaks text, inspected_at timestamptz
    )
    on conflict (upload_id) do update set
        readable = excluded.readable, reason = excluded.reason, container = excluded.container,
        codec = excluded.codec, duration_seconds = excluded.duration_seconds,
        sample_rate = excluded.sample_rate, channels = excluded.channels,
        has_video = excluded.has_video, width = excluded.width, height = excluded.height,
        peaks = excluded.peaks, inspected_at = excluded.inspected_at
"""


class SqlMedia:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def keep(self, facts: Sequence[ObjectInspected]) -> None:
        """Keep what was read; a later look replaces an earlier one."""
        latest = {fact.upload_id: _row(fact) for fact in facts}
        if latest:
            await self._session.write("media", _KEEP, {"rows": as_document([*latest.values()])})

    async def forget(self, upload_id: str) -> None:
        """Drop what was read from an upload that has no object any more."""
        there = exists().where(objects.c.upload_id == upload_id)
        await self._session.execute(delete(media).where(media.c.upload_id == upload_id, ~there))


def _row(fact: ObjectInspected) -> dict[str, Any]:
    read = fact.media or MediaFacts()
    return {
        "upload_id": fact.upload_id,
        "readable": fact.readable,
        "reason": fact.reason,
        **read.model_dump(exclude={"peaks"}),
        "peaks": bytes(read.peaks).hex(),
        "inspected_at": fact.inspected_at,
    }
