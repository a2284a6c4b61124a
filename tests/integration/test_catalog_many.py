"""The catalog on Postgres with more of one thing than a statement may have parameters."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice_catalog.database import open_work
from sluice_catalog.ports import Deps
from sluice_catalog.usecases.batches import delete_batch
from sluice_contracts.questions import DeleteBatch
from sluice_runtime.database import make_engine
from tests.integration.many_recordings import filling, sending

MANY = 66_000
OPEN = MANY // 100
BATCH, OTHER = "rb_large000", "rb_other000"


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(url)
    yield engine
    await engine.dispose()


async def _count(engine: AsyncEngine, what: str) -> int:
    async with engine.connect() as connection:
        found: int = (await connection.execute(text(f"select count(*) from {what}"))).scalar_one()
    return found


async def test_a_batch_of_any_size_is_deleted(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(filling(BATCH, MANY)))
        await connection.execute(text(sending(BATCH, MANY)))
        await connection.execute(text(filling(OTHER, 1)))
        await connection.execute(text(sending(OTHER, 1)))
    nothing: Any = None
    deps = Deps(
        work=partial(open_work, engine),
        wake_relay=lambda: None,
        tell_auth_changed=nothing,
        replies=nothing,
        receipts=nothing,
        claim_lease=timedelta(seconds=10),
        upload_deadline=timedelta(days=1),
        render_lifetime=timedelta(days=1),
    )
    await delete_batch(DeleteBatch(tenant="dev", batch_id=BATCH, actor="me"), deps)
    for table in ("batches", "uploads", "recordings", "direct_uploads"):
        assert await _count(engine, table) == 1
    assert await _count(engine, "tombstones") == 2 * MANY
    assert await _count(engine, "objects where state = 'discarded'") == MANY
    assert await _count(engine, "outbox where subject like '%.object.discarded.%'") == MANY + OPEN
    assert await _count(engine, "outbox where subject like '%.upload.status_changed.%'") == OPEN
