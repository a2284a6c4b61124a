"""What inspectors read from files."""

from sqlalchemy.dialects.postgresql import insert

from sluice_catalog.database.tables import media
from sluice_contracts.facts import MediaFacts, ObjectInspected
from sluice_runtime.database import Session


class SqlMedia:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def keep(self, fact: ObjectInspected) -> None:
        """Keep what was read; a later look replaces an earlier one."""
        read = fact.media or MediaFacts()
        values = {
            "readable": fact.readable,
            "reason": fact.reason,
            **read.model_dump(exclude={"peaks"}),
            "peaks": bytes(read.peaks),
            "inspected_at": fact.inspected_at,
        }
        statement = insert(media).values(upload_id=fact.upload_id, **values)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=[media.c.upload_id], set_=values)
        )
