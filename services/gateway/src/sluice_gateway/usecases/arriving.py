"""Saying that bytes have come, so that they are registered."""

from dataclasses import dataclass

from sluice_contracts.facts import (
    ObjectStored,
    Registration,
    ReplySubject,
    RequestKey,
    StoredBytes,
    UploadReceived,
)
from sluice_gateway.ports import Deps
from sluice_gateway.usecases.sending import Sent
from sluice_runtime.facts import derived_id
from sluice_runtime.media_types import detect_type

_BUDGET_SECONDS = 6.0


@dataclass(frozen=True)
class Arrival:
    """Bytes that are in the store, and all there is to say of them.

    `may_vouch`: nobody but their sender can have touched them yet.
    """

    tenant: str
    upload_id: str
    claim_id: str
    bytes: StoredBytes
    registration: Registration
    sent: Sent
    may_vouch: bool
    reply_to: ReplySubject
    request_key: RequestKey | None = None


async def announce_arrival(arrival: Arrival, deps: Deps) -> None:
    """Say that the object is stored, if the store said so itself; otherwise that storage is to
    look at it. Either is said under an id that follows from the attempt.

    Raises:
        Unavailable: not confirmed; what was said may still get through.
    """
    received_id = derived_id(arrival.upload_id, arrival.claim_id, "received")
    sent = arrival.sent
    if sent.etag is None or not arrival.may_vouch:
        received = UploadReceived(
            tenant=arrival.tenant,
            upload_id=arrival.upload_id,
            bytes=arrival.bytes,
            multipart=sent.multipart,
            registration=arrival.registration,
            claim_id=arrival.claim_id,
            received_at=deps.now(),
            reply_to=arrival.reply_to,
            request_key=arrival.request_key,
        )
        await deps.announcer.announce(
            received, event_id=received_id, budget_seconds=_BUDGET_SECONDS
        )
        return
    stored = ObjectStored(
        tenant=arrival.tenant,
        upload_id=arrival.upload_id,
        bytes=arrival.bytes,
        etag=sent.etag,
        detected_type=detect_type(sent.head),
        registration=arrival.registration,
        claim_id=arrival.claim_id,
        stored_at=deps.now(),
        reply_to=arrival.reply_to,
        request_key=arrival.request_key,
    )
    # Storage would say it under the same id, so that it can only be said once.
    stored_id = derived_id(received_id, "stored")
    await deps.announcer.announce(stored, event_id=stored_id, budget_seconds=_BUDGET_SECONDS)
