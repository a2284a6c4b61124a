"""What keeps store and catalog the same: the sweep, and the answers reconciliation needs."""

import asyncio
from datetime import datetime

import structlog
import uuid6
from prometheus_client import Gauge

from sluice_contracts.facts import ObjectStored, RecordingDescription
from sluice_contracts.questions import (
    CheckStore,
    Done,
    FindOwners,
    FoundObject,
    FoundObjects,
    ListFoundObjects,
    PartState,
    RemoveObject,
    RestateObject,
)
from sluice_runtime.errors import Conflict, NotFound, Unavailable
from sluice_runtime.multipart import OpenSession
from sluice_runtime.objects import Listed
from sluice_storage import domain
from sluice_storage.ports import Deps
from sluice_storage.usecases.objects import erase
from sluice_storage.usecases.registrations import read_registration

log = structlog.get_logger(__name__)

OPEN_SESSIONS = Gauge("sluice_open_multipart_uploads", "Multipart uploads in progress")
ORPHANS = Gauge("sluice_orphans", "Objects found without an owner in the last sweep", ["kind"])

_PAGE = 500


async def check_store(_: CheckStore, deps: Deps) -> PartState:
    """Whether the store takes an object right now."""
    return PartState(works=await deps.objects.is_writable())


async def list_found(question: ListFoundObjects, deps: Deps) -> FoundObjects:
    """A page of what the store holds, each object with its registration."""
    listed = await _clients_objects(question.after, question.limit, deps)
    found = await asyncio.gather(*(_describe(one, deps) for one in listed))
    return FoundObjects(objects=tuple(found))


async def _clients_objects(after: str, limit: int, deps: Deps) -> list[Listed]:
    """Objects that clients sent, in key order behind `after`; none when there are no more."""
    while listed := await deps.objects.page("", after, limit):
        theirs = [one for one in listed if not domain.is_ours(one.key)]
        if theirs:
            return theirs
        after = domain.next_key(listed[-1].key)
    return []


async def _describe(one: Listed, deps: Deps) -> FoundObject:
    return FoundObject(
        key=one.key,
        size_bytes=one.size_bytes,
        modified_at=one.modified_at,
        registration=await read_registration(one.key, deps),
    )


async def _description(key: str, deps: Deps) -> RecordingDescription | None:
    data = await deps.objects.read(domain.description_key(key))
    return None if data is None else RecordingDescription.model_validate_json(data)


async def restate_object(question: RestateObject, deps: Deps) -> Done:
    """Announce an acknowledged object again, under a new id, for a catalog that lost it.

    Raises:
        NotFound: the object or its registration is not there.
    """
    kept = await read_registration(question.key, deps)
    found = await deps.objects.stat(question.key)
    if kept is None or found is None or found.size_bytes != kept.bytes.size_bytes:
        raise NotFound(f"{question.key} is not there as it was registered.")
    stored = ObjectStored(**kept.model_dump(), description=await _description(question.key, deps))
    await deps.announcer.announce(stored, event_id=str(uuid6.uuid7()))
    return Done()


async def remove_object(question: RemoveObject, deps: Deps) -> Done:
    """Remove an object that the catalog does not own.

    Raises:
        Conflict: the catalog owns it, or waits for it, or it is being sent right now.
    """
    with deps.places.closed(question.key) as is_closed:
        is_free = is_closed and not await _is_owned(question.key, deps)
        if is_free:
            await erase(question.key, deps)
    if not is_free:
        raise Conflict(f"{question.key} has an owner, or a sender.", code="object-owned")
    return Done()


async def _is_owned(key: str, deps: Deps) -> bool:
    owners = (await deps.asker.ask(FindOwners(keys=(key,)))).objects
    return any(owner.state != "discarded" for owner in owners)


