"""Makes the months of `chunks` ahead of time."""

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sluice_runtime.session import transaction

_BEHIND, _AHEAD = 2, 12


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
    """
    made = 0
    for month in months_around(now):
        name = f"chunks_{month:%Y_%m}"
        async with transaction(engine) as connection:
            if await _is_there(name, connection):
                continue
            # Whoever else makes this month waits here, and then finds it made; whoever adds or
            # reads chunks waits for the few moments in which a row has no place.
            await connection.execute(text("lock table chunks in access exclusive mode"))
            if await _is_there(name, connection):
                continue
            first, end = month.isoformat(), _after(month).isoformat()
            bounds = f"start_ts >= '{first}' and start_ts < '{end}'"
            for statement in (
                f"create table {name} (like chunks including defaults)",
                f"with early as (delete from chunks_elsewhen where {bounds} returning *) "  # noqa: S608
                f"insert into {name} select * from early",
                f"alter table chunks attach partition {name} for values from ('{first}') "
                f"to ('{end}')",
            ):
                await connection.execute(text(statement))
            await connection.commit()
            made += 1
    return made


async def _is_there(name: str, connection: AsyncConnection) -> bool:
    known = await connection.execute(text("select to_regclass(:name)"), {"name": name})
    return known.scalar_one() is not None
