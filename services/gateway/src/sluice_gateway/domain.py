"""Tokens, names, ranges and cursors: rules of the public door. No I/O."""

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from uuid import UUID

from pydantic_core import to_json

from sluice_contracts.base import JsonObject
from sluice_contracts.questions import Page
from sluice_runtime.errors import NotFound, Rejected

SCOPE_READ = "recordings:read"
SCOPE_WRITE = "recordings:write"
SCOPE_EVENTS = "events:read"
SCOPE_ADMIN = "admin"
SCOPE_RENDERS_READ = "renders:read"
SCOPE_RENDERS_WRITE = "renders:write"
SCOPE_CHUNKS_READ = "chunks:read"
SCOPE_CALLS_READ = "calls:read"
SCOPE_CALLS_WRITE = "calls:write"
SCOPE_UPLOADS_READ = "uploads:read"
SCOPE_UPLOADS_WRITE = "uploads:write"

# Served as they are; everything else is a download.
_INLINE_TYPES = re.compile(
    r"(audio|video)/[a-z0-9.+-]+|image/(png|jpeg|gif|webp|avif)", re.IGNORECASE
)
_UNSAFE_IN_NAMES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# Format characters that words are written with: joiners of Persian, Indic scripts and emoji.
_JOINERS = frozenset("\u200c\u200d")
_MD5_BYTES = 16
MAX_NAME_BYTES = 255
MAX_METADATA_BYTES = 64 * 1024


def token_digest(token: str) -> str:
    """What the catalog knows a token by."""
    return hashlib.sha256(token.encode()).hexdigest()


