"""Names and files that mean no good: refused for what they are, or taken and harmless."""

import io
import re
import struct
import zipfile
from collections.abc import AsyncIterator
from urllib.parse import quote
from uuid import UUID

import av
import httpx
import pytest
import pytest_asyncio

from sluice_devkit.stack import Stack

from .api import catalog, eventually, problem
from .calls import m4a, mp3, wav
from .doors import DOORS, Door, form_of, open_door, part, refused, unharmed


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _unharmed(stack: Stack) -> AsyncIterator[None]:
    async with unharmed(stack):
        yield


@pytest_asyncio.fixture(loop_scope="session", params=DOORS)
async def door(request: pytest.FixtureRequest, stack: Stack) -> AsyncIterator[Door]:
    """Each door in turn."""
    async with open_door(stack, request.param) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def calls(stack: Stack) -> AsyncIterator[Door]:
    async with open_door(stack, "calls") as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def renders(stack: Stack) -> AsyncIterator[Door]:
    async with open_door(stack, "renders") as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def chunks(stack: Stack) -> AsyncIterator[Door]:
    async with open_door(stack, "chunks") as one:
        yield one


def patched(data: bytes, at: int, value: int) -> bytes:
    """`data` with one number of its header replaced."""
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


def zip_of(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def with_streams(count: int) -> bytes:
    """An M4A with that many sounds, each of them a moment long."""
    file = io.BytesIO()
    with av.open(file, "w", format="mov") as output:
        streams = [output.add_stream("pcm_s16le", rate=8_000, layout="mono") for _ in range(count)]
        for stream in streams:
            frame = av.AudioFrame(format="s16", layout="mono", samples=80)
            frame.sample_rate = 8_000
            output.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue().replace(b"ftypqt  ", b"ftypM4A ", 1)


# What a name becomes when a call is played: its last component, or nothing because it is refused.
NAMES: dict[str, str | None] = {
    "../../etc/passwd": None,
    "../../etc/passwd.mp3": "passwd.mp3",
    "..\\..\\x.mp3": "x.mp3",
    "%2e%2e%2fx.mp3": "%2e%2e%2fx.mp3",
    "a%0D%0ASet-Cookie: x=1.mp3": None,
    "a%0Ab.mp3": None,
    "\u202e3pm.mp3": None,
    "CON.mp3": "CON.mp3",
    "n" * 4096 + ".mp3": None,
    "": None,
    ".": None,
    "...": None,
    ".mp3": ".mp3",
    "a;b=c,d'e.mp3": "a;b=c,d'e.mp3",
}


# A render needs no name and no extension: its bytes tell what it is.
NAMES_OF_RENDERS: dict[str, str | None] = {"../../etc/passwd": "passwd", "": "render"}


def check_name(played: httpx.Response, name: str) -> None:
    """A sound is played under this name and says nothing else with it."""
    assert played.status_code == 200
    assert played.headers.get_list("content-disposition") == [
        f"inline; filename=\"{name}\"; filename*=UTF-8''{quote(name, safe='')}"
    ]
    assert "set-cookie" not in played.headers


class TestNames:
    @pytest.mark.parametrize(("name", "played"), NAMES.items())
    async def test_the_name_of_a_call_is_refused_or_its_last_component(
        self, calls: Door, name: str, played: str | None
    ) -> None:
        body = form_of(*calls.field_parts(), part("file", mp3(), filename=name))
        if played is None:
            async with calls.nothing_left():
                answer = await calls.post(body)
                assert problem(answer, 400)["code"] in ("invalid-form", "unsupported-format")
            return
        answer = await calls.post(body)
        assert answer.status_code == 201, answer.text
        call_id = calls.id_in(answer)
        shown = (await calls.http.get(f"/api/v1/calls/{call_id}")).json()
        assert re.fullmatch(rf"\d{{4}}/\d\d/\d\d/{call_id}\.mp3", shown["audio"]["s3_key"])
        check_name(await calls.http.get(f"/api/v1/calls/{call_id}/audio?proxy=1"), played)

    @pytest.mark.parametrize("name", NAMES)
    async def test_the_name_of_a_chunk_means_nothing(self, chunks: Door, name: str) -> None:
        data = mp3(seed=len(name))
        body = form_of(*chunks.field_parts(), part("chunk_file", data, filename=name))
        answer = await chunks.post(body)
        assert answer.status_code == 200, answer.text
        place = f"audio/{chunks.fields['point_id']}/{chunks.fields['register_id']}"
        assert re.fullmatch(
            rf"{place}/2026-11-03/09/chunk_[\dTZ]+_{chunks.id_in(answer)}\.ogg",
            answer.json()["stored_path"],
        )

    @pytest.mark.parametrize(("name", "played"), (NAMES | NAMES_OF_RENDERS).items())
    async def test_the_name_of_a_render_is_refused_or_its_last_component(
        self, renders: Door, name: str, played: str | None
    ) -> None:
        body = form_of(*renders.field_parts(), part("file", mp3(), filename=name))
        if played is None:
            async with renders.nothing_left():
                refused(await renders.post(body), 422, "invalid-filename")
            return
        answer = await renders.post(body)
        assert answer.status_code == 200, answer.text
        link = answer.json()["url"]
        assert re.fullmatch(rf"{re.escape(renders.stack.url)}/r/[\w-]+/[\w-]+\.mp3", link)
        check_name(await renders.http.get(link, params={"proxy": "1"}), played)

    async def test_a_name_with_a_raw_line_break_is_none(self, calls: Door, chunks: Door) -> None:
        for door in (calls, chunks):
            async with door.nothing_left():
                answer = await door.send(mp3(), "a.mp3\r\nSet-Cookie: x=1")
                refused(answer, 400, "form-not-a-file")
            assert "set-cookie" not in answer.headers


ARCHIVE = zip_of("page.html", b"<script>alert(1)</script>")
SONG = with_streams(1)

# Each is refused at the door of calls, under any of the names it takes.
FOREIGN = {
    "63 HTML": (b"<!DOCTYPE html><html><script>alert(1)</script></html>", "HTML"),
    "64 SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "SVG"),
    "65 an archive, then MP3": (ARCHIVE + mp3(), "ZIP"),
    "66 a playlist": (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "a playlist"),
    "66 a list to join": (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "text"),
}

# Taken for what they claim to be, and what the inspector finds then; None: it can be read.
BROKEN: dict[str, tuple[str, bytes, str | None]] = {
    "61 an empty WAV": ("wav", wav(seconds=0), "empty"),
    "62 RIFF says 10 bytes": ("wav", patched(wav(), 4, 10), None),
    "62 RIFF says 4 GiB": ("wav", patched(patched(wav(), 4, 2**32 - 1), 40, 2**32 - 1), None),
    "65 MP3, then an archive": ("mp3", mp3() + ARCHIVE, "broken"),
    "67 10^9 Hz": ("wav", patched(wav(), 24, 10**9), "broken"),
    "68 1,000 streams": ("m4a", with_streams(1000), "too-many-streams"),
    "69 no end of moov": ("m4a", SONG[: SONG.index(b"moov") + 60], "broken"),
    "69 nothing but a header": ("m4a", m4a(), "broken"),
}


class TestMedia:
    @pytest.mark.parametrize(("data", "found"), FOREIGN.values(), ids=FOREIGN)
    async def test_what_is_no_sound_is_no_call(self, calls: Door, data: bytes, found: str) -> None:
        async with calls.nothing_left():
            for extension in ("mp3", "wav", "m4a", "flac"):
                answer = await calls.send(data, f"call.{extension}")
                refused(answer, 400, "content-mismatch", found)

    @pytest.mark.parametrize(("data", "found"), FOREIGN.values(), ids=FOREIGN)
    async def test_what_is_no_sound_is_no_render(
        self, renders: Door, data: bytes, found: str
    ) -> None:
        async with renders.nothing_left():
            refused(await renders.send(data), 422, "unsupported-audio", found)

    @pytest.mark.parametrize(("data", "_found"), FOREIGN.values(), ids=FOREIGN)
    async def test_as_a_chunk_it_is_stored_and_found_unreadable(
        self, chunks: Door, data: bytes, _found: str
    ) -> None:
        chunk_id = await chunks.uploaded(data)
        assert await inspected(chunks, chunk_id) == "not-media"
        sound = await chunks.http.get(f"/api/v1/chunks/{chunk_id}/audio?proxy=1")
        assert sound.headers["content-type"] == "audio/ogg"
        assert sound.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize(("extension", "data", "reason"), BROKEN.values(), ids=BROKEN)
    async def test_a_broken_file_is_taken_and_found_out_later(
        self, door: Door, extension: str, data: bytes, reason: str | None
    ) -> None:
        form = {"format": extension} if door.name == "renders" else {}
        sound = door.file(data, filename=f"sound.{extension}")
        answer = await door.post(form_of(*door.field_parts(**form), sound))
        assert answer.status_code == door.success, answer.text
        assert await inspected(door, door.id_in(answer)) == reason


async def inspected(door: Door, item_id: str) -> str | None:
    """Why a file cannot be read, once somebody looked into it; None when it can."""
    query = "select readable, reason from media where upload_id = %s"

    async def rows() -> list[tuple[bool, str | None]]:
        found = await catalog(door.stack, query, f"upl_{UUID(item_id).hex}")
        return [(bool(readable), reason) for readable, reason in found]

    ((readable, reason),) = await eventually(rows, bool)
    assert readable == (reason is None)
    return reason
