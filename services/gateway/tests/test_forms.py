"""Forms that are read: the same fields and the same file, however the body comes in pieces."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_gateway.forms import FilePart, Form

from .form_bodies import (
    BOUNDARY,
    CONTENT_TYPE,
    RULES,
    Read,
    Source,
    field,
    file,
    form_of,
    outcome,
    part,
    pieces_of,
    read,
)

WAV = FilePart("a.wav", "")
DELIMITER = b"\r\n--" + BOUNDARY
# Bytes that look like a boundary for as long as they can.
near_boundaries = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"--", BOUNDARY, DELIMITER[:-1], DELIMITER[1:], b"\x00", b"x"]
)
files = st.lists(near_boundaries, max_size=12).map(b"".join).filter(lambda it: DELIMITER not in it)
values = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    max_size=4,
)


def cut(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Pieces of these sizes, over and over; a size of 0 is an empty piece."""
    at = 0
    while at < len(body):
        for size in [*sizes, 7]:
            yield body[at : at + size]
            at += size


def verdict(found: Read | str) -> Read | str:
    """Of a form that is broken and also ends early, either may be noticed first."""
    return "form-malformed" if found == "form-incomplete" else found


async def opened(body: bytes, size: int = 16) -> tuple[Form, Source]:
    source = Source(pieces_of(body, size))
    return await Form.open(CONTENT_TYPE, source, replace(RULES, max_file_bytes=10**6)), source