async def sweep(deps: Deps) -> None:
    """Remove multipart sessions and objects that are older than the limit and have no owner.

    A session is as old as the last part that was sent to it: a slow line takes hours for a large
    file, and a form has no owner before it has ended.

    An object with a registration was acknowledged and is never swept: if the catalog does not
    know it, that is a case for `sluice reconcile`. Nor is one whose owner may still be on its way:
    after an outage, what arrived before it may be older than the limit and not read yet; or its
    news lies among the dead letters, and somebody may send it again.

    Raises:
        Unavailable: that cannot be told right now.
    """
    oldest = deps.now() - deps.limits.orphan_age
    sessions = await deps.objects.open_sessions()
    OPEN_SESSIONS.set(len(sessions))
    stale = [one for one in sessions if one.started_at < oldest]
    wanted = await _expected(tuple({one.key for one in stale}), deps)
    for session in stale:
        if session.key not in wanted and not await _is_in_use(session, oldest, deps):
            log.info("session swept", key=session.key)
            await deps.objects.end_session(session.key, session.session_id)
    after, orphans, lost = "", 0, 0
    while listed := await _clients_objects(after, _PAGE, deps):
        after = listed[-1].key
        for one in await _suspects(listed, oldest, deps):
            if await deps.objects.stat(domain.registration_key(one.key)) is not None:
                lost += 1
                continue
            orphans += await _sweep_orphan(one.key, oldest, deps)
    ORPHANS.labels("object").set(orphans)
    ORPHANS.labels("registered").set(lost)
    for prefix in (domain.REGISTRATIONS, domain.DESCRIPTIONS):
        await _sweep_left_over(prefix, oldest, deps)
    await _sweep_incoming(oldest, deps)


async def _is_in_use(session: OpenSession, oldest: datetime, deps: Deps) -> bool:
    """Whether parts were sent to a session lately."""
    parts = await deps.objects.session_parts(session.key, session.session_id) or []
    return any(part.sent_at >= oldest for part in parts)


async def _sweep_orphan(key: str, oldest: datetime, deps: Deps) -> bool:
    """Remove an orphan, unless it is just being sent again: a chunk comes to the same key."""
    with deps.places.closed(key) as is_closed:
        if not is_closed:
            return False
        found = await deps.objects.stat(key)
        if found is None or found.modified_at >= oldest:
            return False
        log.info("orphan swept", key=key)
        deps.erased.add(key)
        await deps.objects.delete(key)
        return True


async def _suspects(listed: list[Listed], oldest: datetime, deps: Deps) -> list[Listed]:
    """Old objects that have no owner and will not get one by what is known already."""
    suspects = [one for one in await _unowned(listed, deps) if one.modified_at < oldest]
    if not suspects:
        return []
    parked = await deps.receipts.parked_keys()
    if not await deps.receipts.are_read():
        raise Unavailable("News of bytes that arrived is still unread.", code="receipts-unread")
    # Twice: what was unread may have been set aside since, and what was, sent again.
    parked |= await deps.receipts.parked_keys()
    return [one for one in await _unowned(suspects, deps) if one.key not in parked]


async def _sweep_left_over(prefix: str, oldest: datetime, deps: Deps) -> None:
    """Remove what is kept beside objects that are gone: written just after they were deleted."""
    after = prefix
    while listed := await deps.objects.page(prefix, after, _PAGE):
        after = listed[-1].key
        old = {domain.key_beside(one.key): one.key for one in listed if one.modified_at < oldest}
        owners = await deps.asker.ask(FindOwners(keys=tuple(old)))
        for key in old.keys() - {owner.key for owner in owners.objects}:
            if await deps.objects.stat(key) is None:
                log.info("left over swept", key=old[key])
                await deps.objects.delete(old[key])


async def _sweep_incoming(oldest: datetime, deps: Deps) -> None:
    """Remove what was put for uploads that have ended, or put again after it was taken."""
    after = domain.INCOMING
    while listed := await deps.objects.page(domain.INCOMING, after, _PAGE):
        after = listed[-1].key
        old = {domain.destination_key(one.key) for one in listed if one.modified_at < oldest}
        for key in sorted(old - await _expected(tuple(old), deps)):
            log.info("incoming swept", key=key)
            await deps.objects.delete(domain.incoming_key(key))


async def _expected(keys: tuple[str, ...], deps: Deps) -> set[str]:
    owners = (await deps.asker.ask(FindOwners(keys=keys))).objects if keys else ()
    return {owner.key for owner in owners if owner.state == "expected"}


async def _unowned(listed: list[Listed], deps: Deps) -> list[Listed]:
    owners = (await deps.asker.ask(FindOwners(keys=tuple(one.key for one in listed)))).objects
    owned = {owner.key for owner in owners}
    return [one for one in listed if one.key not in owned]
