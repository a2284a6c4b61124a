"""The catalog's unit of work on Postgres keeps the promises its fake is tested by, and two catalogs
that work on the same things at once do not get in each other's way."""

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice_catalog.database import open_work as open_sql_work
from sluice_catalog.database.tables import metadata, outbox
from sluice_catalog.database.work import SqlWork
from sluice_catalog.ports import Deps
from sluice_catalog.usecases.messages import add_message, attach_render, delete_message
from sluice_catalog.usecases.renders import delete_renders, sweep_renders
from sluice_catalog.usecases.reservations import reserve_key
from sluice_catalog.usecases.upkeep import forget_old
from sluice_contracts.questions import (
    AddMessage,
    AttachRender,
    DeleteMessage,
    Idempotency,
    ListMessages,
    ReserveKey,
)
from sluice_runtime.database import make_engine
from sluice_runtime.errors import Conflict, NotFound
from tests.support import eventually

PROMISES = Path(__file__).parents[2] / "services/catalog/tests/promises"


def _load(folder: Path) -> ModuleType:
    """The unit tests of a service are no package one could import."""
    spec = importlib.util.spec_from_file_location(
        "catalog_promises", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


promises = _load(PROMISES)


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(url)
    yield engine
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    async with engine.begin() as connection:
        await connection.execute(text(f"truncate {tables}"))
    await engine.dispose()


async def test_both_ends_of_a_connection_look_for_a_host_that_is_gone(engine: AsyncEngine) -> None:
    """It closes nothing: what it has locked would be held until the system's keepalive notices."""
    server = {
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
        "idle_in_transaction_session_timeout": "30s",
    }
    client = {
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "10000",
    }
    async with engine.connect() as connection:
        shown = {name: (await connection.execute(text(f"show {name}"))).scalar() for name in server}
        raw: Any = (await connection.get_raw_connection()).driver_connection
        used = raw.info.get_parameters()
    assert shown == server
    assert used.items() >= client.items()


async def test_kept_answers_are_forgotten_a_slice_at_a_time(engine: AsyncEngine) -> None:
    """However many there are, no statement runs into its time limit."""
    old = """insert into idempotency
        select 'dev', 's', n::text, '', '{}', now() - interval '8 days'
        from generate_series(1, 10001) n"""
    left = "select count(*) from idempotency"
    async with engine.begin() as connection:
        await connection.execute(text(old))
    async with open_sql_work(engine) as work:
        assert await work.replays.forget(work.now() - timedelta(days=7)) is True
        await work.commit()
    async with engine.begin() as connection:
        assert (await connection.execute(text(left))).scalar() == 1
    await forget_old(TwoCatalogs(engine).deps)
    async with engine.begin() as connection:
        assert (await connection.execute(text(left))).scalar() == 0


class TestSqlWork(promises.WorkPromises):  # type: ignore[name-defined,misc]
    @pytest.fixture
    def open_work(self, engine: AsyncEngine) -> Callable[[], object]:
        return lambda: open_sql_work(engine)

    @pytest.fixture
    def leaving(self, engine: AsyncEngine) -> Callable[[], Awaitable[list[str]]]:
        async def subjects() -> list[str]:
            async with engine.connect() as connection:
                rows = await connection.execute(outbox.select().order_by(outbox.c.position))
                return [row.subject for row in rows]

        return subjects


class TestCosts:
    """What would cost the database more with each row, or with each question, and nobody notice."""

    async def test_questions_leave_statements_prepared(self, engine: AsyncEngine) -> None:
        for _ in range(9):
            async with open_sql_work(engine) as work:
                assert await work.uploads.buried(["upl_00000001"]) == set()
        async with engine.connect() as connection:
            query = "select statement from pg_prepared_statements"
            prepared = (await connection.execute(text(query))).scalars().all()
        assert [one for one in prepared if "tombstones" in one]

    async def test_few_of_many_uploads_are_found_by_index(self, engine: AsyncEngine) -> None:
        many, few = 3000, 5
        async with open_sql_work(engine) as work:
            await work.batches.add(promises.values.batch(1, work.now()))
            uploads = [promises.values.upload(n, work.now()) for n in range(many)]
            await work.uploads.add(uploads)
            await work.commit()
        before = await _read_whole(engine)
        for start in range(0, 100, few):
            some = uploads[start : start + few]
            async with open_sql_work(engine) as work:
                locked = await work.uploads.lock_many([one.upload_id for one in some])
                assert len(locked) == few
                await work.uploads.save([replace(one, sequence=2) for one in some])
                await work.commit()
        assert await _read_whole(engine) == before

    async def test_what_is_overdue_is_found_by_its_index(self, engine: AsyncEngine) -> None:
        indexes = ("ix_uploads_overdue", "ix_direct_uploads_overdue")
        before = [await _scans(engine, index) for index in indexes]
        looks = 12
        for _ in range(looks):
            async with open_sql_work(engine) as work:
                await work.uploads.overdue_batches(work.now(), 50)
                await work.direct.overdue(work.now(), 50)
        after = [await _scans(engine, index) for index in indexes]
        assert after == [count + looks for count in before]


async def _read_whole(engine: AsyncEngine) -> int:
    """How many rows of uploads were read by going through the whole table."""
    return await _count(
        engine, "select seq_tup_read from pg_stat_user_tables where relname = 'uploads'"
    )


async def _scans(engine: AsyncEngine, index: str) -> int:
    """How often an index was looked into."""
    return await _count(
        engine, f"select idx_scan from pg_stat_user_indexes where indexrelname = '{index}'"
    )


async def _count(engine: AsyncEngine, query: str) -> int:
    # The engine gives out the connection that was used last, whose counts are to be seen at once.
    async with engine.connect() as connection:
        await connection.execute(text("select pg_stat_force_next_flush()"))
        await connection.commit()
        count: int = (await connection.execute(text(query))).scalar_one()
    return count


MESSAGES = [f"msg_{n:08}" for n in range(3)]
SWEPT = {"actor": "catalog", "reason": "no message claimed it"}


class TwoCatalogs:
    """One catalog that answers, and another in the middle of a transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        nothing: Any = None
        self.deps = Deps(
            work=self.work,
            wake_relay=lambda: None,
            tell_auth_changed=nothing,
            replies=nothing,
            receipts=nothing,
            claim_lease=timedelta(seconds=10),
            upload_deadline=timedelta(days=1),
            render_lifetime=timedelta(days=1),
        )

    def work(self) -> Any:
        return open_sql_work(self._engine)

    @asynccontextmanager
    async def in_the_middle(self) -> AsyncIterator[SqlWork]:
        async with open_sql_work(self._engine) as work:
            yield work

    async def render(self, n: int, days: int = 2) -> UUID:
        """A render that is so old, and known since then."""
        async with self.in_the_middle() as work:
            one = promises.renders.render(n, work.now() - timedelta(days=days))
            await promises.renders.keep(work, one)
            await work.commit()
        found: UUID = one.render_id
        return found

    async def message(self, n: int, *renders: UUID) -> None:
        question = AddMessage(
            tenant="dev",
            actor="me",
            message_id=MESSAGES[n],
            parent_thread="thread",
            user_id="ada",
            snapshot={},
            renders=renders,
        )
        await add_message(question, self.deps)

    async def attach(self, render_id: UUID, to: int = 1) -> None:
        question = AttachRender(
            tenant="dev", actor="me", message_id=MESSAGES[to], render_id=render_id
        )
        await attach_render(question, self.deps)

    async def blocked(self) -> bool:
        """Whether somebody waits for a lock."""
        query = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        async with self._engine.connect() as connection:
            return bool((await connection.execute(text(query))).scalar_one())

    async def carried(self, n: int) -> int:
        async with self.in_the_middle() as work:
            return await work.renders.count_of(MESSAGES[n])


@pytest.fixture
def both(engine: AsyncEngine) -> TwoCatalogs:
    return TwoCatalogs(engine)


class TestTwoCatalogs:
    async def test_a_key_is_not_given_away_while_what_it_made_is_being_kept(
        self, both: TwoCatalogs
    ) -> None:
        place = {"tenant": "dev", "scope": "call", "key": "k"}
        await reserve_key(ReserveKey(**place, claim_id="first"), both.deps)
        asked = Idempotency(key="k", fingerprint="0" * 64)
        async with both.in_the_middle() as work:
            answer: Any = {"upload_id": "upl_00000001"}
            await work.replays.keep_new("dev", "call", asked, answer, work.now())
            question = ReserveKey(**place, claim_id="second")
            second = asyncio.create_task(reserve_key(question, both.deps))
            await eventually(both.blocked)
            await work.commit()
        found = (await second).first
        assert found is not None
        assert found.upload_id == "upl_00000001"

    async def test_of_many_that_want_a_key_at_once_one_gets_it(self, both: TwoCatalogs) -> None:
        questions = [
            ReserveKey(tenant="dev", scope="call", key="k", claim_id=f"clm_{n}") for n in range(8)
        ]
        ended = await asyncio.gather(
            *(reserve_key(one, both.deps) for one in questions), return_exceptions=True
        )
        assert sum(isinstance(one, Conflict) for one in ended) == 7

    async def test_what_one_sweeps_the_other_leaves_alone(self, both: TwoCatalogs) -> None:
        for n in (1, 2):
            await both.render(n)
        async with both.in_the_middle() as work:
            held = await work.renders.lock_unclaimed(work.now(), 1)
            assert await sweep_renders(both.deps) == 1
            await delete_renders(work, held, **SWEPT)
            await work.commit()
        assert await sweep_renders(both.deps) == 0

    async def test_a_render_that_is_being_attached_is_not_swept(self, both: TwoCatalogs) -> None:
        render_id = await both.render(1)
        await both.message(1)
        async with both.in_the_middle() as work:
            await work.renders.lock("dev", render_id)
            assert await sweep_renders(both.deps) == 0
        await both.attach(render_id)
        assert await sweep_renders(both.deps) == 0

    async def test_a_render_that_is_being_swept_cannot_be_attached(self, both: TwoCatalogs) -> None:
        render_id = await both.render(1)
        await both.message(1)
        async with both.in_the_middle() as work:
            held = await work.renders.lock_unclaimed(work.now(), 10)
            late = asyncio.create_task(both.attach(render_id))
            await eventually(both.blocked)
            await delete_renders(work, held, **SWEPT)
            await work.commit()
        with pytest.raises(NotFound) as caught:
            await late
        assert caught.value.code == "render-not-found"

    async def test_a_message_that_is_being_deleted_takes_no_more_renders(
        self, both: TwoCatalogs
    ) -> None:
        render_id = await both.render(1)
        await both.message(1)
        async with both.in_the_middle() as work:
            await work.messages.lock("dev", MESSAGES[1])
            late = asyncio.create_task(both.attach(render_id))
            await eventually(both.blocked)
            await work.messages.delete(MESSAGES[1])
            await work.commit()
        with pytest.raises(NotFound) as caught:
            await late
        assert caught.value.code == "message-not-found"
        async with both.in_the_middle() as work:
            assert (await work.renders.lock("dev", render_id)).message_id is None

    async def test_a_render_attached_meanwhile_is_deleted_with_its_message(
        self, both: TwoCatalogs
    ) -> None:
        render_id = await both.render(1)
        await both.message(1)
        gone = DeleteMessage(tenant="dev", actor="me", message_id=MESSAGES[1])
        ended = await asyncio.gather(
            both.attach(render_id), delete_message(gone, both.deps), return_exceptions=True
        )
        async with both.in_the_middle() as work:
            left = await work.renders.known([render_id])
            page = await work.messages.page(ListMessages(tenant="dev", limit=9), 9)
        assert not page
        assert bool(left) is isinstance(ended[0], NotFound)

    async def test_messages_that_want_the_same_renders_wait_for_each_other(
        self, both: TwoCatalogs
    ) -> None:
        renders = [await both.render(n) for n in range(1, 41)]
        ended = await asyncio.gather(
            both.message(1, *renders), both.message(2, *renders[::-1]), return_exceptions=True
        )
        (refused,) = (one for one in ended if one is not None)
        assert isinstance(refused, Conflict), refused
        assert sorted([await both.carried(1), await both.carried(2)]) == [0, 40]
