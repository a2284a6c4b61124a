"""Places for files; those that are asked for at the same time travel together."""

import asyncio
from collections.abc import Sequence

from sluice_contracts.questions import PlaceUpload, PlaceUploads, UploadPlaced
from sluice_runtime.coalesce import Coalescer
from sluice_runtime.errors import SluiceError, Unavailable
from sluice_runtime.rpc import Asks

_MOST = 100


class CoalescedPlaces:
    """Asks storage for places, many in one question."""

    def __init__(self, asker: Asks) -> None:
        self._asker = asker
        self._waiting: Coalescer[PlaceUpload, UploadPlaced] = Coalescer(self._ask, _MOST)

    async def place(self, place: PlaceUpload) -> UploadPlaced:
        """Where a file is going to lie; raises `Unavailable` when storage does not say."""
        return await self._waiting.submit(place)

    async def _ask(self, places: Sequence[PlaceUpload]) -> list[UploadPlaced | Exception]:
        try:
            answer = await self._asker.ask(PlaceUploads(uploads=tuple(places)))
        except Unavailable as error:
            if error.code != "place-closed" or len(places) == 1:
                raise
            # One of them is closed: the others need not wait for it.
            return await asyncio.gather(*(self._alone(place) for place in places))
        return list(answer.placed)

    async def _alone(self, place: PlaceUpload) -> UploadPlaced | Exception:
        try:
            return (await self._ask([place]))[0]
        except SluiceError as error:
            return error