class TestPieces:
    @given(values, files, st.integers(0, 4), st.lists(st.integers(0, 60), max_size=5))
    async def test_any_pieces_make_the_same_form(
        self, fields: dict[str, str], data: bytes, place: int, sizes: list[int]
    ) -> None:
        parts = [field(name, value) for name, value in fields.items()]
        parts.insert(place, file(data))
        body = form_of(*parts)
        expected = Read(tuple(fields)[:place], fields, WAV, data)
        assert await read([body]) == await read(pieces_of(body, 1)) == expected
        assert await read(cut(body, sizes)) == expected

    @given(
        st.lists(
            st.one_of(
                st.sampled_from(
                    [
                        *[b"--", b"\r\n", b"--" + BOUNDARY, b'; filename="b"', b": "],
                        *[b"--" + BOUNDARY + b"\r\n", DELIMITER + b"\r\n", DELIMITER + b"--"],
                        *[field("a", "1") + b"\r\n", file(b"\r\n-") + b"\r\n", b"Content-Type"],
                    ]
                ),
                # The parser overlooks an LF before the name of a header, if both come at once.
                st.binary(max_size=4).filter(lambda it: b"\n" not in it),
            ),
            max_size=12,
        ).map(b"".join),
        st.lists(st.integers(0, 60), max_size=5),
    )
    async def test_whatever_comes_is_read_or_refused_the_same_in_any_pieces(
        self, body: bytes, sizes: list[int]
    ) -> None:
        whole = verdict(await outcome([body]))
        assert verdict(await outcome(pieces_of(body, 1))) == whole
        assert verdict(await outcome(cut(body, sizes))) == whole

    @given(files, st.integers(0, 40), st.integers(1, 60))
    async def test_the_head_is_given_again(self, data: bytes, length: int, size: int) -> None:
        form, _ = await opened(form_of(file(data), field("a", "1")), size)
        assert await form.head(length) == data[:length]
        assert await form.head(length // 2) == data[: length // 2]
        assert b"".join([chunk async for chunk in form.file_chunks()]) == data
        assert await form.finish() == {"a": "1"}


class TestPressure:
    async def test_no_more_of_the_body_is_read_than_was_asked_for(self) -> None:
        body = form_of(field("a", "1"), file(bytes(100_000)), field("b", "2"))
        form, source = await opened(body, size=1000)
        assert source.given_bytes == 1000
        await form.head(512)
        assert source.given_bytes == 1000
        await form.head(3000)
        assert source.given_bytes == 4000
        chunks = form.file_chunks()
        given = 0
        async for chunk in chunks:
            given += len(chunk)
            assert source.given_bytes <= max(4000, given + 1000)
        assert given == 100_000

    async def test_a_chunk_of_the_file_is_passed_on_without_a_copy(self) -> None:
        start, end = form_of(file(b"|")).split(b"|")
        chunk = bytes(1000)
        form = await Form.open(CONTENT_TYPE, Source([start, chunk, end]), RULES)
        assert [one is chunk async for one in form.file_chunks()] == [True]

    async def test_a_file_that_was_not_read_is_not_dropped(self) -> None:
        form, _ = await opened(form_of(file(b"abc")))
        with pytest.raises(AssertionError, match="not been read"):
            await form.finish()
        async for _ in form.file_chunks():
            break
        with pytest.raises(AssertionError, match="not been read"):
            await form.finish()

    async def test_a_head_that_was_not_read_is_not_dropped(self) -> None:
        form, _ = await opened(form_of(file(b"abc")))
        await form.head(1000)
        with pytest.raises(AssertionError, match="head"):
            await form.finish()

    async def test_a_body_that_broke_off_is_never_a_whole_form(self) -> None:
        class Broken(Source):
            async def __anext__(self) -> bytes:
                if self.given_bytes > 150:
                    raise ConnectionResetError
                return await super().__anext__()

        source = Broken(pieces_of(form_of(file(bytes(900))), 50))
        form = await Form.open(CONTENT_TYPE, source, RULES)
        with pytest.raises(ConnectionResetError):
            await form.head(500)
        with pytest.raises(AssertionError, match="failed before"):
            await form.head(500)


class TestParts:
    async def test_fields_come_before_and_after_the_file(self) -> None:
        body = form_of(field("a", "1"), file(b"xyz"), field("metadata", '{"k": "ü"}'))
        form, _ = await opened(body)
        assert (form.fields, form.file) == ({"a": "1"}, WAV)
        assert [chunk async for chunk in form.file_chunks()]
        assert await form.finish() == {"a": "1", "metadata": '{"k": "ü"}'}
        assert await form.finish() == form.fields

    async def test_a_form_may_hold_no_file(self) -> None:
        form, _ = await opened(form_of(field("a", "1")))
        assert form.file is None
        assert await form.finish() == {"a": "1"}

    async def test_a_form_may_hold_nothing(self) -> None:
        assert await read([form_of()]) == Read((), {})

    async def test_an_empty_file_has_no_chunks(self) -> None:
        form, _ = await opened(form_of(file(b""), field("a", "1")))
        assert await form.head(10) == b""
        assert [chunk async for chunk in form.file_chunks()] == []
        assert await form.finish() == {"a": "1"}

    @pytest.mark.parametrize("encoding", ["7bit", "8BIT", "binary "])
    async def test_a_part_may_say_that_it_is_not_encoded(self, encoding: str) -> None:
        body = form_of(file(b"x", f"Content-Transfer-Encoding: {encoding}"))
        assert (await read([body])).data == b"x"

    @pytest.mark.parametrize(
        ("disposition", "filename"),
        [
            ('name="file"; filename="a b.wav"', "a b.wav"),
            ('name="file"; filename="ünïcode.wav"', "ünïcode.wav"),
            ('name="file"; filename="a%22b%0D%0A.wav"', 'a"b\r\n.wav'),
            (r'name="file"; filename="a\"b.wav"', 'a"b.wav'),
            ("name=file; filename=a.wav", "a.wav"),
            ('filename="../a.wav"; name="file"', "../a.wav"),
            ('name="file"; filename="a.wav"; filename*=UTF-8\'\'b.wav', "a.wav"),
            ('name="file"; filename=""', ""),
        ],
    )
    async def test_the_file_is_named_as_sent(self, disposition: str, filename: str) -> None:
        body = form_of(part(disposition, b"x", "content-type: Audio/OGG; codecs=opus "))
        assert (await read([body])).file == FilePart(filename, "Audio/OGG; codecs=opus")


class TestEdges:
    """What is still taken: each of these has a neighbour that is refused."""

    @pytest.mark.parametrize("preamble", [b"\r\n", b"This is a form.\r\n", b"x" * 8190 + b"\r\n"])
    async def test_what_stands_before_and_after_the_form_means_nothing(
        self, preamble: bytes
    ) -> None:
        body = preamble + form_of(field("a", "1")) + b"--" + BOUNDARY + b" " * 8000
        assert (await read([body])).fields == {"a": "1"}
        assert (await read(pieces_of(body, 1))).fields == {"a": "1"}

    async def test_a_boundary_has_70_characters(self) -> None:
        longest = b"b" * 70
        body = form_of(file(b"x")).replace(BOUNDARY, longest)
        content_type = f"Multipart/Form-Data; charset=utf-8; boundary={longest.decode()}"
        assert (await read([body], content_type)).data == b"x"

    @pytest.mark.parametrize("size", [1, 100, 10_000])
    async def test_the_limits_themselves_are_allowed(self, size: int) -> None:
        rules = replace(RULES, max_parts=2, max_field_bytes=1000, max_part_header_bytes=300)
        name = "n" * 200
        header = len(part(f'name="{name}"', b"", "X: ")) - 2
        wide = part(f'name="{name}"', b"v" * 1000, "X: " + "x" * (300 - header))
        body = form_of(wide, file(bytes(1000)))
        found = await read(pieces_of(body, size), rules=rules)
        assert found == Read((name,), {name: "v" * 1000}, WAV, bytes(1000))
