"""Chunks as storage speaks of them, and worlds in which some have come."""

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sluice_catalog.domain import Device
from sluice_catalog.usecases.objects import take_news
from sluice_contracts.envelope import Event, wrap
from sluice_contracts.facts import ChunkUpload, Fact, ObjectStored, StoredBytes
from sluice_contracts.questions import AddDevice

from .fakes import NOW, FakeWorld

SHA = hashlib.sha256(b"x").hexdigest()
REPLY_TO = "sluice.live.v1.reply.i.x"


def device_id(n: int = 1) -> UUID:
    return UUID(int=n)


def chunk_id(n: int = 1) -> UUID:
    return UUID(int=1000 + n)


def upload_id(n: int = 1) -> str:
    return f"upl_{chunk_id(n).hex}"


def add_device_question(n: int = 1, token: str = "a", **more: Any) -> AddDevice:
    return AddDevice(
        tenant=more.pop("tenant", "dev"),
        device_id=device_id(n),
        point_id=UUID(int=2),
        register_id=UUID(int=3),
        token_sha256=token * 64,
        **more,
    )


def told(n: int = 1, by: int = 1, at: datetime = NOW, **more: Any) -> ChunkUpload:
    start = more.pop("start_ts", NOW + timedelta(minutes=n))
    return ChunkUpload(
        chunk_id=chunk_id(n),
        device_id=device_id(by),
        point_id=UUID(int=2),
        register_id=UUID(int=3),
        start_ts=start,
        end_ts=start + timedelta(minutes=1),
        codec="opus",
        sample_rate=48_000,
        channels=1,
        created_at=at,
        created_by=f"device:{device_id(by)}",
        **more,
    )


def stored(
    n: int = 1, by: int = 1, at: datetime = NOW, claim_id: str = "clm_1", **more: Any
) -> ObjectStored:
    return ObjectStored(
        tenant="dev",
        upload_id=upload_id(n),
        bytes=StoredBytes(
            bucket="media", key=f"audio/{n}.ogg", size_bytes=1, sha256=SHA, content_type="audio/ogg"
        ),
        etag="e",
        registration=told(n, by, at),
        claim_id=claim_id,
        stored_at=NOW,
        reply_to=REPLY_TO,
        **more,
    )


def event(fact: Fact, event_id: str | None = None) -> Event[Any]:
    event_id = event_id or f"{type(fact).__name__}-{fact.aggregate_id()}"
    return wrap(fact, event_id=event_id, source="storage", at=NOW)


async def hear(world: FakeWorld, *facts: Fact) -> None:
    await take_news([event(fact) for fact in facts], world.deps())


async def with_chunks(*numbers: int) -> FakeWorld:
    """A world with one device, and these of its chunks."""
    world = FakeWorld()
    world.tables.devices[device_id()] = Device(
        device_id=device_id(),
        tenant="dev",
        point_id=UUID(int=2),
        register_id=UUID(int=3),
        token_hash="a" * 64,
        is_enabled=True,
        created_at=NOW,
    )
    await hear(world, *(stored(n) for n in numbers))
    return world
