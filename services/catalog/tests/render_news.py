"""What the catalog hears of renders, by number, and worlds that have heard it."""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from sluice_catalog.usecases.objects import take_news
from sluice_contracts.envelope import wrap
from sluice_contracts.facts import Fact, ObjectStored, RenderUpload, RequestKey, StoredBytes

from .fakes import NOW, FakeWorld

PRINT = "f" * 64


def render_id(n: int = 1) -> UUID:
    return UUID(int=n)


def upload_id(n: int = 1) -> str:
    return f"upl_{render_id(n).hex}"


def key_of(n: int = 1) -> str:
    return f"development/renders/{n}.mp3"


def stored(
    n: int = 1,
    at: datetime = NOW,
    tenant: str = "dev",
    request_key: str | None = None,
    **told: Any,
) -> ObjectStored:
    registration = RenderUpload(
        **{
            "render_id": render_id(n),
            "filename": "take.mp3",
            "format": "mp3",
            "bitrate": 320,
            "created_at": at,
            "created_by": "key:app",
            **told,
        }
    )
    return ObjectStored(
        tenant=tenant,
        upload_id=upload_id(n),
        bytes=StoredBytes(
            bucket="media",
            key=key_of(n),
            size_bytes=1,
            sha256=hashlib.sha256(b"x").hexdigest(),
            content_type="audio/mpeg",
        ),
        etag="e",
        registration=registration,
        stored_at=NOW,
        reply_to="sluice.live.v1.reply.i.x",
        request_key=RequestKey(key=request_key, fingerprint=PRINT) if request_key else None,
    )


async def hear(world: FakeWorld, *facts: Fact, prefix: str = "first") -> None:
    events = [
        wrap(fact, event_id=f"{prefix}-{fact.aggregate_id()}", source="storage", at=NOW)
        for fact in facts
    ]
    await take_news(events, world.deps())  # type: ignore[arg-type]


async def with_renders(*numbers: int) -> FakeWorld:
    """A world with these renders, which no message carries."""
    world = FakeWorld()
    await hear(world, *(stored(n) for n in numbers))
    return world
