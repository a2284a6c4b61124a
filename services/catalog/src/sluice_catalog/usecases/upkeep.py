"""What the catalog tidies by itself."""

from datetime import timedelta

from sluice_catalog.ports import Deps

_REPLAYS_KEPT = timedelta(days=7)


async def forget_old(deps: Deps) -> None:
    """Drop inbox ids and kept answers that nobody can ask for any more."""
    async with deps.work() as work:
        await work.inbox.forget()
        await work.replays.forget(await work.now() - _REPLAYS_KEPT)
        await work.commit()
