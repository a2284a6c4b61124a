"""Receiving a chunk: from its form to its row."""

from dataclasses import dataclass
from hashlib import sha256
from uuid import NAMESPACE_URL, UUID, uuid5

from sluice_contracts.api import ChunkForm
from sluice_contracts.facts import ChunkUpload, Registration
from sluice_contracts.questions import DeviceIdentity, Principal
from sluice_gateway.ports import Deps
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.filing import Filing, file_away, pieces
from sluice_gateway.usecases.sending import Sent
from sluice_runtime.errors import Rejected

_NAMESPACE = uuid5(NAMESPACE_URL, "https://sluice.dev/chunks")
_CONTENT_TYPES = {
    "opus": "audio/ogg",
    "vorbis": "audio/ogg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "pcm": "audio/wav",
    "pcm_s16le": "audio/wav",
    "pcm_s24le": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "aac": "audio/mp4",
    "alac": "audio/mp4",
    "m4a": "audio/mp4",
}


@dataclass(frozen=True)
class ChunkReceived:
    """A chunk that is stored; `answer` says whether its row is, too."""

    answer: Answer
    chunk_id: UUID
    stored_path: str


async def receive_chunk(
    principal: Principal, form: ChunkForm, data: bytes, deps: Deps
) -> ChunkReceived:
    """Store a chunk and have it queued.

    Raises:
        Rejected: it is another device's, or empty.
        Unavailable: nothing was acknowledged; the same request may be repeated.
    """
    _check_device(form, principal.device)
    if not data:
        raise Rejected("The file of the chunk is empty.", code="empty-chunk")
    digest = sha256(data).hexdigest()
    chunk_id = chunk_id_of(form, digest)
    upload = ChunkUpload(
        **form.model_dump(),
        chunk_id=chunk_id,
        created_at=deps.now(),
        created_by=principal.subject,
    )
    filing = Filing(
        door="chunks",
        tenant=principal.tenant,
        upload_id=f"upl_{chunk_id.hex}",
        planned=upload,
        content_type=_CONTENT_TYPES.get(form.codec.lower(), "application/octet-stream"),
        size_bytes=len(data),
        sha256=digest,
        shared=True,
    )

    async def describe(_: Sent) -> Registration:
        return upload

    filed = await file_away(filing, pieces(data), describe, deps)
    return ChunkReceived(filed.answer, chunk_id, filed.placed.key)


def chunk_id_of(form: ChunkForm, digest: str) -> UUID:
    """The id that follows from device, start and bytes: recorders repeat themselves, and the same
    chunk has the same id, key and row however often it comes."""
    return uuid5(_NAMESPACE, f"{form.device_id} {form.start_ts.timestamp():.6f} {digest}")


def _check_device(form: ChunkForm, device: DeviceIdentity | None) -> None:
    """A token speaks for one device at one place."""
    for name in ("device_id", "point_id", "register_id"):
        if device is None or getattr(form, name) != getattr(device, name):
            raise Rejected(f"This token is not that of this {name}.", code="foreign-device")
