"""What the catalog tidies by itself."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from sluice_catalog.ports import Deps, Work
from sluice_contracts.questions import CheckDatabase, PartState
from sluice_runtime.errors import Unavailable

_REPLAYS_KEPT = timedelta(days=7)


async def forget_old(deps: Deps) -> None:
    """Drop inbox ids and kept answers that nobody can ask for any more, a slice at a time."""
    await _while_more(lambda work: work.inbox.forget(), deps)
    await _while_more(lambda work: work.replays.forget(work.now() - _REPLAYS_KEPT), deps)


async def _while_more(forget: Callable[[Work], Awaitable[bool]], deps: Deps) -> None:
    more = True
    while more:
        async with deps.work() as work:
            more = await forget(work)
            await work.commit()


async def check_database(_: CheckDatabase, deps: Deps) -> PartState:
    """Whether the database answers right now."""
    try:
        async with deps.work() as work:
            await work.ping()
    except Unavailable:
        return PartState(works=False)
    return PartState(works=True)
