"""The months of `chunks` on Postgres: made ahead, safe to repeat, and no row is lost on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sluice_catalog.database import make_partitions, open_work
from sluice_catalog.database.partitions import months_around
from sluice_catalog.database.tables import chunks, metadata
from sluice_catalog.domain import Chunk
from sluice_contracts.statuses import ChunkStatus
from sluice_runtime.database import make_engine
from tests.support import eventually

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MONTHS = 15


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    """A database without a month."""
    engine = make_engine(url)
    async with engine.begin() as connection:
        for name in await partitions(connection):
            if name != "chunks_elsewhen":
                await connection.execute(text(f"drop table {name}"))
        await connection.execute(
            text(f"truncate {', '.join(one.name for one in metadata.sorted_tables)}")
        )
    yield engine
    await engine.dispose()


async def partitions(connection: AsyncConnection) -> list[str]:
    query = "select inhrelid::regclass::text from pg_inherits where inhparent = 'chunks'::regclass"
    return sorted((await connection.execute(text(query))).scalars())


async def names(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return await partitions(connection)


def chunk(n: int, start: datetime) -> Chunk:
    return Chunk(
        chunk_id=UUID(int=n),
        tenant="dev",
        upload_id=f"upl_{n:08}",
        device_id=UUID(int=1),
        point_id=UUID(int=2),
        register_id=UUID(int=3),
        start_ts=start,
        end_ts=start + timedelta(minutes=1),
        duration_sec=60,
        codec="opus",
        sample_rate=48_000,
        channels=1,
        file_path=f"audio/{n}",
        file_size_bytes=1,
        status=ChunkStatus.QUEUED,
        sequence=2,
        created_at=NOW,
    )


async def keep(engine: AsyncEngine, *added: Chunk) -> None:
    async with open_work(engine) as work:
        await work.chunks.add(added)
        await work.commit()


async def places(engine: AsyncEngine) -> dict[int, str]:
    """The partition each chunk lies in."""
    query = select(chunks.c.chunk_id, func.text(text("chunks.tableoid::regclass")).label("place"))
    async with engine.connect() as connection:
        rows = await connection.execute(query)
        return {row.chunk_id.int: row.place for row in rows}


async def test_every_month_around_is_made_once(engine: AsyncEngine) -> None:
    assert await make_partitions(engine, NOW) == MONTHS
    expected = [f"chunks_{month:%Y_%m}" for month in months_around(NOW)]
    assert await names(engine) == [*expected, "chunks_elsewhen"]
    assert await make_partitions(engine, NOW) == 0
    assert await make_partitions(engine, NOW + timedelta(days=31)) == 1
    assert len(await names(engine)) == MONTHS + 2


async def test_a_row_that_came_too_early_moves_into_its_month(engine: AsyncEngine) -> None:
    last = datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC)
    starts = {
        1: datetime(2026, 11, 1, tzinfo=UTC),
        2: last,
        3: last + timedelta(microseconds=1),
        4: datetime(1999, 1, 1, tzinfo=UTC),
        5: datetime(2027, 11, 30, tzinfo=UTC),
        6: datetime(2027, 12, 1, tzinfo=UTC),
    }
    told = [chunk(n, start) for n, start in starts.items()]
    await keep(engine, *told)
    assert set((await places(engine)).values()) == {"chunks_elsewhen"}
    await make_partitions(engine, NOW)
    assert await places(engine) == {
        1: "chunks_2026_11",
        2: "chunks_2026_11",
        3: "chunks_2026_12",
        4: "chunks_elsewhen",
        5: "chunks_2027_11",
        6: "chunks_elsewhen",
    }
    async with open_work(engine) as work:
        for one in told:
            assert await work.chunks.lock("dev", one.chunk_id) == one


async def test_what_comes_later_goes_into_its_month_at_once(engine: AsyncEngine) -> None:
    await make_partitions(engine, NOW)
    await keep(engine, chunk(1, NOW), chunk(2, NOW + timedelta(days=30)))
    assert await places(engine) == {1: "chunks_2026_11", 2: "chunks_2026_12"}


async def test_two_at_once_make_each_month_once(engine: AsyncEngine) -> None:
    await keep(engine, chunk(1, NOW))
    made = await asyncio.gather(*(make_partitions(engine, NOW) for _ in range(3)))
    assert sum(made) == MONTHS
    assert len(await names(engine)) == MONTHS + 1
    assert await places(engine) == {1: "chunks_2026_11"}


async def test_chunks_may_come_while_months_are_made(engine: AsyncEngine) -> None:
    starts = [NOW + timedelta(days=n % 300) for n in range(60)]

    async def send() -> None:
        for n, start in enumerate(starts):
            await keep(engine, chunk(n, start))

    await asyncio.gather(send(), make_partitions(engine, NOW))
    found = await places(engine)
    assert found == {n: f"chunks_{start:%Y_%m}" for n, start in enumerate(starts)}


@asynccontextmanager
async def impatient(url: str, **limits: str) -> AsyncIterator[AsyncEngine]:
    """An engine whose statements have less time than those of a service."""
    engine = make_engine(url)

    @event.listens_for(engine.sync_engine, "connect")
    def limit(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for name, value in limits.items():
            cursor.execute(f"set {name} = '{value}'")
        connection.commit()

    yield engine
    await engine.dispose()


@asynccontextmanager
async def slow_moves(engine: AsyncEngine) -> AsyncIterator[None]:
    """A row takes as long to move as a million rows would."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                """create function take_long() returns trigger language plpgsql as
                'begin perform pg_sleep(2); return old; end'"""
            )
        )
        await connection.execute(
            text(
                """create trigger take_long before delete on chunks_elsewhen
                for each row execute function take_long()"""
            )
        )
    try:
        yield
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("drop function take_long cascade"))


async def test_no_limit_of_a_statement_ends_a_move(engine: AsyncEngine, url: str) -> None:
    await keep(engine, chunk(1, NOW))
    async with slow_moves(engine), impatient(url, statement_timeout="1s") as limited:
        assert await make_partitions(limited, NOW) == MONTHS
    assert await places(engine) == {1: "chunks_2026_11"}


async def test_a_reader_that_hangs_stops_neither_chunks_nor_for_good_the_months(
    engine: AsyncEngine, url: str
) -> None:
    asks = """select count(*) from pg_locks
        where mode = 'AccessExclusiveLock' and relation = 'chunks'::regclass and not granted"""

    async def is_waiting() -> bool:
        async with engine.connect() as connection:
            return bool((await connection.execute(text(asks))).scalar())

    async with impatient(url, lock_timeout="2500ms") as limited, engine.connect() as reader:
        await reader.execute(text("select count(*) from chunks"))
        making = asyncio.create_task(make_partitions(limited, NOW))
        for n in range(2):
            await eventually(is_waiting, seconds=20)
            # Nothing of a service waits longer for a lock than five seconds.
            await asyncio.wait_for(keep(engine, chunk(n, NOW)), 4)
        await reader.rollback()
        assert await making == MONTHS
    assert await places(engine) == {0: "chunks_2026_11", 1: "chunks_2026_11"}
