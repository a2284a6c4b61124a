"""Recorded calls, which somebody outside transcribes."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sluice_contracts.facts import CallUpload, ObjectStored
from sluice_contracts.statuses import CallStatus, Kind
from sluice_contracts.tasks import Priority


@dataclass(frozen=True)
class Call:
    KIND: ClassVar[Kind] = Kind.CALL

    call_id: UUID
    tenant: str
    upload_id: str
    filename: str
    format: str
    company_name: str
    contact_email: str
    call_type: str
    priority: Priority
    status: CallStatus
    sequence: int
    uploaded_at: datetime
    uploaded_by: str
    created_at: datetime
    updated_at: datetime

    @property
    def id(self) -> str:
        return str(self.call_id)


def call_of(fact: ObjectStored, told: CallUpload, sequence: int = 1) -> Call:
    """The call whose bytes were stored."""
    return Call(
        call_id=told.call_id,
        tenant=fact.tenant,
        upload_id=fact.upload_id,
        filename=told.filename,
        format=told.format,
        company_name=told.company_name,
        contact_email=told.contact_email,
        call_type=told.call_type,
        priority=told.priority,
        status=CallStatus.UPLOADED,
        sequence=sequence,
        uploaded_at=fact.stored_at,
        uploaded_by=told.created_by,
        created_at=told.created_at,
        updated_at=fact.stored_at,
    )
