"""Renders, and the messages that carry them."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sluice_contracts.base import JsonObject
from sluice_contracts.facts import ObjectStored, RenderUpload
from sluice_contracts.statuses import Kind, RenderStatus


@dataclass(frozen=True)
class Render:
    KIND: ClassVar[Kind] = Kind.RENDER

    render_id: UUID
    tenant: str
    upload_id: str
    message_id: str | None
    filename: str
    format: str
    bitrate: int | None
    duration: float | None
    status: RenderStatus
    sequence: int
    created_at: datetime
    created_by: str
    attached_at: datetime | None = None

    @property
    def id(self) -> str:
        return str(self.render_id)


@dataclass(frozen=True)
class Message:
    message_id: str
    tenant: str
    parent_thread: str
    user_id: str
    snapshot: JsonObject
    snapshot_metadata: JsonObject | None
    timestamp: datetime
    created_at: datetime


def render_of(fact: ObjectStored, told: RenderUpload, sequence: int = 1) -> Render:
    """The render whose bytes were stored."""
    return Render(
        render_id=told.render_id,
        tenant=fact.tenant,
        upload_id=fact.upload_id,
        message_id=None,
        filename=told.filename,
        format=told.format,
        bitrate=told.bitrate,
        duration=told.duration,
        status=RenderStatus.UPLOADED,
        sequence=sequence,
        created_at=told.created_at,
        created_by=told.created_by,
    )
