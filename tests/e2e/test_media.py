"""Playing recordings: whole, in ranges, through the gateway and past it, and never as a page."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack

from .api import ALL_SCOPES, MIB, Account, account, noise, problem, sha256

SIZE = 10_000
BODY = noise(SIZE)
NAME = 'Gespräch mit "Žofie" 🎧.wav'


@dataclass(frozen=True)
class Recording:
    """A completed recording of `BODY` called `NAME`."""

    owner: Account
    recording_id: str

    async def get(self, proxy: Any = 1, method: str = "GET", **headers: str) -> httpx.Response:
        return await self.owner.http.request(
            method,
            f"/media/{self.recording_id}",
            params={} if proxy is None else {"proxy": proxy},
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recording(stack: Stack) -> Any:
    async with account(stack, ALL_SCOPES) as owner:
        yield Recording(owner, await owner.recording(BODY, NAME))


async def test_the_whole_recording_comes_with_what_a_player_needs(recording: Recording) -> None:
    answer = await recording.get()
    assert answer.status_code == 200
    assert answer.content == BODY
    headers = answer.headers
    assert headers["content-type"] == "audio/wav"
    assert headers["content-length"] == str(SIZE)
    assert headers["accept-ranges"] == "bytes"
    assert headers["etag"] == f'"{sha256(BODY)}"'
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"].startswith("inline; ")
    assert headers["content-disposition"].isascii()
    assert headers["content-disposition"].endswith(f"filename*=UTF-8''{quote(NAME, safe='')}")
    assert "content-security-policy" not in headers
    assert "public" not in headers["cache-control"]


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=500-999", 500, 999),
        ("bytes=9000-", 9000, SIZE - 1),
        ("bytes=9999-", SIZE - 1, SIZE - 1),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=-500", SIZE - 500, SIZE - 1),
        ("bytes=-99999", 0, SIZE - 1),
        ("bytes=9000-99999", 9000, SIZE - 1),
        ("bytes=0-", 0, SIZE - 1),
    ],
)
async def test_a_range_is_answered_with_exactly_that(
    recording: Recording, wanted: str, first: int, last: int
) -> None:
    answer = await recording.get(Range=wanted)
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["content-length"] == str(last - first + 1)
    assert answer.content == BODY[first : last + 1]


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=5-2",
        "bytes=a-b",
        "bytes=-",
        "bytes",
        "",
        "items=0-5",
        "bytes=0-0,5-6",
        "bytes=--5",
        "bytes=0x0-0x5",
        f"bytes={'9' * 5000}-",
        f"bytes=0-{'9' * 5000}",
        f"bytes=-{'9' * 5000}",
    ],
)
async def test_a_malformed_range_is_as_good_as_none(recording: Recording, wanted: str) -> None:
    answer = await recording.get(Range=wanted)
    assert (answer.status_code, answer.content) == (200, BODY)


@pytest.mark.parametrize("wanted", ["bytes=10000-", "bytes=99999-100000", "bytes=-0"])
async def test_a_range_behind_the_end_is_refused(recording: Recording, wanted: str) -> None:
    answer = await recording.get(Range=wanted)
    problem(answer, 416, "range-not-satisfiable")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


async def test_a_range_of_other_bytes_gives_the_whole(recording: Recording) -> None:
    etag = (await recording.get()).headers["etag"]
    same = await recording.get(Range="bytes=0-9", If_Range=etag)
    assert (same.status_code, same.content) == (206, BODY[:10])
    for other in ('"other"', f"W/{etag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        answer = await recording.get(Range="bytes=0-9", If_Range=other)
        assert (answer.status_code, answer.content) == (200, BODY)


async def test_what_is_known_already_is_not_sent_again(recording: Recording) -> None:
    etag = (await recording.get()).headers["etag"]
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = await recording.get(If_None_Match=known)
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["etag"] == etag
    assert (await recording.get(If_None_Match='"other"')).status_code == 200


async def test_head_tells_the_same_and_sends_nothing(recording: Recording) -> None:
    whole, told = await recording.get(), await recording.get(method="HEAD")
    assert (told.status_code, told.content) == (200, b"")
    for name in ("content-type", "content-length", "etag", "accept-ranges", "content-disposition"):
        assert told.headers[name] == whole.headers[name]
    part = await recording.get(method="HEAD", Range="bytes=0-9")
    assert (part.status_code, part.headers["content-length"]) == (206, "10")
    assert (await recording.get(method="HEAD", Range="bytes=10000-")).status_code == 416


async def test_a_signed_link_needs_no_key(recording: Recording) -> None:
    answer = await recording.get(proxy=0)
    assert (answer.status_code, answer.content) == (307, b"")
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    link = answer.headers["location"]
    assert recording.owner.key not in link
    async with plain_client() as player:
        played = await player.get(link)
        assert (played.status_code, played.content) == (200, BODY)
        assert played.headers["content-type"] == "audio/wav"
        forged = await player.get(link.replace("X-Amz-Expires=", "X-Amz-Expires=1"))
        assert forged.status_code == 403


async def test_a_signed_link_cannot_be_turned_into_another_one(
    recording: Recording, stranger: Account
) -> None:
    other = await stranger.recording(noise(10, seed=1))
    theirs = (await stranger.http.get(f"/media/{other}?proxy=0")).headers["location"]
    ours = (await recording.get(proxy=0)).headers["location"]
    forged = theirs.partition("?")[0] + "?" + ours.partition("?")[2]
    async with plain_client() as player:
        assert (await player.get(forged)).status_code == 403
        assert (await player.put(ours, content=b"x")).status_code == 403
        assert (await player.delete(ours)).status_code == 403
    assert (await recording.get()).content == BODY


async def test_the_key_may_stand_in_the_address(recording: Recording) -> None:
    async with plain_client(base_url=recording.owner.stack.url) as browser:
        answer = await browser.get(
            f"/media/{recording.recording_id}", params={"key": recording.owner.key, "proxy": 1}
        )
    assert (answer.status_code, answer.content) == (200, BODY)


async def test_the_embedded_stack_plays_through_the_gateway(recording: Recording) -> None:
    assert (await recording.get(proxy=None)).status_code == 200


async def test_a_proxy_is_yes_or_no(recording: Recording) -> None:
    problem(await recording.get(proxy="perhaps"), 422, "invalid-request")


@pytest.mark.parametrize(
    "content_type",
    ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript", "AUDIOX/wav"],
)
async def test_what_could_be_a_page_is_a_download(caller: Account, content_type: str) -> None:
    page = b"<html><script>alert(document.domain)</script></html>"
    recording_id = await caller.recording(page, "page.html", content_type)
    answer = await caller.http.get(f"/media/{recording_id}?proxy=1")
    assert (answer.status_code, answer.content) == (200, page)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    link = (await caller.http.get(f"/media/{recording_id}?proxy=0")).headers["location"]
    async with plain_client() as player:
        played = await player.get(link)
    assert played.content == page
    assert played.headers["content-type"] == "application/octet-stream"


async def test_html_called_audio_is_not_sniffed(caller: Account) -> None:
    recording_id = await caller.recording(b"<html><script>alert(1)</script>", "a.mp3", "audio/mpeg")
    answer = await caller.http.get(f"/media/{recording_id}?proxy=1")
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("content_type", ["video/mp4", "image/png", "audio/x-flac"])
async def test_media_is_shown_where_it_is(caller: Account, content_type: str) -> None:
    recording_id = await caller.recording(noise(10), "a.bin", content_type)
    answer = await caller.http.get(f"/media/{recording_id}?proxy=1")
    assert answer.headers["content-type"] == content_type
    assert answer.headers["content-disposition"].startswith("inline; ")


async def test_a_range_of_a_large_recording_crosses_its_parts(caller: Account) -> None:
    body = noise(20 * MIB)
    recording_id = await caller.recording(body)
    first, last = 8 * MIB - 1000, 16 * MIB + 1000
    answer = await caller.http.get(
        f"/media/{recording_id}?proxy=1", headers={"Range": f"bytes={first}-{last}"}
    )
    assert answer.status_code == 206
    assert sha256(answer.content) == sha256(body[first : last + 1])


async def test_a_player_that_leaves_does_no_harm(caller: Account) -> None:
    body = noise(20 * MIB)
    recording_id = await caller.recording(body)
    for _ in range(5):
        async with caller.http.stream("GET", f"/media/{recording_id}?proxy=1") as answer:
            async for piece in answer.aiter_bytes():
                assert piece
                break
    assert sha256(await caller.download(recording_id)) == sha256(body)
