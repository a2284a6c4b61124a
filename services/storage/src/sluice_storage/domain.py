"""Where objects lie, and how large their parts are. No I/O."""

import re
import unicodedata
from datetime import UTC, datetime

from sluice_contracts.facts import (
    CallUpload,
    ChunkUpload,
    DirectUpload,
    RecordingUpload,
    RenderUpload,
)
from sluice_contracts.questions import PlaceUpload

MIB = 1024**2
MAX_PARTS = 10_000
HEAD_BYTES = 512

# What Sluice knows of objects lies below prefixes of its own, which no door's layout begins with.
# So does what clients put by themselves, until it is taken from there.
OBJECTS = "tenants/"
REGISTRATIONS = "registrations/"
DESCRIPTIONS = "descriptions/"
INCOMING = "incoming/"
PROBES = "health/"
_OURS = (DESCRIPTIONS, INCOMING, REGISTRATIONS, PROBES)

_EXTENSIONS = {
    "opus": "ogg",
    "vorbis": "ogg",
    "ogg": "ogg",
    "wav": "wav",
    "pcm": "wav",
    "pcm_s16le": "wav",
    "pcm_s24le": "wav",
    "mp3": "mp3",
    "flac": "flac",
    "aac": "m4a",
    "alac": "m4a",
    "m4a": "m4a",
}

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
_MAX_NAME = 120


def safe_name(filename: str) -> str:
    """`filename` reduced to what is harmless in a key, a URL, a header and every file system.

    The name as the client gave it is kept in the catalog; this one only has to be recognisable.
    """
    last = re.split(r"[/\\]", filename)[-1]
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    name = _UNSAFE.sub("_", plain).strip("._ ")
    if _RESERVED.match(name):
        name = "_" + name
    if len(name) > _MAX_NAME:
        stem, dot, extension = name.rpartition(".")
        if dot and len(extension) <= 16:
            name = stem[: _MAX_NAME - len(extension) - 1] + "." + extension
        else:
            name = name[:_MAX_NAME].rstrip("._")
    return name or "file"


def recording_key(tenant: str, day: datetime, recording_id: str, filename: str) -> str:
    """The key of a recording; `day` must be in UTC."""
    return f"{OBJECTS}{tenant}/recordings/{day:%Y/%m/%d}/{recording_id}/{safe_name(filename)}"


def upload_key(place: PlaceUpload, environment: str) -> str:
    """The key of a file that comes through a form, or from its client itself: each door has a
    layout of its own, made of typed fields and of nothing a client wrote freely."""
    match place.registration:
        case ChunkUpload() as chunk:
            start = chunk.start_ts.astimezone(UTC)
            name = f"chunk_{start:%Y%m%dT%H%M%S}{start.microsecond // 1000:03}Z_{chunk.chunk_id}"
            folder = f"{chunk.point_id}/{chunk.register_id}/{start:%Y-%m-%d/%H}"
            return f"audio/{folder}/{name}.{extension_of(chunk.codec)}"
        case CallUpload() as call:
            return f"{call.created_at.astimezone(UTC):%Y/%m/%d}/{call.call_id}.{call.format}"
        case RenderUpload() as render:
            return f"{environment}/renders/{render.render_id}.{render.format}"
        case DirectUpload() as direct:
            day = direct.created_at.astimezone(UTC)
            name = safe_name(direct.filename)
            return f"{OBJECTS}{place.tenant}/uploads/{day:%Y/%m/%d}/{place.upload_id}/{name}"
        case RecordingUpload() as recording:
            raise AssertionError(f"{recording.recording_id} has its place since it was planned")


def extension_of(codec: str) -> str:
    """The extension of files in which a codec usually travels; `bin` for one we never heard of."""
    return _EXTENSIONS.get(codec.lower(), "bin")


def next_key(after: str) -> str:
    """Where a listing of clients' objects goes on: what lies beside them is left out."""
    for ours in _OURS:
        if after.startswith(ours):
            return ours.rstrip("/") + chr(ord("/") + 1)
    return after


def is_ours(key: str) -> bool:
    """Whether `key` is none under which an object of a client is kept."""
    return key.startswith(_OURS)


def incoming_key(key: str) -> str:
    """Where a client puts the bytes of the object at `key` by itself, to be taken from there."""
    return INCOMING + key


def destination_key(incoming: str) -> str:
    """The key of the object whose bytes are put to `incoming`."""
    return incoming.removeprefix(INCOMING)


def may_come_in(key: str) -> bool:
    """Whether the bytes of the object at `key` may have come by one PUT of their client."""
    return key.startswith(OBJECTS) and "/uploads/" in key


def registration_key(key: str) -> str:
    """Where the registration of the object at `key` is kept."""
    return f"{REGISTRATIONS}{_beside(key)}.json"


def description_key(key: str) -> str:
    """Where the description a client gave of the object at `key` is kept."""
    return f"{DESCRIPTIONS}{_beside(key)}.json"


def key_beside(key: str) -> str:
    """The key of the object beside which `key` is kept; no key of a client holds a tilde."""
    beside = key.partition("/")[2].removesuffix(".json")
    folder, _, name = beside.rpartition("~")
    return f"{folder}/{name}"


def _beside(key: str) -> str:
    """`key` with its last folder drawn into the name: a store that keeps folders need not make
    one for each object again."""
    folder, _, name = key.rpartition("/")
    return f"{folder}~{name}"


def part_size(size_bytes: int | None, smallest: int) -> int:
    """Bytes in each part of a multipart upload.

    The smallest whole number of MiB, and at least `smallest`, with which the object fits into
    10 000 parts. A body of unknown length gets `smallest`.

    Source: Amazon S3 User Guide, "Multipart upload limits".
    """
    if size_bytes is None:
        return smallest
    whole_mib = -(-size_bytes // (MAX_PARTS * MIB))
    return max(smallest, whole_mib * MIB)
