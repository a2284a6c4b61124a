"""Forms that are refused, each with its code, and before much of them has been read."""

from itertools import chain, repeat

import pytest

from sluice_gateway.forms import Form
from sluice_runtime.errors import Rejected

from .form_bodies import (
    BOUNDARY,
    CONTENT_TYPE,
    RULES,
    Source,
    field,
    file,
    form_of,
    outcome,
    part,
    pieces_of,
)

GOOD = form_of(field("a", "1"), file(b"xyz"), field("b", "2"))
FIRST = b"--" + BOUNDARY + b"\r\n"
FILE_HEADER = file(b"")

CONTENT_TYPES = {
    "none": ("", "not-a-form"),
    "JSON": ("application/json", "not-a-form"),
    "another multipart": (f'multipart/mixed; boundary="{BOUNDARY.decode()}"', "not-a-form"),
    "no boundary": ("multipart/form-data", "form-malformed"),
    "an empty boundary": ('multipart/form-data; boundary=""', "form-malformed"),
    "71 bytes of boundary": (f"multipart/form-data; boundary={'b' * 71}", "form-malformed"),
    "a boundary with a CR": ('multipart/form-data; boundary="a\rb"', "form-malformed"),
    "a space at its end": ('multipart/form-data; boundary="a "', "form-malformed"),
    "a boundary that is not ASCII": ('multipart/form-data; boundary="ä"', "form-malformed"),
    "a boundary that never comes": ("multipart/form-data; boundary=b", "form-malformed"),
}

SHAPES = {
    "boundary only inside data": b"some data --" + BOUNDARY + b"\r\n and more",
    "garbage": bytes(range(256)) * 10,
    "8 MiB of CR": b"\r" * 8 * 1024**2,
    "a long preamble": b"x" * 8191 + b"\r\n" + GOOD,
    "lines that end in LF": GOOD.replace(b"\r\n", b"\n"),
    "LF in a header": GOOD.replace(b'"\r\n\r\n1', b'"\nX: y\r\n\r\n1'),
    "CR in a header": form_of(part('name="a"', b"1", "X: a\rb")),
    "NUL in a header": form_of(part('name="a"', b"1", "X: a\x00b")),
    "a header that is not UTF-8": GOOD.replace(b"a.wav", b"\xff.wav"),
    "the same header twice": form_of(
        part('name="a"', b"", 'content-disposition: form-data; x="y"')
    ),
    "no disposition": form_of(b"Content-Type: text/plain\r\n\r\n1"),
    "another disposition": form_of(b'Content-Disposition: attachment; name="a"\r\n\r\n1'),
    "bytes after a boundary": GOOD.replace(BOUNDARY, BOUNDARY + b"x"),
    "a part that lies about its length": form_of(part('name="a"', b"12", "Content-Length: 3")),
    "96 KiB after the end": GOOD + b"x" * 96 * 1024,
}

PARTS = {
    "65 parts": ([field(str(n), "") for n in range(65)], "form-too-many-parts"),
    "10,000 parts": ([field(str(n), "") for n in range(10_000)], "form-too-many-parts"),
    "1 MiB of header": ([file(b"", "X: " + "x" * 1024**2)], "form-part-header-too-large"),
    "8 KiB of header": ([file(b"", "X: " + "x" * 8130)], "form-part-header-too-large"),
    "8 KiB in 9 lines": (
        [file(b"", *(f"X{n}: {'x' * 900}" for n in range(9)))],
        "form-part-header-too-large",
    ),
    "17 lines of header": (
        [file(b"", *(f"X{n}: x" for n in range(16)))],
        "form-part-header-too-large",
    ),
    "a large field": ([field("a", "v" * (64 * 1024 + 1))], "form-field-too-large"),
    "a large file": ([file(bytes(1001))], "body-too-large"),
    "a field twice": ([field("a", "1"), file(b""), field("a", "2")], "form-duplicate-field"),
    "two files": ([file(b"x"), file(b"x")], "form-duplicate-field"),
    "the file as a text": ([field("file", "a.wav")], "form-not-a-file"),
    "a file, and another as a text": ([file(b"x"), field("file", "x")], "form-not-a-file"),
    "a file under another name": (
        [part('name="b"; filename="b.wav"', b"x")],
        "form-unexpected-file",
    ),
    "base64": ([file(b"eA==", "Content-Transfer-Encoding: Base64")], "form-encoding-unsupported"),
    "quoted-printable": (
        [part('name="a"', b"x", "Content-Transfer-Encoding: quoted-printable")],
        "form-encoding-unsupported",
    ),
    "a nested form": (
        [part('name="file"', GOOD, "Content-Type: Multipart/mixed; boundary=x")],
        "form-nested",
    ),
    "a value that is not UTF-8": ([part('name="a"', b"\xff")], "form-field-malformed"),
    "a value in Latin-1": (
        [part('name="a"', b"\xfc", "Content-Type: text/plain; charset=iso-8859-1")],
        "form-field-malformed",
    ),
    "NUL in a value": ([field("a", "x\x00y")], "form-field-malformed"),
    "no name": ([part('filename="x"', b"1")], "form-field-malformed"),
    "an empty name": ([field("", "1")], "form-field-malformed"),
    "a long name": ([field("n" * 201, "1")], "form-field-malformed"),
    "a name of two lines": ([field("a%0D%0Ab", "1")], "form-field-malformed"),
}


