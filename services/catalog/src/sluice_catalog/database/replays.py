"""First answers, kept so that a repeated request gets them again."""

from datetime import datetime

from sqlalchemy import delete, func, select

from sluice_catalog.database.tables import idempotency
from sluice_contracts.base import JsonObject
from sluice_contracts.questions import Idempotency
from sluice_runtime.database import Session
from sluice_runtime.errors import Conflict, Rejected


class SqlReplays:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, tenant: str, scope: str, asked: Idempotency) -> JsonObject | None:
        """The first answer to this request; None when it is new, and ours to answer.

        Raises:
            Conflict: the first request with this key is still running.
            Rejected: the key was used for another request.
        """
        place = func.hashtextextended(f"{tenant}\n{scope}\n{asked.key}", 0)
        lock = select(func.pg_try_advisory_xact_lock(place))
        if not (await self._session.execute(lock)).scalar_one():
            raise Conflict(
                "A request with this idempotency key is still running.",
                code="request-in-progress",
                retry_after_seconds=1,
            )
        query = select(idempotency.c.fingerprint, idempotency.c.answer).where(
            idempotency.c.tenant == tenant,
            idempotency.c.scope == scope,
            idempotency.c.key == asked.key,
        )
        row = (await self._session.execute(query)).first()
        if row is None:
            return None
        if row.fingerprint != asked.fingerprint:
            raise Rejected(
                "This idempotency key was used for another request; take a new one.",
                code="idempotency-key-reused",
            )
        answer: JsonObject = row.answer
        return answer

    async def keep(
        self, tenant: str, scope: str, asked: Idempotency, answer: JsonObject, at: datetime
    ) -> None:
        """Remember the answer, in the transaction that made it true."""
        values = {
            "tenant": tenant,
            "scope": scope,
            "key": asked.key,
            "fingerprint": asked.fingerprint,
            "answer": answer,
            "created_at": at,
        }
        await self._session.execute(idempotency.insert().values(values))

    async def forget(self, before: datetime) -> None:
        await self._session.execute(delete(idempotency).where(idempotency.c.created_at < before))
