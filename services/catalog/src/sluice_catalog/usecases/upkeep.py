"""What the catalog tidies by itself."""

from datetime import timedelta

from sluice_catalog.ports import Deps
from sluice_contracts.questions import CheckDatabase, PartState
from sluice_runtime.errors import Unavailable

_REPLAYS_KEPT = timedelta(days=7)


async def forget_old(deps: Deps) -> None:
    """Drop inbox ids and kept answers that nobody can ask for any more."""
    more = True
    while more:
        async with deps.work() as work:
            more = await work.inbox.forget()
            await work.replays.forget(work.now() - _REPLAYS_KEPT)
            await work.commit()


async def check_database(_: CheckDatabase, deps: Deps) -> PartState:
    """Whether the database answers right now."""
    try:
        async with deps.work() as work:
            await work.ping()
    except Unavailable:
        return PartState(works=False)
    return PartState(works=True)
