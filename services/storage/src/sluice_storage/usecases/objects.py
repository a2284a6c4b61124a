"""What happens to stored objects: links, proofs, deletion."""

import asyncio
from collections.abc import Sequence

from sluice_contracts.envelope import Event
from sluice_contracts.facts import (
    ObjectCheckStarted,
    ObjectDamaged,
    ObjectDeleted,
    ObjectDiscarded,
    ObjectVerified,
    RecordingDescription,
    RecordingRegistered,
)
from sluice_contracts.questions import LinkObject, SignedLink
from sluice_runtime.facts import derived_id
from sluice_runtime.trace import trace_of, tracing
from sluice_storage import domain
from sluice_storage.ports import Deps


async def link_object(question: LinkObject, deps: Deps) -> SignedLink:
    """A short-lived GET whose type and disposition are ours, whatever the client claimed."""
    query = {
        "response-content-type": question.content_type,
        "response-content-disposition": question.disposition,
    }
    lifetime = deps.limits.link_lifetime
    return SignedLink(
        public_url=deps.public.sign("GET", question.key, lifetime, query),
        internal_url=deps.objects.sign("GET", question.key, lifetime, query),
    )


async def check_recordings(events: Sequence[Event[RecordingRegistered]], deps: Deps) -> None:
    """Prove several recordings side by side; ends when all have ended, well or not."""
    ended = await asyncio.gather(
        *(_check_traced(event, deps) for event in events), return_exceptions=True
    )
    for outcome in ended:
        if isinstance(outcome, BaseException):
            raise outcome


async def _check_traced(event: Event[RecordingRegistered], deps: Deps) -> None:
    with tracing(trace_of(event.envelope)):
        await check_recording(event, deps)


async def check_recording(event: Event[RecordingRegistered], deps: Deps) -> None:
    """Keep the description beside the object, then read the bytes back and compare them.

    A store that flipped or lost a byte is found out here, before anyone calls the recording
    completed. Safe to repeat.
    """
    fact = event.data
    description = RecordingDescription(
        client_item_id=fact.client_item_id, data=fact.data, registered_at=fact.registered_at
    )
    await deps.objects.write(
        domain.description_key(fact.bytes.key),
        description.model_dump_json().encode(),
        "application/json",
    )
    started = ObjectCheckStarted(
        tenant=fact.tenant, upload_id=fact.upload_id, started_at=deps.now()
    )
    await deps.announcer.announce(started, event_id=derived_id(event.envelope.id, "check_started"))
    found = await deps.objects.digest(fact.bytes.key)
    if found == (fact.bytes.size_bytes, fact.bytes.sha256):
        verified = ObjectVerified(
            tenant=fact.tenant,
            upload_id=fact.upload_id,
            sha256=fact.bytes.sha256,
            verified_at=deps.now(),
        )
        await deps.announcer.announce(verified, event_id=derived_id(event.envelope.id, "verified"))
        return
    code = "object-missing" if found is None else "digest-mismatch"
    damaged = ObjectDamaged(
        tenant=fact.tenant,
        upload_id=fact.upload_id,
        code=code,
        detail="The stored bytes are not those that were uploaded.",
    )
    await deps.announcer.announce(damaged, event_id=derived_id(event.envelope.id, "damaged"))


async def delete_object(event: Event[ObjectDiscarded], deps: Deps) -> None:
    """Remove an object nobody owns. Safe to repeat: should this process die in between, the fact
    comes again."""
    fact = event.data
    if fact.session_id is not None:
        await deps.objects.end_session(fact.key, fact.session_id)
    await erase(fact.key, deps)
    deleted = ObjectDeleted(tenant=fact.tenant, upload_id=fact.upload_id, key=fact.key)
    await deps.announcer.announce(deleted, event_id=derived_id(event.envelope.id, "deleted"))


async def erase(key: str, deps: Deps) -> None:
    """Remove an object and what is kept beside it.

    The registration goes last: who writes it meanwhile sees the object for as long as it would be
    removed here, and afterwards removes it again.
    """
    deps.erased.add(key)
    if domain.may_come_in(key):
        await deps.objects.delete(domain.incoming_key(key))
    await deps.objects.delete(domain.description_key(key))
    await deps.objects.delete(key)
    await deps.objects.delete(domain.registration_key(key))
