"""Idempotency keys of requests whose body takes a while: forms with a file."""

from sluice_catalog.ports import Deps, Work
from sluice_contracts.base import JsonObject
from sluice_contracts.facts import ObjectStored
from sluice_contracts.questions import (
    Done,
    FreeKey,
    Idempotency,
    KeptUpload,
    Reserved,
    ReserveKey,
)
from sluice_runtime.errors import Conflict


async def reserve_key(question: ReserveKey, deps: Deps) -> Reserved:
    """Keep a key for one request, or say what was made with it before.

    Raises:
        Conflict: another request with this key is under way.
    """
    lease = deps.claim_lease
    async with deps.work() as work:
        place = (question.tenant, question.scope, question.key)
        now = await work.clock()
        # What was made is looked for last: it takes the reservation away as it comes, and one that
        # came between two looks the other way round would be seen by neither.
        is_ours = await work.replays.reserve(*place, question.claim_id, now, now + lease)
        kept = await work.replays.kept(*place)
        if kept is not None:
            # Nothing is committed: there is nothing to hold any more.
            fingerprint, answer = kept
            first = KeptUpload.model_validate({**answer, "fingerprint": fingerprint})
            return Reserved(first=first, lease_seconds=lease.total_seconds())
        if not is_ours:
            raise Conflict(
                "A request with this idempotency key is still running.",
                code="request-in-progress",
                retry_after_seconds=1,
            )
        await work.commit()
    return Reserved(lease_seconds=lease.total_seconds())


async def free_key(question: FreeKey, deps: Deps) -> Done:
    """Let another attempt have the key; harmless when it is gone."""
    async with deps.work() as work:
        await work.replays.free(question.tenant, question.scope, question.key, question.claim_id)
        await work.commit()
    return Done()


async def keep_answer(fact: ObjectStored, work: Work) -> None:
    """Remember what the request that sent this file has made, if it had a key."""
    if fact.request_key is None:
        return
    asked = Idempotency(**fact.request_key.model_dump())
    answer: JsonObject = {"upload_id": fact.upload_id}
    scope = fact.registration.kind
    await work.replays.keep_new(fact.tenant, scope, asked, answer, work.now())
