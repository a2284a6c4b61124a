"""Where objects lie, how large their parts are, and what their first bytes say. No I/O."""

import re
import unicodedata
from datetime import datetime

import puremagic

MIB = 1024**2
MAX_PARTS = 10_000
HEAD_BYTES = 512

# Objects that clients sent lie below the first prefix, what Sluice knows of them below the
# second, so that no client's name can ever collide with ours.
OBJECTS = "tenants/"
REGISTRATIONS = "registrations/"
DESCRIPTIONS = "descriptions/"

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


def registration_key(key: str) -> str:
    """Where the registration of the object at `key` is kept."""
    return f"{REGISTRATIONS}{_beside(key)}.json"


def description_key(key: str) -> str:
    """Where the description a client gave of the object at `key` is kept."""
    return f"{DESCRIPTIONS}{_beside(key)}.json"


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


def sniff(head: bytes) -> str | None:
    """The media type the first bytes speak of; a hint, not a verdict."""
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return None
    for match in matches:
        if match.mime_type:
            return str(match.mime_type)
    return None
