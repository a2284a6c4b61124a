"""What tests ask and tell the catalog about recordings; numbers stand for uploads."""

import hashlib
from typing import Any

from sluice_catalog.domain import Upload
from sluice_catalog.usecases.objects import take_news
from sluice_catalog.usecases.recordings import register_recordings
from sluice_catalog.usecases.uploads import (
    claim_uploads,
    plan_uploads,
)
from sluice_contracts.envelope import Event, wrap
from sluice_contracts.facts import (
    ObjectCheckStarted,
    ObjectDamaged,
    ObjectRejected,
    ObjectStored,
    ObjectVerified,
    RecordingUpload,
    StoredBytes,
)
from sluice_contracts.questions import (
    BatchState,
    Claim,
    ClaimResult,
    ClaimUploads,
    FailureDetail,
    Idempotency,
    PlannedUpload,
    PlanUploads,
    Principal,
    RecordingItem,
    RegisterRecordings,
)

from .fakes import NOW, FakeWorld

ME = Principal(tenant="dev", subject="me", scopes=frozenset())
STRANGER = Principal(tenant="other", subject="stranger", scopes=frozenset())
BATCH = "rb_00000001"
REPLY_TO = "sluice.live.v1.reply.i.x"
SHA = hashlib.sha256(b"x").hexdigest()
ONCE = Idempotency(key="12345678", fingerprint="0" * 64)


def planned(n: int) -> PlannedUpload:
    return PlannedUpload(
        upload_id=f"upl_{n:08}",
        recording_id=f"rec_{n:08}",
        filename="a.wav",
        content_type="audio/wav",
        bucket="media",
        key=f"tenants/dev/{n:08}",
        put_url="http://store/x?X-Amz-Signature=1",
    )


async def plan(world: FakeWorld, *numbers: int, batch_id: str | None = None, **more: Any) -> Any:
    question = PlanUploads(
        principal=more.pop("principal", ME),
        batch_id=batch_id,
        uploads=tuple(planned(n) for n in numbers or (1,)),
        lifetime_seconds=600,
        **more,
    )
    return await plan_uploads(question, BATCH, world.deps())


async def claim(world: FakeWorld, *claims: Claim) -> tuple[ClaimResult, ...]:
    asked = ClaimUploads(claims=claims or (claim_of(1),))
    return (await claim_uploads(asked, world.deps())).results


def claim_of(n: int, claim_id: str = "clm_1", content_type: str = "audio/wav") -> Claim:
    return Claim(upload_id=f"upl_{n:08}", claim_id=claim_id, content_type=content_type)


def failure_of(result: ClaimResult) -> FailureDetail:
    assert result.failure is not None
    assert result.claimed is None
    return result.failure


def stored(n: int = 1, **more: Any) -> ObjectStored:
    return ObjectStored(
        tenant="dev",
        upload_id=f"upl_{n:08}",
        bytes=StoredBytes(
            bucket="media",
            key=f"tenants/dev/{n:08}",
            size_bytes=1,
            sha256=SHA,
            content_type="audio/wav",
        ),
        etag="e",
        registration=RecordingUpload(
            batch_id=BATCH, recording_id=f"rec_{n:08}", filename="a.wav", created_by="me"
        ),
        stored_at=NOW,
        reply_to=REPLY_TO,
        **more,
    )


def rejected(claim_id: str) -> ObjectRejected:
    return ObjectRejected(
        tenant="dev",
        upload_id="upl_00000001",
        claim_id=claim_id,
        code="a-code",
        detail="because",
        reply_to=REPLY_TO,
    )


def started(n: int = 1) -> ObjectCheckStarted:
    return ObjectCheckStarted(tenant="dev", upload_id=f"upl_{n:08}", started_at=NOW)


def verified(n: int = 1) -> ObjectVerified:
    return ObjectVerified(tenant="dev", upload_id=f"upl_{n:08}", sha256=SHA, verified_at=NOW)


def damaged(n: int = 1) -> ObjectDamaged:
    return ObjectDamaged(tenant="dev", upload_id=f"upl_{n:08}", code="c", detail="flipped")


def event(fact: Any, event_id: str | None = None) -> Event[Any]:
    event_id = event_id or f"{type(fact).__name__}-{fact.upload_id}"
    return wrap(fact, event_id=event_id, source="storage", at=NOW)


async def hear(world: FakeWorld, *facts: Any) -> None:
    await take_news([event(fact) for fact in facts], world.deps())


def item(n: int, **more: Any) -> RecordingItem:
    values = {
        "client_item_id": f"item-{n}",
        "blob_ref": f"blob://s3/media/tenants/dev/{n:08}",
        "data": {"n": n},
    }
    return RecordingItem(**{**values, **more})


async def register(
    world: FakeWorld, *items: RecordingItem, batch_id: str | None = BATCH, **more: Any
) -> BatchState:
    question = RegisterRecordings(
        principal=more.pop("principal", ME),
        batch_id=batch_id,
        items=items or (item(1),),
        idempotency=more.pop("idempotency", ()),
    )
    return await register_recordings(question, world.deps())


async def uploaded(*numbers: int) -> FakeWorld:
    """A world in which these uploads are registered in one batch."""
    world = FakeWorld()
    await plan(world, *numbers)
    await hear(world, *(stored(n) for n in numbers or (1,)))
    return world


def upload_in(world: FakeWorld, n: int = 1) -> Upload:
    return world.tables.uploads[f"upl_{n:08}"]


def status_of(world: FakeWorld, n: int = 1) -> str:
    return world.tables.recordings[f"rec_{n:08}"].status


def batch_status(world: FakeWorld) -> str:
    return world.tables.batches[BATCH].status
