"""Uploads whose clients send the bytes to the store themselves."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from sluice_catalog.domain.uploads import Change, Upload, first_change, moved
from sluice_contracts.base import JsonObject
from sluice_contracts.facts import DirectUpload, ObjectDiscarded, ObjectStored
from sluice_contracts.questions import DirectView, PlannedDirect
from sluice_contracts.statuses import Kind, UploadStatus

OPEN = (UploadStatus.CREATED, UploadStatus.UPLOADING)
# Bytes that come for one of these are kept.
_TAKES = (*OPEN, UploadStatus.EXPIRED, UploadStatus.STORED)


@dataclass(frozen=True)
class Direct:
    """One of them. Size and digest are what was promised, and what was found in the end."""

    KIND: ClassVar[Kind] = Kind.UPLOAD

    upload_id: str
    tenant: str
    batch_id: str | None
    recording_id: str | None
    filename: str
    content_type: str
    bucket: str
    key: str
    session_id: str | None
    part_size: int | None
    size_bytes: int | None
    sha256: str | None
    metadata: JsonObject
    status: UploadStatus
    sequence: int
    created_at: datetime
    created_by: str
    deadline: datetime

    @property
    def id(self) -> str:
        return self.upload_id

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def takes_bytes(self) -> bool:
        return self.status in _TAKES

    def born(self) -> Change:
        return first_change(
            Kind.UPLOAD,
            self.tenant,
            self.upload_id,
            self.batch_id,
            UploadStatus.CREATED,
            self.sequence,
        )

    def move_to(
        self, *path: UploadStatus, reason: str | None = None
    ) -> "tuple[Direct, list[Change]]":
        """This upload at the end of `path`, and the changes on the way there.

        Raises:
            IllegalTransition: a step is not in the table.
        """
        there, changes = moved(self, *path, reason=reason)
        return there, [replace(one, batch_id=self.batch_id) for one in changes]

    def discarded(self) -> ObjectDiscarded:
        """The fact that has storage remove whatever was sent."""
        return ObjectDiscarded(
            tenant=self.tenant,
            upload_id=self.upload_id,
            bucket=self.bucket,
            key=self.key,
            session_id=self.session_id,
        )

    def registered(self, fact: ObjectStored) -> "tuple[Direct, list[Change]]":
        """This upload once its bytes are known, and how it came there."""
        there, changes = self.move_to(UploadStatus.STORED, UploadStatus.REGISTERED)
        size, sha256 = fact.bytes.size_bytes, fact.bytes.sha256
        return replace(there, size_bytes=size, sha256=sha256), changes

    def member(self) -> Upload | None:
        """What stands for this upload in its batch, so that a recording can be made of it."""
        if self.batch_id is None or self.recording_id is None:
            return None
        return Upload(
            upload_id=self.upload_id,
            tenant=self.tenant,
            batch_id=self.batch_id,
            recording_id=self.recording_id,
            filename=self.filename,
            content_type=self.content_type,
            bucket=self.bucket,
            key=self.key,
            status=self.status,
            sequence=self.sequence,
            created_at=self.created_at,
            created_by=self.created_by,
            deadline=self.deadline,
        )

    def view(self, *, completing: bool = False, failure_code: str | None = None) -> DirectView:
        return DirectView(
            upload_id=self.upload_id,
            batch_id=self.batch_id,
            recording_id=self.recording_id,
            filename=self.filename,
            content_type=self.content_type,
            bucket=self.bucket,
            key=self.key,
            session_id=self.session_id,
            part_size=self.part_size,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            metadata=self.metadata,
            status=self.status,
            created_at=self.created_at,
            created_by=self.created_by,
            deadline=self.deadline,
            completing=completing,
            failure_code=failure_code,
        )


def planned_direct(
    planned: PlannedDirect, tenant: str, actor: str, now: datetime, deadline: datetime
) -> Direct:
    """A direct upload at its birth."""
    return Direct(
        **planned.model_dump(),
        tenant=tenant,
        status=UploadStatus.CREATED,
        sequence=1,
        created_at=now,
        created_by=actor,
        deadline=deadline,
    )


def lost_direct(fact: ObjectStored, told: DirectUpload, first: int) -> Direct:
    """A direct upload as its registration remembers it; its history goes on at `first`."""
    return Direct(
        upload_id=fact.upload_id,
        tenant=fact.tenant,
        batch_id=told.batch_id,
        recording_id=told.recording_id,
        filename=told.filename,
        content_type=fact.bytes.content_type,
        bucket=fact.bytes.bucket,
        key=fact.bytes.key,
        session_id=None,
        part_size=None,
        size_bytes=fact.bytes.size_bytes,
        sha256=fact.bytes.sha256,
        metadata=told.metadata,
        status=UploadStatus.CREATED,
        sequence=first,
        created_at=told.created_at,
        created_by=told.created_by,
        deadline=fact.stored_at,
    )