@pytest.mark.parametrize(("content_type", "code"), CONTENT_TYPES.values(), ids=CONTENT_TYPES)
async def test_a_content_type_names_a_form_and_its_boundary(content_type: str, code: str) -> None:
    assert await outcome([GOOD], content_type) == code


async def test_what_is_no_form_is_refused_before_a_byte_is_read() -> None:
    source = Source([GOOD])
    with pytest.raises(Rejected, match="multipart/form-data"):
        await Form.open("text/plain", source, RULES)
    assert source.given_bytes == 0


@pytest.mark.parametrize("size", [64 * 1024, 1000, 1])
@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
async def test_what_is_not_well_formed_is_refused(body: bytes, size: int) -> None:
    assert await outcome(pieces_of(body, size)) == "form-malformed"


@pytest.mark.parametrize("size", [1024**2, 1000, 1])
@pytest.mark.parametrize(("parts", "code"), PARTS.values(), ids=PARTS)
async def test_parts_that_no_door_takes_are_refused(
    parts: list[bytes], code: str, size: int
) -> None:
    assert await outcome(pieces_of(form_of(*parts), size)) == code


@pytest.mark.parametrize("size", [1000, 1])
async def test_a_form_that_ends_early_is_incomplete_wherever_it_ends(size: int) -> None:
    final = len(GOOD) - len("\r\n")
    for end in range(final):
        assert await outcome(pieces_of(GOOD[:end], size)) == "form-incomplete", GOOD[:end]
    assert await outcome(pieces_of(GOOD[:final], size)) == await outcome([GOOD])


@pytest.mark.parametrize("size", [16 * 1024, 100])
@pytest.mark.parametrize(
    ("start", "endless", "code"),
    [
        (b"", b"\r", "form-malformed"),
        (b"", b"\r\n--" + BOUNDARY[:-1], "form-malformed"),
        (FIRST, b"x", "form-part-header-too-large"),
        (FIRST, b"X: y\r\n", "form-part-header-too-large"),
        (FIRST, b" \r", "form-part-header-too-large"),
        (FIRST + field("a", ""), b"x", "form-field-too-large"),
        (FIRST + FILE_HEADER, b"\r", "body-too-large"),
        (GOOD, b"\r\n", "form-malformed"),
        (GOOD, FIRST, "form-malformed"),
    ],
)
async def test_what_never_ends_is_refused_soon(
    start: bytes, endless: bytes, code: str, size: int
) -> None:
    piece = endless * (size // len(endless) + 1)
    source = Source(chain([start], repeat(piece)))
    assert await outcome(source) == code
    assert source.given_bytes < 100 * 1024


@pytest.mark.parametrize("size", [1000, 1])
async def test_nothing_of_a_file_above_the_limit_is_given(size: int) -> None:
    source = Source(pieces_of(form_of(file(bytes(5000))), size))
    form = await Form.open(CONTENT_TYPE, source, RULES)
    given = bytearray()

    async def take() -> None:
        async for chunk in form.file_chunks():
            given.extend(chunk)

    with pytest.raises(Rejected, match="At most 1000 bytes"):
        await take()
    assert len(given) <= 1000


@pytest.mark.parametrize("name", ["<script>" * 20, "\u202e\x85" * 40, "x" * 61])
async def test_an_answer_repeats_little_of_what_was_sent(name: str) -> None:
    body = form_of(field(name, "1"), field(name, "1"))
    with pytest.raises(Rejected) as caught:
        await Form.open(CONTENT_TYPE, Source([body]), RULES)
    assert caught.value.code == "form-duplicate-field"
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 120
