"""First answers, kept so that a repeated request gets them again."""

from datetime import datetime

from sqlalchemy import ColumnElement, Table, delete, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from sluice_catalog.database.tables import idempotency, reservations
from sluice_contracts.base import JsonObject
from sluice_contracts.questions import Idempotency
from sluice_runtime.database import insert_many
from sluice_runtime.errors import Conflict, Rejected
from sluice_runtime.session import Session

_FORGET_AT_ONCE = 10_000


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

    async def keep_new(
        self, tenant: str, scope: str, asked: Idempotency, answer: JsonObject, at: datetime
    ) -> None:
        """As `keep`; one that is kept already stays as it is."""
        row = {
            "tenant": tenant,
            "scope": scope,
            "key": asked.key,
            "fingerprint": asked.fingerprint,
            "answer": answer,
            "created_at": at,
        }
        await insert_many(self._session, idempotency, [row], skip_known=True)
        await self._session.execute(
            delete(reservations).where(*_reserved(tenant, scope, asked.key))
        )

    async def kept(self, tenant: str, scope: str, key: str) -> tuple[str, JsonObject] | None:
        """Fingerprint and answer of the request that used this key; None when none did."""
        query = select(idempotency.c.fingerprint, idempotency.c.answer).where(
            idempotency.c.tenant == tenant, idempotency.c.scope == scope, idempotency.c.key == key
        )
        row = (await self._session.execute(query)).first()
        return None if row is None else (row.fingerprint, row.answer)

    async def reserve(
        self, tenant: str, scope: str, key: str, claim_id: str, now: datetime, until: datetime
    ) -> bool:
        """Whether the key is this claim's until then; another's is taken once it has lapsed."""
        values = {"claim_id": claim_id, "claimed_until": until}
        statement = (
            insert(reservations)
            .values(tenant=tenant, scope=scope, key=key, **values)
            .on_conflict_do_update(
                index_elements=[reservations.c.tenant, reservations.c.scope, reservations.c.key],
                set_=values,
                where=or_(reservations.c.claim_id == claim_id, reservations.c.claimed_until < now),
            )
            .returning(reservations.c.key)
        )
        return (await self._session.execute(statement)).first() is not None

    async def free(self, tenant: str, scope: str, key: str, claim_id: str) -> None:
        """Give a key back; harmless when it is somebody else's by now."""
        mine = reservations.c.claim_id == claim_id
        statement = delete(reservations).where(*_reserved(tenant, scope, key), mine)
        await self._session.execute(statement)

    async def forget(self, before: datetime) -> bool:
        """Drop some of what was kept or held before then.

        Says whether there may be more: one statement must not run into its time limit.
        """
        some = [
            await self._forget_some(idempotency, idempotency.c.created_at < before),
            await self._forget_some(reservations, reservations.c.claimed_until < before),
        ]
        return any(some)

    async def _forget_some(self, table: Table, old: ColumnElement[bool]) -> bool:
        place = (table.c.tenant, table.c.scope, table.c.key)
        chunk = select(*place).where(old).limit(_FORGET_AT_ONCE)
        statement = delete(table).where(tuple_(*place).in_(chunk))
        return (await self._session.execute(statement)).rowcount == _FORGET_AT_ONCE


def _reserved(tenant: str, scope: str, key: str) -> tuple[ColumnElement[bool], ...]:
    table = reservations.c
    return table.tenant == tenant, table.scope == scope, table.key == key
