"""The event log: as a list, as a stream that resumes without a gap, and live on NATS."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import nats
import pytest

from .api import PATIENCE_SECONDS, Account, eventually, noise, problem

HEARTBEAT_SECONDS = 15
UPLOAD = "org.sluice.upload.status_changed.v1"
RECORDING = "org.sluice.recording.status_changed.v1"

Event = dict[str, Any]


async def listed(caller: Account, **query: Any) -> dict[str, Any]:
    answer = await caller.http.get("/api/v1/events", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def logged(caller: Account, count: int) -> list[Event]:
    """The whole log of a tenant, once it has `count` entries."""

    async def look() -> list[Event]:
        answer = await caller.http.get("/api/v1/events", params={"limit": 200})
        if answer.status_code == 503:
            return []  # a busy machine is too slow to tell
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    events = await eventually(look, lambda found: len(found) >= count)
    assert len(events) == count
    return events


async def completed_recording(caller: Account) -> str:
    """The batch of one completed recording, whose ten changes are all in the log."""
    presigned = await caller.uploaded(noise(10))
    await caller.register(presigned)
    await caller.completed(presigned["batch_id"])
    return str(presigned["batch_id"])


CHANGES_OF_ONE_RECORDING = 11
"""Upload: 4. Recording: 3. Batch: open, pending, processing, completed."""


@dataclass(frozen=True)
class Frame:
    """One server-sent event, or a comment."""

    id: str | None = None
    event: str | None = None
    data: str | None = None
    comment: str | None = None

    def parsed(self) -> Event:
        """The event inside, which must agree with the fields around it."""
        assert self.data is not None
        found: Event = json.loads(self.data)
        assert (self.id, self.event) == (str(found["sequence"]), found["type"])
        return found


class Stream:
    """An open event stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def frame(self) -> Frame:
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for text in self._lines:
                if not text:
                    break
                name, _, value = text.partition(":")
                fields[name or "comment"] = value.removeprefix(" ")
        fields.pop("retry", None)
        return Frame(**fields)

    async def begin(self) -> int:
        """The sequence the stream goes on from."""
        first = await self.frame()
        assert first.data is None
        return int(first.id or "")

    async def event(self) -> Event:
        while (frame := await self.frame()).data is None:
            pass
        return frame.parsed()

    async def events(self, count: int) -> list[Event]:
        return [await self.event() for _ in range(count)]


@asynccontextmanager
async def stream(
    caller: Account, last: int | str | None = None, **query: Any
) -> AsyncIterator[Stream]:
    headers = {"Accept": "text/event-stream"} | (
        {} if last is None else {"Last-Event-ID": str(last)}
    )
    async with caller.http.stream(
        "GET", "/api/v1/events", params=query, headers=headers, timeout=PATIENCE_SECONDS
    ) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield Stream(answer)


