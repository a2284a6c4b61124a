"""Everything the calls door refuses, and that a refusal leaves nothing behind."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from sluice_devkit.fixtures import patient_stack
from sluice_devkit.stack import Stack

from .api import MIB, Account, account, head, line, pieces, problem
from .calls import (
    FIELDS,
    UPLOAD,
    fields_of,
    flac,
    form,
    m4a,
    mp3,
    nothing_left,
    send,
    send_behind,
    uploaded,
    wait_for_session,
    wav,
)

LARGEST = 3 * MIB
"""Bytes of a call that the narrow stack takes at most."""
SLOWEST_SECONDS = 2
ALLOWED = "MP3, WAV, M4A or FLAC"

HTML = b"<!DOCTYPE html><script>alert(document.cookie)</script>"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
ZIP = b"PK\x03\x04" + bytes(200)
TAG = b"ID3\x04\x00\x00\x00\x00\x00\x00"

BAD_FIELDS: list[tuple[str, str | None]] = [
    *((name, None) for name in FIELDS),
    *((name, "") for name in FIELDS),
    *((name, "   ") for name in FIELDS),
    *((name, "x" * 255 + "@example.com") for name in FIELDS),
    ("company_name", "two\nlines"),
    ("company_name", "a bell\x07"),
    ("call_type", "back\u202ewards"),
    ("contact_email", "nobody"),
    ("contact_email", "@example.com"),
    ("contact_email", "a@b"),
    ("contact_email", "a b@example.com"),
    ("contact_email", "a..b@example.com"),
    ("contact_email", "a@example.com, b@example.com"),
    ("contact_email", "a@example.com\nBcc: b@example.com"),
    ("contact_email", "a" * 65 + "@example.com"),
    ("priority", "urgent"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def narrow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack with tight limits."""
    settings = {
        "gateway": {
            "SLUICE_MAX_CALL_BYTES": str(LARGEST),
            "SLUICE_MIN_UPLOAD_RATE_SECONDS": str(SLOWEST_SECONDS),
        }
    }
    async with patient_stack(tmp_path_factory.mktemp("narrow"), settings=settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def squeezed(narrow: Stack) -> AsyncIterator[Account]:
    """A caller of the narrow stack."""
    async with account(narrow) as one:
        yield one


def refused(answer: httpx.Response, code: str, *words: str) -> dict[str, Any]:
    """A refusal with 400, whose sentence has these words."""
    found = problem(answer, 400, code)
    for word in words:
        assert word in found["detail"]
    return found


class TestFiles:
    @pytest.mark.parametrize("filename", ["call.txt", "call.ogg", "call", "mp3", "call.mp3.exe"])
    async def test_other_formats_are_refused_by_their_name(
        self, caller: Account, filename: str
    ) -> None:
        found = "no extension" if "." not in filename else "." + filename.rpartition(".")[2]
        async with nothing_left(caller):
            answer = await send(caller, mp3(), filename)
            refused(answer, "unsupported-format", found, ALLOWED)

    @pytest.mark.parametrize(
        ("data", "found"),
        [
            (HTML, "HTML"),
            (TAG + HTML, "an ID3 tag before HTML"),
            (b"\xff\xfb\x90\x64" + HTML, "nothing we know"),
            (b"\n\n<svg onload=alert(1)>", "SVG"),
            (PNG, "PNG"),
            (ZIP, "ZIP"),
            (b"#EXTM3U\nfile:///etc/passwd\n", "a playlist"),
            ("Grüße aus dem Büro. ".encode() * 300, "text"),
            ("hello".encode("utf-16"), "text"),
            (b"\x7fELF" + bytes(100), "a Linux program"),
            (b"\xff\xf1\x50\x80" + bytes(100), "AAC"),
            (b"OggS\x00\x02" + bytes(100), "Ogg"),
            (b"\x00\x00\x00\x20ftypheic" + bytes(100), "MP4 relative"),
            (bytes(5000), "nothing we know"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    @pytest.mark.parametrize("extension", ["mp3", "wav", "m4a", "flac"])
    async def test_content_that_is_none_of_the_formats_is_refused_and_named(
        self, caller: Account, extension: str, data: bytes, found: str
    ) -> None:
        async with nothing_left(caller):
            answer = await send(caller, data, f"call.{extension}")
            refused(answer, "content-mismatch", f".{extension}", found, ALLOWED)

    @pytest.mark.parametrize(
        ("filename", "data", "advice"),
        [
            ("call.mp3", wav(), "holds WAV; name it .wav"),
            ("call.wav", mp3(), "holds MP3; name it .mp3"),
            ("call.m4a", flac(), "holds FLAC; name it .flac"),
            ("call.flac", m4a(), "holds M4A; name it .m4a"),
        ],
    )
    async def test_a_wrong_extension_is_refused_with_the_right_one(
        self, caller: Account, filename: str, data: bytes, advice: str
    ) -> None:
        async with nothing_left(caller):
            refused(await send(caller, data, filename), "content-mismatch", advice)
            refused(await send_behind(caller, data, filename), "content-mismatch", advice)

    async def test_a_call_that_is_also_an_archive_is_only_ever_played(
        self, caller: Account
    ) -> None:
        call_id = await uploaded(caller, mp3() + ZIP)
        played = await caller.http.get(f"/api/v1/calls/{call_id}/audio?proxy=1")
        assert played.headers["content-type"] == "audio/mpeg"
        assert played.headers["x-content-type-options"] == "nosniff"

    async def test_an_empty_file_is_refused(self, caller: Account) -> None:
        async with nothing_left(caller):
            for deliver in (send, send_behind):
                refused(await deliver(caller, b"", "call.wav"), "empty-upload")

    async def test_a_form_without_a_file_is_refused(self, caller: Account) -> None:
        no_file = {name: (None, value) for name, value in FIELDS.items()}
        async with nothing_left(caller):
            found = refused(await caller.http.post(UPLOAD, files=no_file), "invalid-form")
            assert [one["field"] for one in found["errors"]] == ["file"]
            as_text = no_file | {"file": (None, "call.mp3")}
            refused(await caller.http.post(UPLOAD, files=as_text), "form-not-a-file")
            other = no_file | {"recording": ("call.mp3", mp3())}
            refused(await caller.http.post(UPLOAD, files=other), "form-unexpected-file")

    @pytest.mark.parametrize(
        "filename", ["\u202e3pm.mp3", "a\u2028b.mp3", "x" * 252 + ".mp3", "...", " ", "a/", "\x7f"]
    )
    async def test_a_name_that_is_doubtful_is_refused(self, caller: Account, filename: str) -> None:
        async with nothing_left(caller):
            problem(await send_behind(caller, mp3(), filename), 400)

    async def test_a_path_is_no_name(self, caller: Account) -> None:
        answer = await send_behind(caller, mp3(), "../../etc/..\\passwd.mp3")
        assert answer.status_code == 201, answer.text
        path = f"/api/v1/calls/{answer.json()['call_id']}/audio?proxy=1"
        played = await caller.http.get(path)
        assert 'filename="passwd.mp3"' in played.headers["content-disposition"]


class TestFields:
    @pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
    async def test_a_bad_field_is_refused_and_named(
        self, caller: Account, name: str, value: str | None
    ) -> None:
        async with nothing_left(caller):
            for deliver in (send, send_behind):
                answer = await deliver(caller, mp3(), **{name: value})
                found = refused(answer, "invalid-form", name)
                assert [one["field"] for one in found["errors"]] == [name]
                assert all(one["reason"] for one in found["errors"])

    async def test_all_bad_fields_are_named_at_once(self, caller: Account) -> None:
        async with nothing_left(caller):
            answer = await send(caller, mp3(), company_name=None, contact_email="x", call_type="")
        named = {one["field"] for one in refused(answer, "invalid-form")["errors"]}
        assert {"contact_email", "call_type"} <= named

    @pytest.mark.parametrize("changes", [{"call_type": None}, {"contact_email": "nobody"}])
    @pytest.mark.parametrize("size", [3 * MIB, 20 * MIB])
    async def test_bad_fields_behind_a_large_file_leave_nothing_of_it(
        self, caller: Account, size: int, changes: dict[str, Any]
    ) -> None:
        async with nothing_left(caller):
            answer = await send_behind(caller, mp3(size), **changes)
            refused(answer, "invalid-form", *changes)

    async def test_a_field_or_a_file_that_comes_twice_is_refused(self, caller: Account) -> None:
        fields = [(name, None, value.encode()) for name, value in FIELDS.items()]
        file = ("file", "call.mp3", mp3(3 * MIB))
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        async with nothing_left(caller):
            for parts in ((file, *fields, file), (file, *fields, fields[0])):
                body = form("b", *parts)
                answer = await caller.http.post(UPLOAD, content=body, headers=headers)
                refused(answer, "form-duplicate-field")


class TestBodies:
    async def test_what_is_no_form_is_refused(self, caller: Account) -> None:
        async with nothing_left(caller):
            problem(await caller.http.post(UPLOAD, json=FIELDS), 415, "not-a-form")
            problem(await caller.http.post(UPLOAD, data=FIELDS), 415, "not-a-form")
            problem(await caller.http.post(UPLOAD), 415, "not-a-form")

    @pytest.mark.parametrize("size", [2000, 3 * MIB])
    async def test_a_form_without_its_end_is_refused(self, caller: Account, size: int) -> None:
        fields = [(name, None, value.encode()) for name, value in FIELDS.items()]
        whole = form("b", *fields, ("file", "call.mp3", mp3(size)))
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        async with nothing_left(caller):
            for cut in (4, 10, 500):
                answer = await caller.http.post(UPLOAD, content=whole[:-cut], headers=headers)
                refused(answer, "form-incomplete")

    async def test_too_large_a_call_is_refused(self, squeezed: Account) -> None:
        async with nothing_left(squeezed):
            for size in (LARGEST + 1, LARGEST + 3 * MIB):
                problem(await send(squeezed, mp3(size)), 413, "body-too-large")
                body = form("b", ("file", "call.mp3", mp3(size)))
                answer = await squeezed.http.post(
                    UPLOAD,
                    content=pieces(body),
                    headers={"Content-Type": "multipart/form-data; boundary=b"},
                )
                problem(answer, 413, "body-too-large")
        await uploaded(squeezed, mp3(LARGEST))

    async def test_too_slow_a_call_is_refused(self, squeezed: Account) -> None:
        body = form("b", ("file", "call.mp3", mp3(2 * MIB + 1)))
        for cut in (1000, 2 * MIB):
            async with nothing_left(squeezed), line(squeezed.stack) as slow:
                await slow.say(_head(squeezed, len(body)) + body[:cut])
                problem(await slow.hear(), 408, "body-too-slow")

    @pytest.mark.parametrize("sent", [2 * MIB, 25 * MIB])
    async def test_a_sender_that_leaves_in_the_middle_leaves_nothing(
        self, caller: Account, sent: int
    ) -> None:
        body = form("b", ("file", "call.mp3", mp3(30 * MIB)))
        async with nothing_left(caller), line(caller.stack) as doomed:
            await doomed.say(_head(caller, len(body)) + body[:sent])
            await wait_for_session(caller.stack)
            doomed.hang_up()


def _head(caller: Account, length: int) -> bytes:
    return head(
        "POST",
        UPLOAD,
        f"X-API-Key: {caller.key}",
        "Content-Type: multipart/form-data; boundary=b",
        f"Content-Length: {length}",
    )


class TestEarly:
    """Refused before the rest was sent: the sender is told while most of its body is at home."""

    async def test_a_length_that_is_too_much(self, caller: Account) -> None:
        async with nothing_left(caller), line(caller.stack) as early:
            await early.say(_head(caller, 1024**3 + 2 * MIB))
            problem(await early.hear(), 413, "body-too-large")

    @pytest.mark.parametrize(
        ("changes", "filename", "data", "code"),
        [
            ({"contact_email": "nobody"}, "call.mp3", b"", "invalid-form"),
            ({}, "call.txt", b"", "unsupported-format"),
            ({}, "call.mp3", PNG + bytes(5000), "content-mismatch"),
        ],
    )
    async def test_fields_and_first_bytes_that_are_wrong(
        self, caller: Account, changes: dict[str, Any], filename: str, data: bytes, code: str
    ) -> None:
        fields = [(name, None, value.encode()) for name, value in fields_of(**changes).items()]
        body = form("b", *fields, ("file", filename, data)).removesuffix(b"\r\n--b--\r\n")
        async with nothing_left(caller), line(caller.stack) as early:
            await early.say(_head(caller, 500 * MIB) + body)
            refused(await early.hear(), code)

    async def test_a_key_that_is_nobodys(self, caller: Account) -> None:
        async with nothing_left(caller), line(caller.stack) as early:
            await early.say(_head(caller, 500 * MIB).replace(caller.key.encode(), b"nobodys"))
            problem(await early.hear(), 401, "unauthorized")
