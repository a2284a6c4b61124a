"""What a door takes, and what a form says about itself: its boundary, its parts, its fields."""

import re
from dataclasses import dataclass

from multipart import MultipartSegment, parse_options_header

from sluice_runtime.errors import Rejected

MAX_NAME_CHARACTERS = 200

# RFC 2046 allows fewer characters; some clients use others, which do no harm.
_BOUNDARY = re.compile(r"[ -~]{0,69}[!-~]")
# A tab may stand in a header, and nothing else below the space.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PLAIN_ENCODINGS = frozenset({"7bit", "8bit", "binary"})
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class FormRules:
    """What a door takes. The limits on parts and fields are the same at every door."""

    file_field: str
    max_file_bytes: int
    max_parts: int = 64
    max_part_header_bytes: int = 8 * 1024
    max_field_bytes: int = 64 * 1024


@dataclass(frozen=True)
class FilePart:
    """What the sender says about the file; nothing of it is checked.

    `filename` is as sent, with `%22`, `%0D` and `%0A` decoded, which is how browsers write what a
    header cannot hold. `filename*` is ignored: RFC 7578 forbids it here.
    """

    filename: str
    content_type: str


@dataclass(frozen=True)
class Part:
    """The beginning of one part: a field, or the file."""

    name: str
    file: FilePart | None = None


def malformed(detail: str) -> Rejected:
    return Rejected(detail, code="form-malformed")


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type header names.

    Raises:
        Rejected: the body is no form, or the boundary is missing or not one of RFC 2046.
    """
    media_type, options = parse_options_header(content_type)
    if media_type != "multipart/form-data":
        raise Rejected("Send the file in a multipart/form-data body.", code="not-a-form")
    boundary: str = options.get("boundary", "")
    if not boundary:
        raise malformed("Content-Type has no boundary; let the HTTP library write this header.")
    if not _BOUNDARY.fullmatch(boundary):
        raise malformed("The boundary must be 1 to 70 ASCII characters and not end in a space.")
    return boundary.encode()


def read_part(segment: MultipartSegment, rules: FormRules) -> Part:
    """What the header of a part says.

    Raises:
        Rejected: the header is too large or doubtful, or this door does not take such a part.
    """
    _check_header(segment.headerlist, rules)
    _check_content(segment)
    name = segment.name or ""
    if not name or len(name) > MAX_NAME_CHARACTERS or _CONTROL.search(name):
        raise Rejected(
            f"Every part needs a name of 1 to {MAX_NAME_CHARACTERS} printable characters.",
            code="form-field-malformed",
        )
    if name == rules.file_field:
        if segment.filename is None:
            raise Rejected(
                f"The part {name!r} is a text; send it as a file, with a name "
                f"(with curl: -F {name}=@recording.wav).",
                code="form-not-a-file",
            )
        declared = segment.header("Content-Type", "").strip()
        return Part(name, FilePart(segment.filename, declared))
    if segment.filename is not None:
        raise Rejected(
            f"The part {shown(name)!r} is a file; send one file, named {rules.file_field!r}.",
            code="form-unexpected-file",
        )
    return Part(name)


def _check_header(header: list[tuple[str, str]], rules: FormRules) -> None:
    # Four bytes of each line are the colon, the space after it and the line break.
    if sum(len(name) + len(value.encode()) + 4 for name, value in header) > (
        rules.max_part_header_bytes
    ):
        raise header_too_large(rules)
    if len({name for name, _ in header}) < len(header):
        raise malformed("A part has the same header twice; send each once.")
    # Also a lone CR or LF, which somebody behind us might take for the end of the line.
    if any(_CONTROL.search(value) for _, value in header):
        raise malformed("The header of a part holds control characters; end lines with CRLF.")


def _check_content(segment: MultipartSegment) -> None:
    encoding = segment.header("Content-Transfer-Encoding", "binary").strip().lower()
    if encoding not in _PLAIN_ENCODINGS:
        raise Rejected(
            f"A part is encoded as {shown(encoding)!r}; send its bytes as they are.",
            code="form-encoding-unsupported",
        )
    if (segment.content_type or "").startswith("multipart/"):
        raise Rejected(
            "A part holds another multipart body; send fields and the file directly.",
            code="form-nested",
        )


def header_too_large(rules: FormRules) -> Rejected:
    return Rejected(
        f"The header of a part has at most {rules.max_part_header_bytes} bytes and few lines.",
        code="form-part-header-too-large",
    )


def field_text(name: str, value: bytes) -> str:
    """The text of a field. Raises `Rejected` for what is not UTF-8, or holds NUL."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise Rejected(
            f"The field {shown(name)!r} is not UTF-8.", code="form-field-malformed"
        ) from error
    if "\x00" in text:
        raise Rejected(
            f"The field {shown(name)!r} holds a NUL character.", code="form-field-malformed"
        )
    return text


def shown(text: str) -> str:
    """So much of a stranger's text as an answer may repeat."""
    printable = "".join(one if one.isprintable() else "?" for one in text[:_SHOWN_CHARACTERS])
    return printable if len(text) <= _SHOWN_CHARACTERS else printable[:-1] + "…"