class TestList:
    async def test_every_change_is_there_once_and_in_order(self, caller: Account) -> None:
        batch_id = await completed_recording(caller)
        events = await logged(caller, CHANGES_OF_ONE_RECORDING)
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert len({event["id"] for event in events}) == len(events)
        moves: dict[str, list[str]] = {}
        for event in events:
            change = event["data"]
            assert event["specversion"] == "1.0"
            assert event["type"] == f"org.sluice.{change['kind']}.status_changed.v1"
            assert event["subject"] == change["id"]
            assert change["tenant"] == caller.tenant
            assert change["batch_id"] == batch_id
            moves.setdefault(change["kind"], []).append(change["status"])
            assert change["sequence"] == len(moves[change["kind"]])
        assert moves == {
            "batch": ["open", "pending", "processing", "completed"],
            "upload": ["created", "uploading", "stored", "registered"],
            "recording": ["queued", "processing", "completed"],
        }

    async def test_pages_follow_each_other(self, caller: Account) -> None:
        await completed_recording(caller)
        events = await logged(caller, CHANGES_OF_ONE_RECORDING)
        found: list[Event] = []
        after = 0
        while after < CHANGES_OF_ONE_RECORDING:
            page = await listed(caller, after=after, limit=3)
            assert page["last_sequence"] == CHANGES_OF_ONE_RECORDING
            assert page["next_after"] > after
            found += page["items"]
            after = page["next_after"]
        assert found == events
        assert (await listed(caller, after=after))["items"] == []

    async def test_the_log_is_narrowed_by_type_and_id(self, caller: Account) -> None:
        batch_id = await completed_recording(caller)
        events = await logged(caller, CHANGES_OF_ONE_RECORDING)
        by_kind = {
            kind: [event for event in events if event["data"]["kind"] == kind]
            for kind in ("batch", "upload", "recording")
        }
        upload_id = by_kind["upload"][0]["subject"]
        for query, expected in [
            ({"types": "recording"}, by_kind["recording"]),
            ({"types": RECORDING}, by_kind["recording"]),
            ({"types": "batch,upload,recording"}, events),
            ({"types": ["batch", "upload", "recording"]}, events),
            ({"ids": upload_id}, by_kind["upload"]),
            ({"ids": batch_id}, events),
            ({"ids": f"{upload_id},rb_unknown00"}, by_kind["upload"]),
            ({"ids": upload_id, "types": "batch"}, []),
            ({"ids": "rb_unknown00"}, []),
        ]:
            page = await listed(caller, **query)
            assert page["items"] == expected
            assert page["next_after"] == CHANGES_OF_ONE_RECORDING

    @pytest.mark.parametrize(
        "query",
        [
            {"after": -1},
            {"after": "x"},
            {"after": 2**63},
            {"after": "9" * 5000},
            {"limit": 0},
            {"limit": -1},
            {"limit": 201},
            {"types": "nonsense"},
            {"types": "org.sluice.object.stored.v1"},
            {"types": ["batch"] * 17},
            {"ids": ["x"] * 65},
            {"ids": "\x00"},
            {"ids": "'"},
            {"ids": "x" * 65},
        ],
    )
    async def test_a_malformed_question_is_refused(
        self, caller: Account, query: dict[str, Any]
    ) -> None:
        problem(await caller.http.get("/api/v1/events", params=query), 422)

    async def test_another_tenant_sees_nothing(self, caller: Account, stranger: Account) -> None:
        batch_id = await completed_recording(caller)
        await logged(caller, CHANGES_OF_ONE_RECORDING)
        for query in ({}, {"ids": batch_id}, {"after": 0}):
            page = await listed(stranger, **query)
            assert (page["items"], page["last_sequence"]) == ([], 0)

    async def test_what_lies_behind_the_end_is_refused(self, caller: Account) -> None:
        """It was the place in another log; whoever waited there would miss what is said here."""
        await completed_recording(caller)
        last = (await logged(caller, CHANGES_OF_ONE_RECORDING))[-1]["sequence"]
        assert (await listed(caller, after=last))["items"] == []
        answer = await caller.http.get("/api/v1/events", params={"after": last + 1})
        problem(answer, 422, "unknown-event-id")


