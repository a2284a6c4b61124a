"""Makes the months of `chunks` ahead of time."""

import asyncio
from datetime import UTC, datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sluice_runtime.errors import Unavailable
from sluice_runtime.session import transaction

log = structlog.get_logger(__name__)

_BEHIND, _AHEAD = 2, 12
# Moving rows takes as long as it takes: cut short, it would begin anew each time. But whoever asks
# for chunks queues behind one who waits to lock them, so that wait is short, and repeated for
# longer than any session of a service lasts.
_LIMITS = "set local statement_timeout = 0; set local lock_timeout = '1s'"
_TRIES, _PAUSE_SECONDS = 20, 2.0


def months_around(now: datetime) -> list[datetime]:
    """The first moments of the months from two ago to a year ahead, in UTC."""
    month = now.astimezone(UTC).year * 12 + now.astimezone(UTC).month - 1
    return [
        datetime(one // 12, one % 12 + 1, 1, tzinfo=UTC)
        for one in range(month - _BEHIND, month + _AHEAD + 1)
    ]


def _after(month: datetime) -> datetime:
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)


async def make_partitions(engine: AsyncEngine, now: datetime) -> int:
    """Make those months that are missing; returns how many. Safe to repeat.

    Rows that came too early, and lie in the default partition, move into the month that is made.
    Whoever adds or reads chunks meanwhile waits, and tries again after a 503: moving a million such
    rows takes some fifteen seconds.

    Raises:
        Unavailable: for a minute the database was away, or somebody used `chunks` without a pause.
    """
    return sum([await _insist(month, engine) for month in months_around(now)])


async def _insist(month: datetime, engine: AsyncEngine) -> bool:
    for _ in range(_TRIES - 1):
        try:
            return await _make(month, engine)
        except Unavailable as error:
            log.warning("month put off", month=f"{month:%Y-%m}", error=repr(error.__cause__))
            await asyncio.sleep(_PAUSE_SECONDS)
    return await _make(month, engine)


async def _make(month: datetime, engine: AsyncEngine) -> bool:
    """Whether the month was missing."""
    name = f"chunks_{month:%Y_%m}"
    first, end = month.isoformat(), _after(month).isoformat()
    bounds = f"start_ts >= '{first}' and start_ts < '{end}'"
    async with transaction(engine) as connection:
        if await _is_there(name, connection):
            return False
        await connection.execute(text(_LIMITS))
        # Whoever else makes this month waits here, and then finds it made; whoever adds or
        # reads chunks waits for the few moments in which a row has no place.
        await connection.execute(text("lock table chunks in access exclusive mode"))
        if await _is_there(name, connection):
            return False
        for statement in (
            f"create table {name} (like chunks including defaults)",
            f"with early as (delete from chunks_elsewhen where {bounds} returning *) "  # noqa: S608
            f"insert into {name} select * from early",
            f"alter table chunks attach partition {name} for values from ('{first}') to ('{end}')",
        ):
            await connection.execute(text(statement))
        await connection.commit()
    return True


async def _is_there(name: str, connection: AsyncConnection) -> bool:
    known = await connection.execute(text("select to_regclass(:name)"), {"name": name})
    return known.scalar_one() is not None
