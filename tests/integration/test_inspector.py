"""Stored files are looked into, whatever they are, and nobody waits for it."""

import io
import math
import random
import wave
from array import array

import httpx
import pytest

from sluice_contracts.facts import ObjectInspected
from sluice_devkit.stack import Stack
from tests.checks import dead_letters
from tests.stream import headers_of, last_sequence, read_facts, repeat, wait_for_fact
from tests.support import bus, eventually, http_client
from tests.uploading import Client, Ledger

NOISE = random.Random("inspector")


@pytest.fixture(scope="module")
def wav() -> bytes:
    """Two seconds of a tone, 16 kHz, mono: 64 KiB."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        tone = array("h", [int(20_000 * math.sin(at / 5)) for at in range(32_000)])
        writer.writeframes(tone.tobytes())
    return file.getvalue()


async def upload(http: httpx.AsyncClient, body: bytes) -> str:
    """Send a body; the id of the upload."""
    client = Client(http, Ledger())
    presigned = await client.presign()
    await client.send(presigned.items[0].upload_url, body)
    return presigned.items[0].upload_url.rpartition("/")[2].partition("?")[0]


async def finding(stack: Stack, upload_id: str, after: int = 0) -> ObjectInspected:
    """What the inspector says of an upload."""
    said = await wait_for_fact(stack, f".object.inspected.{upload_id}", after=after)
    assert headers_of(said)["ce-source"].endswith("inspector")
    return ObjectInspected.model_validate_json(said.data or b"")


async def test_an_uploaded_wav_is_inspected(stack: Stack, wav: bytes) -> None:
    async with http_client(stack) as http:
        inspected = await finding(stack, await upload(http, wav))
    assert inspected.readable
    media = inspected.media
    assert media is not None
    assert (media.container, media.codec) == ("wav", "pcm_s16le")
    assert (media.sample_rate, media.channels, media.has_video) == (16_000, 1, False)
    assert media.duration_seconds == pytest.approx(2.0)
    assert len(media.peaks) == 1000


async def test_a_file_that_cannot_be_read_is_marked_and_holds_up_nobody(
    stack: Stack, wav: bytes
) -> None:
    before = await dead_letters(stack)
    async with http_client(stack) as http:
        bad = [await upload(http, NOISE.randbytes(10_000)) for _ in range(3)]
        bad.append(await upload(http, wav[:44]))
        good = await upload(http, wav)
    reasons = [(await finding(stack, one)).reason for one in bad]
    assert reasons == ["not-media"] * 3 + ["empty"]
    assert (await finding(stack, good)).readable
    assert await dead_letters(stack) == before


async def test_news_that_comes_twice_is_told_under_one_id(stack: Stack, wav: bytes) -> None:
    async with http_client(stack) as http:
        upload_id = await upload(http, wav)
    await finding(stack, upload_id)
    facts = await read_facts(stack, ending=f".object.stored.{upload_id}")
    position = await last_sequence(stack)
    assert await repeat(stack, facts) == len(facts) == 1

    async def drained() -> bool:
        async with bus(stack, "topology") as connection:
            info = await connection.jetstream().consumer_info("SLUICE_EVENTS", "inspector-objects")
        assert info.ack_floor is not None
        return info.ack_floor.stream_seq > position and not info.num_ack_pending

    await eventually(drained)
    assert len(await read_facts(stack, ending=f".object.inspected.{upload_id}")) == 1


async def test_an_inspector_that_was_away_catches_up(stack: Stack, wav: bytes) -> None:
    await stack.kill("inspector")
    async with http_client(stack) as http:
        upload_id = await upload(http, wav)
    await stack.start("inspector")
    await stack.wait_ready("inspector")
    assert (await finding(stack, upload_id)).readable
