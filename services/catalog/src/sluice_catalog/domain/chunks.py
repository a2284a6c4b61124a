"""Recorders and the chunks they send."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sluice_contracts.facts import ChunkUpload, ObjectStored
from sluice_contracts.statuses import ChunkStatus, Kind


@dataclass(frozen=True)
class Device:
    device_id: UUID
    tenant: str
    point_id: UUID
    register_id: UUID
    token_hash: str
    is_enabled: bool
    created_at: datetime
    last_seen_at: datetime | None = None


@dataclass(frozen=True)
class Chunk:
    KIND: ClassVar[Kind] = Kind.CHUNK

    chunk_id: UUID
    tenant: str
    upload_id: str
    device_id: UUID
    point_id: UUID
    register_id: UUID
    start_ts: datetime
    end_ts: datetime
    duration_sec: float
    codec: str
    sample_rate: int
    channels: int
    file_path: str
    file_size_bytes: int
    status: ChunkStatus
    sequence: int
    created_at: datetime

    @property
    def id(self) -> str:
        return str(self.chunk_id)


def chunk_of(fact: ObjectStored, told: ChunkUpload, sequence: int = 1) -> Chunk:
    """The chunk whose bytes were stored."""
    return Chunk(
        chunk_id=told.chunk_id,
        tenant=fact.tenant,
        upload_id=fact.upload_id,
        device_id=told.device_id,
        point_id=told.point_id,
        register_id=told.register_id,
        start_ts=told.start_ts,
        end_ts=told.end_ts,
        duration_sec=(told.end_ts - told.start_ts) / timedelta(seconds=1),
        codec=told.codec,
        sample_rate=told.sample_rate,
        channels=told.channels,
        file_path=fact.bytes.key,
        file_size_bytes=fact.bytes.size_bytes,
        status=ChunkStatus.UPLOADED,
        sequence=sequence,
        created_at=told.created_at,
    )
