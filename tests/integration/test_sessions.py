"""Transactions on Postgres, by both ways: through SQLAlchemy, and straight to psycopg."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice_catalog.database.tables import inbox
from sluice_runtime.database import make_engine
from sluice_runtime.errors import NotFound, Unavailable
from sluice_runtime.session import Session, open_session

INSERT = "insert into inbox (event_id) values (:event_id)"
ALL = select(inbox.c.event_id).order_by(inbox.c.event_id)
NAMED = select(inbox.c.event_id).where(inbox.c.event_id == bindparam("event_id"))
LOCK = text("select pg_advisory_xact_lock(:key)").columns()
PREPARED = text("select statement from pg_prepared_statements").columns()
SLEEP = text("select pg_sleep(:seconds)").columns()
BACKEND = select(func.pg_backend_pid().label("pid"))
END_OTHERS = text("""
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
""").columns()


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(url)
    yield engine
    async with engine.begin() as connection:
        await connection.execute(text("truncate inbox"))
    await engine.dispose()


async def write(session: Session, event_id: str) -> None:
    await session.write("inbox", INSERT, {"event_id": event_id})


async def written(engine: AsyncEngine) -> list[str]:
    async with open_session(engine) as session:
        return [row.event_id for row in await session.ask(ALL, {})]


async def open_at_once(engine: AsyncEngine, count: int) -> set[int]:
    """The backends of as many connections, which the pool keeps."""
    together = asyncio.Barrier(count)

    async def one() -> int:
        async with open_session(engine) as session:
            (row,) = await session.ask(BACKEND, {})
            await together.wait()
        pid: int = row.pid
        return pid

    return set(await asyncio.gather(*(one() for _ in range(count))))


async def end_connections(url: str) -> None:
    """What a restart of the server does to connections, without the waiting."""
    other = make_engine(url)
    async with open_session(other) as session:
        await session.ask(END_OTHERS, {})
    await other.dispose()


class TestOneTransaction:
    async def test_both_ways_see_what_was_written(self, engine: AsyncEngine) -> None:
        async with open_session(engine) as session:
            await write(session, "a")
            assert [row.event_id for row in await session.ask(NAMED, {"event_id": "a"})] == ["a"]
            await write(session, "b")
            assert list((await session.execute(ALL)).scalars()) == ["a", "b"]

    @pytest.mark.parametrize("through", ["ask", "execute", "both"])
    async def test_a_commit_keeps_all_of_it(self, engine: AsyncEngine, through: str) -> None:
        async with open_session(engine) as session:
            await write(session, "a")
            if through != "execute":
                await session.ask(ALL, {})
            if through != "ask":
                await session.execute(ALL)
            await write(session, "b")
            await session.commit()
        assert await written(engine) == ["a", "b"]

    @pytest.mark.parametrize("through", ["ask", "execute", "both"])
    async def test_without_a_commit_nothing_happened(
        self, engine: AsyncEngine, through: str
    ) -> None:
        async with open_session(engine) as session:
            await write(session, "a")
            if through != "execute":
                await session.ask(ALL, {})
            if through != "ask":
                await session.execute(ALL)
        assert await written(engine) == []

    async def test_a_refusal_undoes_what_was_written(self, engine: AsyncEngine) -> None:
        async def refuse() -> None:
            async with open_session(engine) as session:
                await write(session, "a")
                await session.ask(ALL, {})
                raise NotFound("There is none.")

        with pytest.raises(NotFound):
            await refuse()
        assert await written(engine) == []

    async def test_what_the_database_refuses_costs_no_connection(self, engine: AsyncEngine) -> None:
        async def write_twice() -> None:
            async with open_session(engine) as session:
                await write(session, "a")
                await write(session, "a")
                await session.commit()

        (before,) = await open_at_once(engine, 1)
        with pytest.raises(psycopg.errors.UniqueViolation):
            await write_twice()
        assert await written(engine) == []
        assert await open_at_once(engine, 1) == {before}

    async def test_after_a_failed_statement_there_is_no_commit(self, engine: AsyncEngine) -> None:
        """Postgres would answer it as if all were well, having undone everything."""
        async with open_session(engine) as session:
            await write(session, "a")
            await write(session, "a")
            with pytest.raises(psycopg.errors.UniqueViolation):
                await session.flush()
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                await session.commit()
        assert await written(engine) == []

    async def test_a_parameter_that_is_missing_is_not_taken_for_null(
        self, engine: AsyncEngine
    ) -> None:
        async with open_session(engine) as session:
            with pytest.raises(psycopg.ProgrammingError, match="event_id"):
                await session.ask(NAMED, {"eventid": "a"})
            await session.write("inbox", INSERT, {})
            with pytest.raises(psycopg.ProgrammingError, match="event_id"):
                await session.flush()

    @pytest.mark.parametrize("ends", ["read", "refused", "read after a commit"])
    async def test_what_only_reads_leaves_statements_prepared(
        self, engine: AsyncEngine, ends: str
    ) -> None:
        async def read() -> None:
            async with open_session(engine) as session:
                if ends == "read after a commit":
                    await write(session, str(uuid4()))
                    await session.commit()
                await session.ask(NAMED, {"event_id": "a"})
                if ends == "refused":
                    raise NotFound("There is none.")

        for _ in range(9):  # psycopg prepares what comes often
            with suppress(NotFound):
                await read()
        async with open_session(engine) as session:
            assert [row for row in await session.ask(PREPARED, {}) if "inbox" in row.statement]


class TestTrouble:
    async def test_lost_connections_are_found_out_once(self, engine: AsyncEngine, url: str) -> None:
        """One failure, not one for each connection the pool still has."""
        count = 4
        assert len(await open_at_once(engine, count)) == count
        await end_connections(url)
        with pytest.raises(Unavailable):
            await written(engine)
        assert len(await open_at_once(engine, count)) == count

    @pytest.mark.parametrize("has_written", [False, True])
    async def test_a_connection_lost_before_the_commit(
        self, engine: AsyncEngine, url: str, has_written: bool
    ) -> None:
        async def lose() -> None:
            async with open_session(engine) as session:
                await session.ask(ALL, {})
                if has_written:
                    await write(session, "a")
                    await session.flush()
                await end_connections(url)
                await session.commit()

        with pytest.raises(Unavailable):
            await lose()
        assert await written(engine) == []

    async def test_a_deadlock_is_a_reason_to_try_again(self, engine: AsyncEngine) -> None:
        together = asyncio.Barrier(2)

        async def lock(*keys: int) -> None:
            async with open_session(engine) as session:
                for key in keys:
                    await session.ask(LOCK, {"key": key})
                    if key == keys[0]:
                        await together.wait()

        outcomes = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
        assert {type(one) for one in outcomes} == {Unavailable, type(None)}

    @pytest.mark.parametrize("turns", range(8))
    async def test_a_caller_that_is_told_twice_to_leave_leaves(
        self, engine: AsyncEngine, turns: int
    ) -> None:
        """psycopg then closes the connection, because it cannot wait for the server."""
        asking = asyncio.Event()

        async def ask() -> None:
            async with open_session(engine) as session:
                await session.execute(BACKEND)
                asking.set()
                await session.ask(SLEEP, {"seconds": 60})

        running = asyncio.create_task(ask())
        await asking.wait()
        await asyncio.sleep(0)
        for _ in range(2):
            running.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await written(engine) == []

    async def test_a_caller_that_leaves_takes_no_connection_along(
        self, engine: AsyncEngine
    ) -> None:
        asking = asyncio.Event()

        async def ask() -> None:
            async with open_session(engine) as session:
                await write(session, "a")
                await session.flush()
                asking.set()
                await session.ask(SLEEP, {"seconds": 60})

        for _ in range(15):  # more often than the pool has connections
            asking.clear()
            running = asyncio.create_task(ask())
            await asking.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        assert await written(engine) == []
