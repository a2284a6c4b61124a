"""What promises are told with: one of each, by number."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from uuid import UUID

from sluice_catalog.domain import Batch, Chunk, Device, Recording, StoredObject, Upload
from sluice_catalog.ports import Work
from sluice_contracts.questions import Idempotency
from sluice_contracts.statuses import BatchStatus, ChunkStatus, RecordingStatus, UploadStatus

Open = Callable[[], AbstractAsyncContextManager[Work]]

MINUTE = timedelta(minutes=1)
ASKED = Idempotency(key="12345678", fingerprint="0" * 64)


def batch(n: int, at: datetime, tenant: str = "dev") -> Batch:
    return Batch(f"rb_{n:08}", tenant, BatchStatus.OPEN, 1, at, "me")


def upload(n: int, at: datetime, in_batch: int = 1, tenant: str = "dev") -> Upload:
    return Upload(
        upload_id=f"upl_{n:08}",
        tenant=tenant,
        batch_id=f"rb_{in_batch:08}",
        recording_id=f"rec_{n:08}",
        filename="Grüße.wav",
        content_type="audio/wav",
        bucket="media",
        key=f"tenants/{tenant}/{n:08}",
        status=UploadStatus.CREATED,
        sequence=1,
        created_at=at,
        created_by="me",
        deadline=at + MINUTE,
        put_url="http://store/x?X-Amz-Signature=1",
    )


def stored(n: int, at: datetime, tenant: str = "dev") -> StoredObject:
    return StoredObject(
        key=f"tenants/{tenant}/{n:08}",
        upload_id=f"upl_{n:08}",
        tenant=tenant,
        bucket="media",
        size_bytes=2**40,
        sha256="a" * 64,
        etag="e",
        content_type="audio/wav",
        detected_type=None,
        state="stored",
        stored_at=at,
    )


def recording(n: int, at: datetime, in_batch: int = 1) -> Recording:
    return Recording(
        recording_id=f"rec_{n:08}",
        tenant="dev",
        batch_id=f"rb_{in_batch:08}",
        upload_id=f"upl_{n:08}",
        client_item_id=f"item-{n}",
        data={"title": 'Grüße "50 %"', "deep": [{"a": None}], "n": 1.5},
        status=RecordingStatus.QUEUED,
        sequence=1,
        created_at=at,
    )


def device(n: int, at: datetime, tenant: str = "dev") -> Device:
    return Device(
        device_id=UUID(int=n),
        tenant=tenant,
        point_id=UUID(int=n + 1),
        register_id=UUID(int=n + 2),
        token_hash=f"{n:064x}",
        is_enabled=True,
        created_at=at,
    )


def chunk(n: int, at: datetime, seconds: float = 60, *, by: int = 1, tenant: str = "dev") -> Chunk:
    return Chunk(
        chunk_id=UUID(int=n),
        tenant=tenant,
        upload_id=f"upl_{n:08}",
        device_id=UUID(int=by),
        point_id=UUID(int=by + 1),
        register_id=UUID(int=by + 2),
        start_ts=at,
        end_ts=at + timedelta(seconds=seconds),
        duration_sec=seconds,
        codec="opus",
        sample_rate=48_000,
        channels=1,
        file_path=f"tenants/{tenant}/{n:08}",
        file_size_bytes=2**40,
        status=ChunkStatus.QUEUED,
        sequence=2,
        created_at=at,
    )
