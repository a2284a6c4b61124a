"""A body on its way to the store: the same bytes and digest however it comes in pieces."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.questions import BeginUpload, SignParts
from sluice_gateway.ports import Body
from sluice_gateway.usecases.sending import Sending, send
from sluice_runtime.errors import Rejected, Unavailable

from .fakes import KEY, FakeStore, FakeWorld, body_of, part_url

chunks = st.lists(st.binary(max_size=11), max_size=12)


def sending(size: int | None = None, put_url: str | None = None) -> Sending:
    return Sending(KEY, "audio/wav", size, put_url)


@given(
    chunks.filter(any),
    st.integers(1, 4),
    st.booleans(),
    st.lists(st.sampled_from([0.0, 0.0, 0.0005]), max_size=12),
)
async def test_any_pieces_make_the_same_parts_and_digest(
    pieces: list[bytes], in_flight: int, is_measured: bool, pauses: list[float]
) -> None:
    data = b"".join(pieces)
    store = FakeStore(pauses=iter(pauses))
    world = FakeWorld(store=store, in_flight=in_flight, part_size=4)
    size = len(data) if is_measured else None
    if is_measured and len(data) <= world.part_size:
        size = None  # a body that small would go in one PUT
    sent = await send(sending(size), body_of(*pieces), world.deps())
    assert (sent.size_bytes, sent.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert sent.multipart is not None
    numbers = [part.number for part in sent.multipart.parts]
    assert numbers == list(range(1, -(-len(data) // 4) + 1))
    assert [part.etag for part in sent.multipart.parts] == [f"etag{n}" for n in numbers]
    assert b"".join(store.parts[number] for number in numbers) == data
    assert all(len(store.parts[number]) == 4 for number in numbers[:-1])
    assert store.most_in_flight <= in_flight
    assert len(store.buffers) <= in_flight + 1


@given(chunks.filter(any), st.booleans())
async def test_one_put_carries_the_same_bytes_and_digest(
    pieces: list[bytes], is_presigned: bool
) -> None:
    data = b"".join(pieces)
    world = FakeWorld(part_size=1000)
    url = "http://store/presigned" if is_presigned else None
    sent = await send(sending(len(data), url), body_of(*pieces), world.deps())
    assert (sent.size_bytes, sent.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert sent.multipart is None
    assert list(world.store.whole.values()) == [data]
    assert bool(world.questions(BeginUpload)) is not is_presigned


async def test_a_planned_url_that_is_no_longer_good_is_replaced() -> None:
    """The store may have moved since it was signed, or changed its keys."""
    url = "http://store/presigned"
    world = FakeWorld(store=FakeStore(dead={url}), part_size=1000)
    sent = await send(sending(4, url), body_of(b"RIFF"), world.deps())
    assert sent.sha256 == hashlib.sha256(b"RIFF").hexdigest()
    assert list(world.store.whole.values()) == [b"RIFF"]
    assert len(world.questions(BeginUpload)) == 1


async def test_a_store_that_is_away_is_away_with_any_url() -> None:
    world = FakeWorld(store=FakeStore(away=True), part_size=1000)
    with pytest.raises(Unavailable) as caught:
        await send(sending(4, "http://store/presigned"), body_of(b"RIFF"), world.deps())
    assert caught.value.code == "store-unavailable"


@pytest.mark.parametrize("tag", [None, "another"])
async def test_the_word_of_the_store_counts_when_its_tag_is_the_digest(tag: str | None) -> None:
    data = b"RIFF" + b"x" * 600
    world = FakeWorld(store=FakeStore(tag=tag), part_size=1000)
    sent = await send(sending(len(data)), body_of(data), world.deps())
    if tag is not None:
        assert sent.etag is None
        return
    assert sent.etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert sent.head == data[:512]


async def test_a_streamed_body_that_fails_is_not_a_store_that_is_away() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(1024**2)
        raise Rejected("These are other bytes.", code="digest-mismatch")

    world = FakeWorld(part_size=8 * 1024**2)
    with pytest.raises(Rejected) as caught:
        await send(sending(2 * 1024**2), broken(), world.deps())
    assert caught.value.code == "digest-mismatch"


async def test_a_body_of_one_put_that_is_not_small_is_streamed() -> None:
    mib = 1024**2
    world = FakeWorld(part_size=8 * mib)
    pieces = [bytes([n]) * mib for n in range(3)]
    sent = await send(sending(3 * mib), body_of(*pieces), world.deps())
    assert sent.sha256 == hashlib.sha256(b"".join(pieces)).hexdigest()
    assert world.store.whole["http://store/whole"] == b"".join(pieces)


async def test_more_urls_are_asked_for_when_the_first_are_used_up() -> None:
    world = FakeWorld(signed_first=3)
    data = b"x" * (4 * 70)
    sent = await send(sending(len(data)), body_of(data), world.deps())
    assert sent.multipart is not None
    assert len(sent.multipart.parts) == 70
    asked = [question.numbers[0] for question in world.questions(SignParts)]
    assert asked == [4, 68]


async def test_a_slow_sender_outlasts_the_urls_that_were_signed_when_it_began() -> None:
    data = b"x" * (4 * 5)
    dead = {part_url(number) for number in (2, 4)}
    world = FakeWorld(signed_first=5, store=FakeStore(dead=dead))
    sent = await send(sending(len(data)), body_of(data), world.deps())
    assert b"".join(world.store.parts[number] for number in range(1, 6)) == data
    assert sent.sha256 == hashlib.sha256(data).hexdigest()
    assert {question.numbers for question in world.questions(SignParts)} == {(2,), (4,)}


async def test_what_is_to_be_cleaned_up_is_known_from_the_beginning() -> None:
    world = FakeWorld(store=FakeStore(away=True))
    one = sending(100)
    with pytest.raises(Unavailable):
        await send(one, body_of(b"x" * 100), world.deps())
    assert (one.begun, one.session_id) == (True, "s1")


@pytest.mark.parametrize("size", [None, 4, 100])
async def test_an_empty_body_is_refused(size: int | None) -> None:
    with pytest.raises(Rejected) as caught:
        await send(sending(size), body_of(), FakeWorld().deps())
    assert caught.value.code == "empty-upload"


@pytest.mark.parametrize("came", [1, 99, 101, 200])
async def test_a_body_of_another_length_than_promised_is_refused(came: int) -> None:
    with pytest.raises(Rejected) as caught:
        await send(sending(100), body_of(b"x" * came), FakeWorld().deps())
    assert caught.value.code == "body-incomplete"


async def test_a_small_body_of_another_length_never_reaches_the_store() -> None:
    world = FakeWorld()
    with pytest.raises(Rejected):
        await send(sending(4), body_of(b"xxx"), world.deps())
    assert not world.store.whole


@pytest.mark.parametrize("fails_at", [1, 2, 5])
async def test_a_part_that_fails_ends_it_and_stops_reading(fails_at: int) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            await asyncio.sleep(0)
            read += 1
            yield b"xxxx"

    world = FakeWorld(store=FakeStore(fails_at=fails_at), signed_first=1)
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable) as caught:
            await send(sending(), endless(), world.deps())
    assert caught.value.code == "store-unavailable"
    assert read < fails_at + 20
    assert world.store.in_flight == 0


async def test_a_sender_that_breaks_off_ends_the_parts_in_flight() -> None:
    class Gone(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 10
        await asyncio.sleep(0.01)
        raise Gone

    world = FakeWorld(store=FakeStore(pauses=iter([60.0, 60.0])))
    async with asyncio.timeout(5):
        with pytest.raises(Gone):
            await send(sending(), broken(), world.deps())
    assert world.store.in_flight == 0


async def test_a_slow_store_holds_the_sender_back() -> None:
    """Memory is bounded: no more is read than fits into the buffers."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            await asyncio.sleep(0)
            read += 1
            yield b"xxxx"

    world = FakeWorld(in_flight=2, store=FakeStore(pauses=iter([60.0] * 9)))
    running = asyncio.create_task(_send(endless(), world))
    await asyncio.sleep(0.05)
    assert read == 3  # two in flight, and one buffer full
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert world.store.in_flight == 0


async def _send(body: Body, world: FakeWorld) -> None:
    await send(sending(), body, world.deps())


@pytest.mark.parametrize(
    ("seconds", "sizes"), [(0.0, [1024**2, 1024**2, 2]), (2.0, [256 * 1024] * 8 + [2])]
)
async def test_a_large_body_goes_on_in_large_pieces_and_a_slow_one_as_it_comes(
    monkeypatch: pytest.MonkeyPatch, seconds: float, sizes: list[int]
) -> None:
    now = 100.0

    async def body() -> AsyncIterator[bytes]:
        nonlocal now
        for size in [256 * 1024] * 8 + [2]:
            now += seconds
            yield bytes(size)

    monkeypatch.setattr("sluice_gateway.usecases.sending.time.monotonic", lambda: now)
    world = FakeWorld(part_size=4 * 1024**2)
    await send(sending(2 * 1024**2 + 2), body(), world.deps())
    assert [len(piece) for piece in world.store.pieces] == sizes
