"""Registrations: what lies beside objects, so that the catalog can be rebuilt from the store.

They are written behind the answer. The fact and the row are durable by then, and this copy is for
the day when both are lost.
"""

import asyncio
from collections.abc import Sequence

from sluice_contracts.envelope import Event
from sluice_contracts.facts import ObjectStored
from sluice_contracts.questions import StoredRegistration
from sluice_storage import domain
from sluice_storage.ports import Deps


async def keep_registrations(events: Sequence[Event[ObjectStored]], deps: Deps) -> None:
    """Keep several registrations side by side; ends when all have ended, well or not."""
    ended = await asyncio.gather(
        *(keep_registration(event.data, deps) for event in events), return_exceptions=True
    )
    for outcome in ended:
        if isinstance(outcome, BaseException):
            raise outcome


async def keep_registration(fact: ObjectStored, deps: Deps) -> None:
    """Write down beside an object what it is. Safe to repeat."""
    key = fact.bytes.key
    kept = StoredRegistration.model_validate(fact.model_dump())
    await deps.objects.write(
        domain.registration_key(key), kept.model_dump_json().encode(), "application/json"
    )
    if key in deps.erased and await deps.objects.stat(key) is None:
        # The object went while we wrote; what another process erased, the sweep finds.
        await deps.objects.delete(domain.registration_key(key))


async def read_registration(key: str, deps: Deps) -> StoredRegistration | None:
    """What is kept beside the object at `key`."""
    data = await deps.objects.read(domain.registration_key(key))
    return None if data is None else StoredRegistration.model_validate_json(data)