class UploadTokens:
    """Signs the URLs that are handed out, and checks them without asking anybody."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def sign(self, upload_id: str, expires_at: datetime) -> str:
        """The token for one upload, good until `expires_at` (to the second)."""
        expiry = str(int(expires_at.timestamp()))
        return f"{expiry}.{self._mac(upload_id, expiry)}"

    def check(self, upload_id: str, token: str, now: datetime) -> None:
        """Raises `Rejected` for a token that is wrong, or was right once."""
        expiry, _, mac = token.partition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(upload_id, expiry).encode()):
            raise Rejected(
                "The token in this upload URL is missing or wrong; use the URL as presigned.",
                code="upload-token-invalid",
            )
        if int(expiry) < now.timestamp():
            raise Rejected(
                "This upload URL has expired; presign again.", code="upload-token-expired"
            )

    def sign_render(self, render_id: UUID) -> str:
        """The capability in the link of a render: whoever has it may play it, while it lives."""
        return self._digest(f"render\n{render_id}")

    def is_render_of(self, render_id: UUID, capability: str) -> bool:
        """Whether we gave out this link."""
        return hmac.compare_digest(capability.encode(), self.sign_render(render_id).encode())

    def _mac(self, upload_id: str, expiry: str) -> str:
        return self._digest(f"upload\n{upload_id}\n{expiry}")

    def _digest(self, text: str) -> str:
        digest = hmac.digest(self._secret, text.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def known_batch_id(text: str) -> str:
    """`text`, if a batch could be called so. Raises `NotFound` otherwise."""
    return _known(text, "rb", "batch")


def known_recording_id(text: str) -> str:
    """`text`, if a recording could be called so. Raises `NotFound` otherwise."""
    return _known(text, "rec", "recording")


def known_upload_id(text: str) -> str:
    """`text`, if an upload could be called so. Raises `NotFound` otherwise."""
    return _known(text, "upl", "upload")


def object_id_of(upload_id: str) -> str:
    """How clients speak of the bytes of an upload."""
    return "obj_" + upload_id.removeprefix("upl_")


def upload_id_of(object_id: str) -> str:
    """The upload whose bytes are called so. Raises `NotFound` when none could be."""
    return "upl_" + _known(object_id, "obj", "object").removeprefix("obj_")


def known_message_id(text: str) -> str:
    """`text`, if a message could be called so. Raises `NotFound` otherwise."""
    return _known(text, "msg", "message")


def known_uuid(text: str, kind: str) -> UUID:
    """`text`, if a `kind` could be called so. Raises `NotFound` otherwise."""
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(f"There is no {kind} {text[:64]!r}.", code=f"{kind}-not-found") from error


def uuid_of(upload_id: str) -> UUID:
    """The id that an upload through a form was named for."""
    return UUID(hex=upload_id.removeprefix("upl_"))


def _known(text: str, prefix: str, kind: str) -> str:
    if not re.fullmatch(prefix + r"_[a-z0-9]{8,40}", text):
        raise NotFound(f"There is no {kind} {text[:64]!r}.", code=f"{kind}-not-found")
    return text


def check_filename(filename: str) -> str:
    """The last component of `filename`, composed (NFC).

    Raises:
        Rejected: it is empty, longer than 255 bytes, or holds characters that are not text:
            control characters, line breaks, direction overrides.
    """
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", filename)[-1]).strip()
    problem = None
    if any(unicodedata.category(one) in _UNSAFE_IN_NAMES for one in set(filename) - _JOINERS):
        problem = "holds control or direction characters"
    elif len(filename.encode(errors="replace")) > MAX_NAME_BYTES:
        problem = f"is longer than {MAX_NAME_BYTES} bytes"
    elif not name.strip("."):
        problem = "is empty"
    if problem:
        raise Rejected(f"The file name {problem}.", code="invalid-filename")
    return name


def check_metadata(data: JsonObject) -> None:
    """Raises `Rejected` for a description that is too large to travel in a message."""
    if len(to_json(data)) > MAX_METADATA_BYTES:
        raise Rejected(
            f"The data of a recording has at most {MAX_METADATA_BYTES} bytes.",
            code="metadata-too-large",
        )


def disposition(content_type: str, filename: str) -> str:
    """A Content-Disposition. Source: RFC 6266, RFC 8187."""
    kind = "inline" if is_inline(content_type) else "attachment"
    plain = filename.encode("ascii", "replace").decode().replace("?", "_")
    plain = re.sub(r'["\\]', "_", plain)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def is_inline(content_type: str) -> bool:
    """Whether a browser may show this type itself."""
    return _INLINE_TYPES.fullmatch(content_type) is not None


def served_type(content_type: str) -> str:
    """The type a response carries: the one declared where it is harmless."""
    return content_type if is_inline(content_type) else "application/octet-stream"


def promised_md5(header: str | None) -> bytes | None:
    """The digest that a `Content-MD5` promises; None when there is no such header.

    Raises:
        Rejected: it is no MD5 in Base64. Source: RFC 1864.
    """
    if header is None:
        return None
    try:
        md5 = base64.b64decode(header, validate=True)
    except ValueError:
        md5 = b""
    if len(md5) != _MD5_BYTES:
        raise Rejected("Content-MD5 is no MD5 in Base64; leave it out.", code="digest-malformed")
    return md5


@dataclass(frozen=True)
class ByteRange:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


class Unsatisfiable(Exception):
    """A range that begins behind the end."""


# No object has a size of more digits, and longer numbers take long to read.
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The one range that is asked for; None for the whole.

    Several ranges, other units and malformed headers are ignored, as RFC 9110 allows.

    Raises:
        Unsatisfiable: no byte of the object lies in the range.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    start, end = match.groups()
    if not start:
        length = min(int(end), size)
        if length == 0:
            raise Unsatisfiable
        return ByteRange(size - length, size - 1)
    first = int(start)
    last = min(int(end), size - 1) if end else size - 1
    if first >= size:
        raise Unsatisfiable
    return ByteRange(first, last) if first <= last else None


_ID = re.compile(r"[a-z]{1,8}_[a-z0-9]{8,40}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def encode_cursor(page: Page | None) -> str | None:
    """`page` as an opaque word."""
    if page is None:
        return None
    return base64.urlsafe_b64encode(page.model_dump_json().encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str | None) -> Page | None:
    """Raises `Rejected` for a word we never gave out."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True)
        page: Page | None = Page.model_validate_json(text)
    except (ValueError, binascii.Error):
        page = None
    if page is None or not _ID.fullmatch(page.id):
        raise _foreign_cursor()
    return page


def decode_uuid_cursor(cursor: str | None) -> Page | None:
    """As `decode_cursor`, for a list of what is named by UUIDs: the word of another list is none
    of this one's."""
    page = decode_cursor(cursor)
    if page is not None and "_" in page.id:
        raise _foreign_cursor()
    return page


def _foreign_cursor() -> Rejected:
    return Rejected("This cursor is not one of ours; start without it.", code="invalid-cursor")