class TestStream:
    async def test_changes_arrive_live_in_order_and_without_a_gap(self, caller: Account) -> None:
        async with stream(caller) as live:
            assert await live.begin() == 0
            await completed_recording(caller)
            events = await live.events(CHANGES_OF_ONE_RECORDING)
        assert events == await logged(caller, CHANGES_OF_ONE_RECORDING)

    async def test_a_stream_begins_at_the_end_of_the_log(self, caller: Account) -> None:
        await caller.presign("a.wav")
        await logged(caller, 2)
        async with stream(caller) as live:
            assert await live.begin() == 2
            await caller.presign("b.wav")
            assert [event["sequence"] for event in await live.events(2)] == [3, 4]

    async def test_a_stream_resumes_exactly_behind_the_last_event(self, caller: Account) -> None:
        await completed_recording(caller)
        events = await logged(caller, CHANGES_OF_ONE_RECORDING)
        for last in (0, 1, CHANGES_OF_ONE_RECORDING - 1):
            async with stream(caller, last) as live:
                assert await live.begin() == last
                assert await live.events(len(events) - last) == events[last:]
        async with stream(caller, CHANGES_OF_ONE_RECORDING) as live:
            assert await live.begin() == CHANGES_OF_ONE_RECORDING
            await caller.presign("b.wav")
            assert (await live.event())["sequence"] == CHANGES_OF_ONE_RECORDING + 1

    async def test_the_header_outweighs_the_address(self, caller: Account) -> None:
        await caller.presign("a.wav")
        await logged(caller, 2)
        async with stream(caller, last=1, after=0) as live:
            assert (await live.event())["sequence"] == 2
        async with stream(caller, after=1) as live:
            assert (await live.event())["sequence"] == 2

    async def test_nothing_is_missed_when_the_stream_is_cut_twenty_times(
        self, caller: Account
    ) -> None:
        presigns, cuts = 30, 20
        total = presigns * 4

        async def work() -> None:
            for number in range(presigns):
                await caller.presign(*(f"{number}-{file}.wav" for file in range(3)))

        seen: list[int] = []
        last, working = 0, asyncio.create_task(work())
        for _ in range(cuts):
            async with stream(caller, last) as live:
                seen += [event["sequence"] for event in await live.events(total // (cuts * 2))]
            last = seen[-1]
        async with stream(caller, last) as live:
            seen += [event["sequence"] for event in await live.events(total - len(seen))]
        await working
        assert seen == list(range(1, total + 1))

    async def test_a_narrowed_stream_keeps_the_sequence_of_the_log(self, caller: Account) -> None:
        async with stream(caller, types="recording") as live:
            await live.begin()
            await completed_recording(caller)
            events = await live.events(3)
        assert [event["data"]["status"] for event in events] == [
            "queued",
            "processing",
            "completed",
        ]
        log = await logged(caller, CHANGES_OF_ONE_RECORDING)
        assert events == [event for event in log if event["data"]["kind"] == "recording"]

    async def test_many_readers_hear_the_same(self, caller: Account) -> None:
        async def read() -> list[int]:
            async with stream(caller, last=0) as live:
                return [event["sequence"] for event in await live.events(20)]

        readers = [asyncio.create_task(read()) for _ in range(10)]
        for _ in range(10):
            await caller.presign("a.wav")
        assert await asyncio.gather(*readers) == [list(range(1, 21))] * 10

    async def test_another_tenant_hears_nothing(self, caller: Account, stranger: Account) -> None:
        async with stream(stranger) as live:
            await live.begin()
            await caller.presign("ours.wav")
            await logged(caller, 2)
            theirs = await stranger.presign("theirs.wav")
            for event in await live.events(2):
                assert event["data"]["tenant"] == stranger.tenant
                assert event["data"]["batch_id"] == theirs["batch_id"]

    async def test_a_silent_stream_has_a_heartbeat(self, caller: Account) -> None:
        async with stream(caller) as live:
            await live.begin()
            async with asyncio.timeout(HEARTBEAT_SECONDS * 2):
                assert (await live.frame()).comment
            await caller.presign("a.wav")
            assert (await live.event())["sequence"] == 1

    @pytest.mark.parametrize(
        "last", ["abc", "-1", "1.5", "1e3", "", "0x1", str(2**63), "9" * 5000, "1", "99999999"]
    )
    async def test_an_id_this_log_never_gave_is_refused(self, caller: Account, last: str) -> None:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
        answer = await caller.http.get("/api/v1/events", headers=headers)
        problem(answer, 422, "unknown-event-id")

    async def test_a_stream_ends_in_good_order_with_its_gateway(self, caller: Account) -> None:
        async with stream(caller) as live:
            await live.begin()
            await caller.stack.restart("gateway")
            with suppress(httpx.RemoteProtocolError):
                assert await live.frame() == Frame()
        async with stream(caller, last=0) as live:
            await caller.presign("a.wav")
            assert (await live.event())["sequence"] == 1


async def test_a_subscriber_on_nats_hears_every_change_live(caller: Account) -> None:
    stack = caller.stack
    connection = await nats.connect(
        stack.nats_url,
        user="subscriber",
        password=stack.nats_users["subscriber"],
        inbox_prefix=b"_INBOX_subscriber",
    )
    try:
        subscription = await connection.subscribe(f"sluice.live.v1.events.{caller.tenant}.>")
        everything = await connection.subscribe("sluice.live.v1.events.>")
        await connection.flush()
        await completed_recording(caller)
        heard = [
            await subscription.next_msg(timeout=PATIENCE_SECONDS)
            for _ in range(CHANGES_OF_ONE_RECORDING)
        ]
        assert (await everything.next_msg(timeout=PATIENCE_SECONDS)).subject
    finally:
        await connection.close()
    events = [json.loads(message.data) for message in heard]
    assert events == await logged(caller, CHANGES_OF_ONE_RECORDING)
    for message, event in zip(heard, events, strict=True):
        kind, subject = event["data"]["kind"], event["subject"]
        assert message.subject == f"sluice.live.v1.events.{caller.tenant}.{kind}.{subject}"
        assert message.headers["ce-id"] == event["id"]
        assert message.headers["ce-type"] == event["type"]
