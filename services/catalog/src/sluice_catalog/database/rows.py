"""From rows to domain values and back. A value has the columns of its table as fields."""

from dataclasses import fields
from typing import Any, Protocol

from sluice_catalog.domain import (
    Batch,
    Call,
    Chunk,
    Device,
    Direct,
    Message,
    Recording,
    Render,
    StoredObject,
    Upload,
)
from sluice_contracts.statuses import BatchStatus, RecordingStatus, UploadStatus


class Row(Protocol):
    """A row that came through SQLAlchemy, or straight from psycopg."""

    def _asdict(self) -> dict[str, Any]: ...


def columns_of(
    value: Batch
    | Upload
    | Recording
    | StoredObject
    | Device
    | Chunk
    | Call
    | Direct
    | Render
    | Message,
) -> dict[str, Any]:
    """`value` as the columns of its row."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def batch_of(row: Row) -> Batch:
    columns = row._asdict()
    return Batch(**{**columns, "status": BatchStatus(columns["status"])})


def upload_of(row: Row) -> Upload:
    columns = row._asdict()
    return Upload(**{**columns, "status": UploadStatus(columns["status"])})


def recording_of(row: Row) -> Recording:
    columns = row._asdict()
    return Recording(**{**columns, "status": RecordingStatus(columns["status"])})


def object_of(row: Row) -> StoredObject:
    return StoredObject(**row._asdict())
