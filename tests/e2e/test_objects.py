"""Objects, from outside: what was found in them, how they sound, and their life."""

from typing import Any

import httpx
import pytest
import pytest_asyncio

from sluice_devkit.assets import speech

from .api import Account, catalog, eventually, problem, sha256
from .direct import OBJECTS, UPLOADS, stored


@pytest_asyncio.fixture(loop_scope="session")
async def spoken(caller: Account) -> Any:
    """A second of sound, looked into."""
    done = await stored(caller, speech(1.0), filename="a.wav", content_type="audio/wav")

    async def look() -> Any:
        return (await caller.http.get(f"{OBJECTS}/{done['object_id']}")).json()

    return done | await eventually(look, lambda shown: "media" in shown)


async def test_they_say_what_is_in_them(spoken: Any) -> None:
    assert spoken["media"]["readable"] is True
    assert spoken["media"]["sample_rate"] == 16_000
    assert spoken["media"]["duration_seconds"] == pytest.approx(1.0, abs=0.05)
    assert spoken["detected_type"] in ("audio/wav", "audio/x-wav")


async def test_they_show_how_they_sound(caller: Account, spoken: Any) -> None:
    answer = await caller.http.get(f"{OBJECTS}/{spoken['object_id']}/waveform")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert 0 < len(body["peaks"]) <= 1000
    assert 0 < max(body["peaks"]) <= 255
    assert body["duration_seconds"] == pytest.approx(1.0, abs=0.05)


async def test_their_life_is_told_in_order(caller: Account, spoken: Any) -> None:
    path = f"{UPLOADS}/{spoken['upload_id']}/timeline"
    items = (await caller.http.get(path)).json()["items"]
    assert {one["event"] for one in items} == {
        *(f"upload.{status}" for status in ("created", "uploading", "stored", "registered")),
        *(f"object.{event}" for event in ("stored", "verified", "inspected")),
    }
    assert [one["at"] for one in items] == sorted(one["at"] for one in items)
    by_event = {one["event"]: one["detail"] for one in items}
    assert by_event["object.inspected"]["readable"] is True
    assert by_event["upload.created"]["actor"]


async def test_what_is_no_media_has_no_waveform(caller: Account) -> None:
    done = await stored(caller, b"just words " * 100)
    path = f"{OBJECTS}/{done['object_id']}/waveform"

    async def look() -> httpx.Response:
        answer = await caller.http.get(path)
        if answer.status_code == 409:
            problem(answer, 409, "not-inspected")
        return answer

    problem(await eventually(look, lambda answer: answer.status_code != 409), 422, "unreadable")


async def test_silence_has_no_waveform(caller: Account, spoken: Any) -> None:
    await catalog(
        caller.stack,
        "update media set peaks = '' where upload_id = %s",
        spoken["upload_id"],
    )
    path = f"{OBJECTS}/{spoken['object_id']}/waveform"
    problem(await caller.http.get(path), 404, "no-waveform")


async def test_those_of_other_doors_are_found_too(caller: Account) -> None:
    data = speech(0.3, seed=5)
    recording = await caller.recording(data, "call.wav")
    query = "select upload_id from recordings where recording_id = %s"
    upload_id = str((await catalog(caller.stack, query, recording))[0][0])
    answer = await caller.http.get(f"{OBJECTS}/obj_{upload_id.removeprefix('upl_')}")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["sha256"], answer.json()["filename"]) == (sha256(data), "call.wav")
