"""One transaction on the database: what is asked in it, and what is written.

SQLAlchemy keeps the connections and puts questions into words. What every upload passes goes from
there straight to psycopg: see `docs/adr/0018-hot-questions-go-straight-to-psycopg.md`.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar

import psycopg
from psycopg.errors import InFailedSqlTransaction
from psycopg.pq import TransactionStatus
from psycopg.rows import namedtuple_row
from sqlalchemy import CursorResult, Executable, Select, TextClause, TextualSelect, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sluice_runtime.errors import SluiceError, Unavailable

T = TypeVar("T")
Constant = Select[Any] | TextualSelect | TextClause

_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_AWAY = (OperationalError, InterfaceError, PoolTimeout, OSError)
_AWAY_STRAIGHT = (psycopg.OperationalError, psycopg.InterfaceError)


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction; leaving the block without `commit()` undoes everything.

    Raises:
        Unavailable: the database is away, or too busy to answer. A commit whose confirmation
            was lost may have happened: what is repeated must be idempotent.
    """
    try:
        async with engine.connect() as connection:
            yield connection
    except (*_AWAY, *_AWAY_STRAIGHT) as error:
        raise Unavailable("The database is not reachable.", code="database-unavailable") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(
                "The database connection was lost.", code="database-unavailable"
            ) from error
        raise


class Session:
    """One transaction that saves up its writes.

    They go out together in a single statement, before the next query and before the commit: a
    round trip to the database costs more than what it carries.
    """

    def __init__(self, connection: AsyncConnection, driver: psycopg.AsyncConnection[Any]) -> None:
        """`driver` is what `connection` stands for, and shares its transaction."""
        self._connection = connection
        self._driver = driver
        self._writes: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self._has_only_read = True

    async def execute(self, statement: Executable) -> CursorResult[Any]:
        """Run a query; it sees everything written before. A text that only reads says so with
        `.columns()`."""
        await self.flush()
        self._has_only_read &= statement.is_select
        return await self._connection.execute(statement)

    async def ask(self, constant: Constant, parameters: Mapping[str, Any]) -> list[Any]:
        """The rows, as named tuples, of a query that is a constant with parameters: it is put into
        words once, and that is kept for good. Otherwise as `execute`, at half the cost."""
        await self.flush()
        self._has_only_read &= constant.is_select
        return await self._run(constant, parameters)

    async def write(self, table: str, sql: str, parameters: Mapping[str, Any]) -> None:
        """Run `sql`, which changes `table` alone, before the next query or the commit.

        Statements that go out together do not see one another, so a second one for the same
        table waits for the first.
        """
        if table in self._writes:
            await self.flush()
        self._writes[table] = (sql, parameters)

    async def flush(self) -> None:
        """Send what was saved up."""
        if not self._writes:
            return
        writes, self._writes = list(self._writes.values()), {}
        statement = _together(tuple(sql for sql, _ in writes))
        parameters = {
            f"w{n}_{name}": value
            for n, (_, given) in enumerate(writes)
            for name, value in given.items()
        }
        self._has_only_read = False
        await self._run(statement, parameters)

    async def commit(self) -> None:
        """Make it all happen.

        Raises:
            InFailedSqlTransaction: a statement failed before. Postgres would undo everything, and
                say nothing.
        """
        await self.flush()
        if self._driver.info.transaction_status is TransactionStatus.INERROR:
            raise InFailedSqlTransaction("a statement of this transaction failed")
        await self._told(self._driver.commit())
        self._has_only_read = True

    async def end(self) -> None:
        """End a transaction that wrote nothing with a commit as well: with each rollback, psycopg
        forgets every statement it has prepared on the connection."""
        if self._has_only_read:
            await self._told(self._driver.commit())

    async def _run(self, statement: Constant, parameters: Mapping[str, Any]) -> list[Any]:
        sql, preset = _words(statement)
        cursor = self._driver.cursor(row_factory=namedtuple_row)
        await self._told(cursor.execute(sql, {**preset, **parameters}))
        return await cursor.fetchall() if cursor.description else []

    async def _told(self, work: Awaitable[T]) -> T:
        """Await `work`; a connection that it finds broken is given up, and with it all that were
        made before."""
        try:
            return await work
        except psycopg.Error:
            if self._driver.closed:
                # SQLAlchemy knows what to do, but has to find out for itself.
                await self._connection.exec_driver_sql("select 1")
            raise
        except BaseException:
            # Closed by whoever was cancelled and could not wait: no reason to suspect the others.
            if self._driver.closed:
                await self._connection.invalidate()
            raise


@asynccontextmanager
async def open_session(engine: AsyncEngine) -> AsyncIterator[Session]:
    """One transaction; leaving the block without `commit()` undoes what was written.

    Raises `Unavailable`, as `transaction`.
    """
    async with transaction(engine) as connection:
        session = await session_on(connection)
        try:
            yield session
        except SluiceError:
            # A refusal: as ordinary as an answer.
            await session.end()
            raise
        await session.end()


async def session_on(connection: AsyncConnection) -> Session:
    """Questions and writes on a connection that SQLAlchemy lent."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    return Session(connection, driver)


@cache
def _together(statements: tuple[str, ...]) -> TextClause:
    """Several writes as one statement; each keeps its parameters apart by its number."""
    *first, last = [
        re.sub(r"(?<!:):(\w+)", rf":w{n}_\1", statement) for n, statement in enumerate(statements)
    ]
    parts = ", ".join(f"part{n} as ({statement})" for n, statement in enumerate(first))
    return text(f"with {parts} {last}" if parts else last)


@cache
def _words(statement: Constant) -> tuple[bytes, Mapping[str, Any]]:
    """A constant in the words of psycopg, and the parameters it brings itself."""
    compiled = statement.compile(dialect=_DIALECT)
    preset = {
        name: value for name, value in compiled.params.items() if not compiled.binds[name].required
    }
    return str(compiled).encode(), preset
