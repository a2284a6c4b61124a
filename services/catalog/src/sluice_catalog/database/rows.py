"""From rows to domain values and back. A value has the columns of its table as fields."""

from dataclasses import fields
from typing import Any

from sqlalchemy import Row

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


def batch_of(row: Row[Any]) -> Batch:
    return Batch(**{**row._asdict(), "status": BatchStatus(row.status)})


def upload_of(row: Row[Any]) -> Upload:
    return Upload(**{**row._asdict(), "status": UploadStatus(row.status)})


def recording_of(row: Row[Any]) -> Recording:
    return Recording(**{**row._asdict(), "status": RecordingStatus(row.status)})


def object_of(row: Row[Any]) -> StoredObject:
    return StoredObject(**row._asdict())
