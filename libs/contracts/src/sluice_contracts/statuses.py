"""The status of everything that has one, and the moves that are legal.

The catalog enforces these tables; `docs/architecture.md` draws its pictures from them.
Repeating the present status is always allowed and changes nothing, because messages repeat.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Kind(StrEnum):
    """What has a status; also the entity token of its subjects."""

    UPLOAD = "upload"
    BATCH = "batch"
    RECORDING = "recording"
    CHUNK = "chunk"
    CALL = "call"
    RENDER = "render"


class UploadStatus(StrEnum):
    CREATED = "created"
    UPLOADING = "uploading"
    STORED = "stored"
    REGISTERED = "registered"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class RecordingStatus(StrEnum):
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class BatchStatus(StrEnum):
    OPEN = "open"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class ChunkStatus(StrEnum):
    """As the tables of the source document spell them."""

    UPLOADED = "UPLOADED"
    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    DONE = "DONE"
    ERROR = "ERROR"


class CallStatus(StrEnum):
    UPLOADED = "uploaded"
    TRANSCRIBING = "transcribing"
    TRANSCRIBED = "transcribed"
    ANALYZING = "analyzing"
    COMPLETED = "completed"
    FAILED = "failed"


class RenderStatus(StrEnum):
    UPLOADED = "uploaded"
    ATTACHED = "attached"
    DELETED = "deleted"


_Moves = Mapping[str, frozenset[str]]


def _moves(**table: str) -> _Moves:
    return MappingProxyType({state: frozenset(targets.split()) for state, targets in table.items()})


# An expired upload may still become stored: bytes that were acknowledged with 202 while the
# catalog was away are kept, however late the news of them arrives.
MOVES: Final[Mapping[Kind, _Moves]] = MappingProxyType(
    {
        Kind.UPLOAD: _moves(
            created="uploading stored expired cancelled failed",
            uploading="stored failed expired cancelled",
            stored="registered failed",
            expired="stored",
            registered="",
            failed="",
            cancelled="",
        ),
        Kind.RECORDING: _moves(
            queued="processing failed",
            processing="completed failed",
            completed="",
            failed="",
        ),
        # Derived from uploads and recordings; presigning into a finished batch opens it again.
        Kind.BATCH: _moves(
            open="pending processing completed failed",
            pending="open processing completed failed",
            processing="open completed failed",
            completed="open pending failed",
            failed="open pending completed",
        ),
        Kind.CHUNK: _moves(
            UPLOADED="QUEUED PROCESSING ERROR",
            QUEUED="PROCESSING ERROR",
            PROCESSING="DONE ERROR",
            DONE="",
            ERROR="QUEUED",
        ),
        Kind.CALL: _moves(
            uploaded="transcribing failed",
            transcribing="transcribed failed",
            transcribed="analyzing failed",
            analyzing="completed failed",
            completed="",
            failed="uploaded",
        ),
        Kind.RENDER: _moves(
            uploaded="attached deleted",
            attached="deleted",
            deleted="",
        ),
    }
)

TERMINAL: Final[Mapping[Kind, frozenset[str]]] = MappingProxyType(
    {
        Kind.UPLOAD: frozenset({"registered", "failed", "expired", "cancelled"}),
        Kind.RECORDING: frozenset({"completed", "failed"}),
        Kind.BATCH: frozenset({"completed", "failed"}),
        Kind.CHUNK: frozenset({"DONE"}),
        Kind.CALL: frozenset({"completed"}),
        Kind.RENDER: frozenset({"deleted"}),
    }
)


def is_legal(kind: Kind, current: str, target: str) -> bool:
    """Whether a `kind` that is `current` may become `target`; staying put is legal."""
    return target == current or target in MOVES[kind].get(current, frozenset())


def derive_batch(
    current: BatchStatus, recordings: Iterable[RecordingStatus], uploads_waiting: bool
) -> BatchStatus:
    """The status of a batch from those of its recordings.

    `uploads_waiting` says that something was presigned in this batch and is neither
    registered as a recording nor expired: such a batch still takes recordings. A batch that is
    processing stays so until all its recordings have ended.
    """
    present = set(recordings)
    if RecordingStatus.PROCESSING in present:
        return BatchStatus.PROCESSING
    if RecordingStatus.QUEUED in present:
        began = current is BatchStatus.PROCESSING
        return BatchStatus.PROCESSING if began else BatchStatus.PENDING
    if uploads_waiting or not present:
        return BatchStatus.OPEN
    return BatchStatus.FAILED if RecordingStatus.FAILED in present else BatchStatus.COMPLETED
