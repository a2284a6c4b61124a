"""The inspector without its child: the outline of a sound, what it says, and how it fetches."""

import io
import tempfile
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as some

from sluice_contracts.envelope import Event, wrap
from sluice_contracts.facts import (
    Fact,
    MediaFacts,
    ObjectInspected,
    ObjectStored,
    RecordingUpload,
    StoredBytes,
)
from sluice_contracts.questions import LinkObject, SignedLink
from sluice_runtime.errors import Unavailable
from sluice_storage.inspector.downloads import SignedDownloads
from sluice_storage.inspector.peaks import MOST, Peaks, magnitudes
from sluice_storage.inspector.ports import Deps, Finding
from sluice_storage.inspector.usecases import inspect_object, inspect_objects

from .fakes import NOW

KEY = "tenants/dev/recordings/2026/11/20/rec_00000001/a.wav"
FOUND = Finding(readable=True, media=MediaFacts(codec="mp3", peaks=(1, 2)))


@given(some.lists(some.integers(-32_768, 32_767)))
def test_a_magnitude_is_the_distance_from_zero(values: list[int]) -> None:
    expected = [(-value - 1 if value < 0 else value) >> 7 for value in values]
    assert list(magnitudes(array("h", values).tobytes())) == expected


@given(some.integers(1, 40_000), some.integers(1, 3), some.integers(1, 5_000), some.integers(0, 99))
def test_peaks_hold_every_stretch_however_the_sound_comes(
    count: int, channels: int, portion: int, place: int
) -> None:
    """One loud sample in silence stands where it was, give or take a stretch."""
    loud = count * place // 100
    samples = array("h", [0]) * (count * channels)
    samples[loud * channels + place % channels] = 32_767
    data, step = samples.tobytes(), portion * channels * 2
    peaks = Peaks()
    for at in range(0, len(data), step):
        peaks.add(data[at : at + step], channels)
    levels = peaks.levels()
    assert 0 < len(levels) <= MOST
    assert len(levels) == MOST or count < 8 * MOST
    assert sorted(levels)[-2:] in ([255], [0, 255])
    assert levels.index(255) == pytest.approx(loud / count * len(levels), abs=2)


def test_silence_without_a_sample_has_no_peaks() -> None:
    assert Peaks().levels() == []


@dataclass
class World:
    """Everything around the use case. `finding` None: the object is gone."""

    finding: Finding | None = FOUND
    announced: list[tuple[Fact, str]] = field(default_factory=list)
    asked: list[LinkObject] = field(default_factory=list)
    away: bool = False

    async def ask(self, question: Any, *, timeout_seconds: float = 5.0) -> Any:
        if self.away:
            raise Unavailable("The storage service is not running.")
        self.asked.append(question)
        return SignedLink(public_url="https://public/", internal_url="http://internal/")

    @asynccontextmanager
    async def fetch(self, url: str, most_bytes: int) -> AsyncIterator[IO[bytes] | None]:
        assert url == "http://internal/"
        yield None if self.finding is None else io.BytesIO(b"x" * most_bytes)

    async def read(self, file: IO[bytes]) -> Finding:
        assert self.finding is not None
        return self.finding

    async def announce(self, fact: Fact, *, event_id: str) -> None:
        self.announced.append((fact, event_id))


def deps_of(world: World) -> Deps:
    return Deps(
        asker=world,
        downloads=world,
        reader=world,
        announcer=world,
        most_bytes=1000,
        now=lambda: NOW,
    )


def stored(size_bytes: int = 10, event_id: str = "event-1") -> Event[ObjectStored]:
    fact = ObjectStored(
        tenant="dev",
        upload_id="upl_00000001",
        bytes=StoredBytes(
            bucket="media", key=KEY, size_bytes=size_bytes, sha256="0" * 64, content_type="a/b"
        ),
        etag="x",
        registration=RecordingUpload(
            batch_id="rb_00000001", recording_id="rec_00000001", filename="a.wav", created_by="me"
        ),
        stored_at=NOW,
    )
    return wrap(fact, event_id=event_id, source="storage", at=NOW)


def inspected(finding: Finding) -> ObjectInspected:
    return ObjectInspected(
        tenant="dev", upload_id="upl_00000001", inspected_at=NOW, **dict(finding)
    )


@pytest.mark.parametrize("finding", [FOUND, Finding(readable=False, reason="broken")])
async def test_what_was_found_is_said_once_however_often_the_news_comes(finding: Finding) -> None:
    world = World(finding)
    await inspect_objects([stored(), stored()], deps_of(world))
    assert [fact for fact, _ in world.announced] == [inspected(finding)] * 2
    assert len({event_id for _, event_id in world.announced}) == 1
    assert {question.key for question in world.asked} == {KEY}


async def test_an_object_that_is_stated_again_is_inspected_again() -> None:
    world = World()
    await inspect_objects([stored(), stored(event_id="event-2")], deps_of(world))
    assert len({event_id for _, event_id in world.announced}) == 2


async def test_a_file_that_is_too_large_is_not_fetched() -> None:
    world = World()
    await inspect_object(stored(size_bytes=1001), deps_of(world))
    assert world.announced[0][0] == inspected(Finding(readable=False, reason="too-large"))
    assert world.asked == []


async def test_nothing_is_said_of_an_object_that_is_gone() -> None:
    world = World(finding=None)
    await inspect_object(stored(), deps_of(world))
    assert world.announced == []


async def test_nothing_is_said_while_storage_is_away() -> None:
    world = World(away=True)
    with pytest.raises(Unavailable):
        await inspect_objects([stored()], deps_of(world))
    assert world.announced == []


async def answer(request: web.Request) -> web.StreamResponse:
    """A store: `/object` is 3 MB, `/broken` breaks off, anything else is the status it names."""
    if request.path == "/object":
        return web.Response(body=b"abc" * 1_000_000)
    if request.path == "/broken":
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"x" * 50)
        assert request.transport is not None
        request.transport.close()
        return response
    return web.Response(status=int(request.path[1:]))


@asynccontextmanager
async def store() -> AsyncIterator[tuple[SignedDownloads, str]]:
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    downloads = SignedDownloads(2)
    try:
        yield downloads, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await downloads.close()
        await runner.cleanup()


@pytest.mark.parametrize("most_bytes", [3_000_000, 4_000_000, 1_000_001])
async def test_a_fetched_file_holds_the_object_and_not_more_than_was_asked(most_bytes: int) -> None:
    async with store() as (downloads, url), downloads.fetch(f"{url}/object", most_bytes) as file:
        assert file is not None
        file.seek(0)
        assert file.read() == (b"abc" * 1_000_000)[:most_bytes]


async def test_an_object_that_is_not_there_is_no_file() -> None:
    async with store() as (downloads, url), downloads.fetch(f"{url}/404", 10) as file:
        assert file is None


@pytest.mark.parametrize("path", ["/403", "/500", "/503", "/broken"])
async def test_a_store_that_fails_is_away(path: str) -> None:
    async with store() as (downloads, url):
        with pytest.raises(Unavailable):
            await downloads.fetch(url + path, 100).__aenter__()


async def test_a_store_that_is_not_running_is_away() -> None:
    async with store() as (downloads, _):
        with pytest.raises(Unavailable):
            await downloads.fetch("http://127.0.0.1:9/object", 100).__aenter__()


async def test_no_file_is_left_in_the_folder_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with store() as (downloads, url), downloads.fetch(f"{url}/object", 3_000_000):
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []
