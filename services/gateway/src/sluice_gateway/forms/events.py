"""A form as events: a part begins, bytes of it come, it ends; at last the form ends."""

from collections.abc import AsyncIterator
from enum import Enum, auto

from multipart import (
    MultipartSegment,
    ParserError,
    ParserLimitReached,
    PushMultipartParser,
)

from sluice_gateway.forms.rules import (
    FormRules,
    Part,
    boundary_of,
    header_too_large,
    malformed,
    read_part,
)
from sluice_runtime.errors import Rejected

# RFC 2046 allows text before the first boundary and after the last; no browser sends any.
_MAX_PREAMBLE_BYTES = 8 * 1024
# What may come without an event, next to a header: a preamble, a boundary, an epilogue.
_MAX_SILENT_BYTES = 16 * 1024
_MAX_HEADER_LINES = 16


class Mark(Enum):
    PART_ENDS = auto()
    FORM_ENDS = auto()


Event = Part | bytes | Mark


async def events_of(
    content_type: str, body: AsyncIterator[bytes], rules: FormRules
) -> AsyncIterator[Event]:
    """The events of a form. A chunk of the body is asked for when the last one is used up.

    After `FORM_ENDS` the body has been read to its end. Bytes after the final boundary mean
    nothing and are dropped; a stream of them is refused.

    Raises:
        Rejected: it is no form, it breaks the rules, or it ended early.
    """
    boundary = boundary_of(content_type)
    parser = PushMultipartParser(
        boundary,
        max_header_size=rules.max_part_header_bytes,
        max_header_count=_MAX_HEADER_LINES,
    )
    silent = parts = 0
    try:
        async for chunk in _from_first_boundary(body, b"--" + boundary):
            silent += len(chunk)
            for event in parser.parse(chunk):
                silent = 0
                if isinstance(event, MultipartSegment):
                    parts += 1
                    _check_count(parts, rules)
                    yield read_part(event, rules)
                else:
                    yield Mark.PART_ENDS if event is None else event
            if silent > _MAX_SILENT_BYTES + rules.max_part_header_bytes:
                raise _endless(parser, rules)
    except ParserLimitReached as error:
        # The parser counts nothing but headers; the other limits are ours.
        raise header_too_large(rules) from error
    except ParserError as error:
        raise malformed("The body is not a well-formed multipart/form-data.") from error
    _close(parser)
    yield Mark.FORM_ENDS


async def _from_first_boundary(
    body: AsyncIterator[bytes], delimiter: bytes
) -> AsyncIterator[bytes]:
    """The body, its first boundary in the first chunk. The parser alone would wait for ever."""
    start = b""
    async for chunk in body:
        start += chunk
        place = start.find(delimiter)
        reached = place if place >= 0 else len(start) - len(delimiter)
        if reached > _MAX_PREAMBLE_BYTES:
            raise malformed("The body does not begin with the boundary that Content-Type names.")
        if place >= 0:
            break
    else:
        if delimiter.startswith(start):
            raise _incomplete()
        raise malformed("The body does not hold the boundary that Content-Type names.")
    yield start
    async for chunk in body:
        # To the parser an empty chunk is the end of the body.
        if chunk:
            yield chunk


def _check_count(parts: int, rules: FormRules) -> None:
    if parts > rules.max_parts:
        raise Rejected(f"At most {rules.max_parts} parts are taken.", code="form-too-many-parts")


def _endless(parser: PushMultipartParser, rules: FormRules) -> Rejected:
    """Why bytes that lead to nothing are refused. Closing tells where the parser stood."""
    try:
        parser.close()
    except ParserError:
        return header_too_large(rules)
    return malformed("Too many bytes follow the final boundary; end the body there.")


def _close(parser: PushMultipartParser) -> None:
    try:
        parser.close()
    except ParserError as error:
        raise _incomplete() from error


def _incomplete() -> Rejected:
    return Rejected(
        "The body ended before the final boundary; send the form again.", code="form-incomplete"
    )
