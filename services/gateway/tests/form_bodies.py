"""Forms as bytes, in pieces of any size, and what reading them comes to."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

from sluice_gateway.forms import FilePart, Form, FormRules
from sluice_runtime.errors import Rejected
from sluice_runtime.web import STATUS_OF_CODE

BOUNDARY = b"gc0p4Jq0M:2Yt08"
CONTENT_TYPE = f'multipart/form-data; boundary="{BOUNDARY.decode()}"'
RULES = FormRules("file", max_file_bytes=1000)


def part(disposition: str, value: bytes, *header: str) -> bytes:
    lines = [f"Content-Disposition: form-data; {disposition}", *header, "", ""]
    return "\r\n".join(lines).encode() + value


def field(name: str, value: str) -> bytes:
    return part(f'name="{name}"', value.encode())


def file(data: bytes, *header: str) -> bytes:
    return part('name="file"; filename="a.wav"', data, *header)


def form_of(*parts: bytes) -> bytes:
    delimiter = b"--" + BOUNDARY
    return b"".join(delimiter + b"\r\n" + one + b"\r\n" for one in parts) + delimiter + b"--\r\n"


def pieces_of(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


class Source:
    """A body that knows how much of it was asked for."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.given_bytes = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            self.given_bytes += len(piece)
            return piece
        raise StopAsyncIteration


@dataclass(frozen=True)
class Read:
    """All that a form holds. `before` are the names of the fields that came before the file."""

    before: tuple[str, ...]
    fields: dict[str, str]
    file: FilePart | None = None
    data: bytes | None = None


async def read(
    body: Iterable[bytes] | Source, content_type: str = CONTENT_TYPE, rules: FormRules = RULES
) -> Read:
    source = body if isinstance(body, Source) else Source(body)
    form = await Form.open(content_type, source, rules)
    before, data = tuple(form.fields), None
    if form.file is not None:
        data = b"".join([chunk async for chunk in form.file_chunks()])
    return Read(before, await form.finish(), form.file, data)


async def outcome(
    body: Iterable[bytes] | Source, content_type: str = CONTENT_TYPE, rules: FormRules = RULES
) -> Read | str:
    """What the form holds, or the code it is refused with."""
    try:
        return await read(body, content_type, rules)
    except Rejected as error:
        return _answer(error)


def _answer(error: Rejected) -> str:
    assert error.code in STATUS_OF_CODE
    assert len(str(error)) < 200
    return error.code
