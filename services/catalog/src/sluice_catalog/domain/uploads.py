"""Uploads, batches and recordings, and the rules all statuses keep to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, ClassVar, Literal, Protocol, TypeVar
from uuid import UUID

from sluice_contracts.base import JsonObject
from sluice_contracts.questions import RecordingState
from sluice_contracts.statuses import (
    BatchStatus,
    Kind,
    RecordingStatus,
    UploadStatus,
    is_legal,
)
from sluice_runtime.errors import Conflict, NotFound

# The keys of the source documents: fine on a laptop, never anywhere else.
WELL_KNOWN_TOKENS = ("test_12345", "changeme-admin-token")


def token_digest(token: str) -> str:
    """What is kept of a token. Tokens are long and random, so a plain digest is enough."""
    return sha256(token.encode()).hexdigest()


class IllegalTransition(Conflict):
    """The status table has no such move."""

    code = "illegal-transition"


def known_uuid(text: str, kind: str) -> UUID:
    """`text` as an id. Raises `NotFound` for what can be nobody's."""
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(f"There is no {kind} {text[:64]!r}.", code=f"{kind}-not-found") from error


@dataclass(frozen=True)
class Change:
    """One step of one thing, as history and subscribers see it."""

    kind: Kind
    tenant: str
    id: str
    batch_id: str | None
    sequence: int
    previous: str | None
    status: str
    reason: str | None = None


class Moving(Protocol):
    """Something that has a status of its own and belongs to no batch."""

    KIND: ClassVar[Kind]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def id(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def status(self) -> StrEnum: ...
    @property
    def sequence(self) -> int: ...


T = TypeVar("T", bound=Moving)


@dataclass(frozen=True)
class Batch:
    batch_id: str
    tenant: str
    status: BatchStatus
    sequence: int
    created_at: datetime
    created_by: str

    def move_to(self, status: BatchStatus) -> "tuple[Batch, list[Change]]":
        """This batch in its derived status, and the change if there is one."""
        steps = _steps(Kind.BATCH, self.batch_id, self.status, [status])
        changes = _changes(Kind.BATCH, self.tenant, self.batch_id, self, steps, None)
        return replace(self, status=status, sequence=self.sequence + len(changes)), changes


@dataclass(frozen=True)
class Upload:
    upload_id: str
    tenant: str
    batch_id: str
    recording_id: str
    filename: str
    content_type: str
    bucket: str
    key: str
    status: UploadStatus
    sequence: int
    created_at: datetime
    created_by: str
    deadline: datetime
    claim_id: str | None = None
    claimed_until: datetime | None = None
    put_url: str | None = None

    @property
    def blob_ref(self) -> str:
        """How clients speak of these bytes."""
        return f"blob://s3/{self.bucket}/{self.key}"

    def is_claimed(self, now: datetime) -> bool:
        """Whether somebody is sending the bytes right now."""
        return self.claimed_until is not None and self.claimed_until > now

    def move_to(
        self, *path: UploadStatus, reason: str | None = None
    ) -> "tuple[Upload, list[Change]]":
        """This upload at the end of `path`, and the changes on the way there.

        Raises:
            IllegalTransition: a step is not in the table.
        """
        steps = _steps(Kind.UPLOAD, self.upload_id, self.status, path)
        changes = _changes(Kind.UPLOAD, self.tenant, self.upload_id, self, steps, reason)
        return replace(self, status=path[-1], sequence=self.sequence + len(changes)), changes


@dataclass(frozen=True)
class Recording:
    recording_id: str
    tenant: str
    batch_id: str
    upload_id: str
    client_item_id: str
    data: JsonObject
    status: RecordingStatus
    sequence: int
    created_at: datetime

    def move_to(
        self, status: RecordingStatus, reason: str | None = None
    ) -> "tuple[Recording, list[Change]]":
        """This recording in its next status, and the change if there is one.

        Raises:
            IllegalTransition: the table has no such move.
        """
        steps = _steps(Kind.RECORDING, self.recording_id, self.status, [status])
        changes = _changes(Kind.RECORDING, self.tenant, self.recording_id, self, steps, reason)
        return replace(self, status=status, sequence=self.sequence + len(changes)), changes


class PlacedState(RecordingState):
    """How far a recording is, and its place among those of its batch."""

    created_at: datetime


@dataclass(frozen=True)
class StoredObject:
    key: str
    upload_id: str
    tenant: str
    bucket: str
    size_bytes: int
    sha256: str
    etag: str
    content_type: str
    detected_type: str | None
    state: Literal["stored", "damaged", "discarded"]
    stored_at: datetime
    verified_at: datetime | None = None


def first_change(
    kind: Kind, tenant: str, id_: str, batch_id: str | None, status: str, sequence: int = 1
) -> Change:
    """The birth of a thing: from nothing to its first status.

    What was lost and is born again goes on behind what its history still knows.
    """
    return Change(kind, tenant, id_, batch_id, sequence, None, status)


def moved(thing: T, *path: str, reason: str | None = None) -> "tuple[T, list[Change]]":
    """`thing` at the end of `path`, and the changes on the way there.

    Raises:
        IllegalTransition: a step is not in the table of its kind.
    """
    steps = _steps(thing.KIND, thing.id, thing.status, path)
    changes = [
        Change(
            thing.KIND, thing.tenant, thing.id, None, thing.sequence + n, previous, status, reason
        )
        for n, (previous, status) in enumerate(steps, start=1)
    ]
    if not changes:
        return thing, changes
    last = type(thing.status)(changes[-1].status)
    return replace(thing, status=last, sequence=thing.sequence + len(changes)), changes


def _steps(kind: Kind, id_: str, current: str, path: Sequence[str]) -> list[tuple[str, str]]:
    """The moves along `path`; repeating the present status is none, because messages repeat."""
    steps: list[tuple[str, str]] = []
    for target in path:
        if not is_legal(kind, current, target):
            raise IllegalTransition(f"{kind} {id_} is {current} and cannot become {target}.")
        if target != current:
            steps.append((current, target))
            current = target
    return steps


def _changes(
    kind: Kind,
    tenant: str,
    id_: str,
    thing: Batch | Upload | Recording,
    steps: Sequence[tuple[str, str]],
    reason: str | None,
) -> list[Change]:
    return [
        Change(kind, tenant, id_, thing.batch_id, thing.sequence + n, previous, status, reason)
        for n, (previous, status) in enumerate(steps, start=1)
    ]
