"""Queries on API keys. Only digests are kept."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert

from sluice_catalog.database.tables import keys
from sluice_contracts.questions import Principal
from sluice_runtime.session import Session


class SqlKeys:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def resolve(self, token_sha256: str) -> Principal | None:
        """Whose key this is; None when it is unknown, expired or revoked."""
        query = select(keys).where(
            keys.c.token_sha256 == token_sha256,
            keys.c.revoked_at.is_(None),
            or_(keys.c.expires_at.is_(None), keys.c.expires_at > func.now()),
        )
        row = (await self._session.execute(query)).first()
        if row is None:
            return None
        return Principal(
            tenant=row.tenant,
            subject=row.name,
            scopes=frozenset(row.scopes),
            expires_at=row.expires_at,
        )

    async def put(
        self, token_sha256: str, *, name: str, tenant: str, scopes: Sequence[str], at: datetime
    ) -> None:
        """Make sure a key exists with exactly these rights."""
        values = {"name": name, "tenant": tenant, "scopes": list(scopes)}
        statement = (
            insert(keys)
            .values(token_sha256=token_sha256, created_at=at, **values)
            .on_conflict_do_update(index_elements=[keys.c.token_sha256], set_=values)
        )
        await self._session.execute(statement)

    async def any_of(self, digests: Sequence[str]) -> bool:
        """Whether one of these keys is valid."""
        query = select(keys.c.name).where(
            keys.c.token_sha256.in_(digests), keys.c.revoked_at.is_(None)
        )
        return (await self._session.execute(query)).first() is not None
