"""The client against a server that misbehaves in every way it may."""

from pathlib import Path

import pytest

from sluice_cli.client import Client
from sluice_cli.failures import IntegrityError, NetworkError, RefusedError
from sluice_cli.live import LiveLog
from sluice_contracts.api import (
    PresignedItem,
    PresignItem,
    PresignRequest,
    RecordingRequestItem,
    RecordingsRequest,
)

from .web import NOW, Answer, Asked, Site, as_json, problem

PRESIGNED = {"batch_id": "rb_12345678", "expires_in_seconds": 600, "items": []}
REQUEST = PresignRequest(items=(PresignItem(filename="a.wav", contentType="audio/wav"),))
REGISTRATION = RecordingsRequest(
    batch_id="rb_12345678",
    idempotency_key="12345678",
    items=(RecordingRequestItem(client_item_id="a", blob_ref="blob://a", data={"n": None}),),
)
BUSY = problem(503, "unavailable", retryable=True)

SOUND = b"sound" * 100_000


def silent(_text: str) -> None:
    """Nobody listens in a test."""


def nothing(_sent: int) -> None:
    """No progress to show."""


def client(site: Site, patience: float = 20.0) -> Client:
    return Client(site.url, "test_12345", silent, patience)


def item(site: Site) -> PresignedItem:
    return PresignedItem(
        temp_id="tmp_1",
        upload_url=f"{site.url}/mock-upload/upl_1?token=t",
        required_headers={"Content-Type": "audio/wav"},
        blob_ref="blob://s3/b/a.wav",
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    path.write_bytes(SOUND)
    return path


async def test_an_answer_comes_parsed_and_verbatim(site: Site) -> None:
    site.decide = lambda _asked: as_json(PRESIGNED | {"later": 1})
    async with client(site) as calls:
        answer, content = await calls.presign(REQUEST)
    assert answer.batch_id == "rb_12345678"
    assert b'"later": 1' in content
    assert site.asked[0].headers["x-api-key"] == "test_12345"


async def test_a_repeat_carries_the_same_idempotency_key(site: Site) -> None:
    site.in_turn(Answer(hang_up=True), BUSY, as_json(PRESIGNED))
    async with client(site) as calls:
        await calls.presign(REQUEST)
    keys = {asked.headers["idempotency-key"] for asked in site.asked}
    assert (len(site.asked), len(keys)) == (3, 1)


async def test_a_refusal_is_final_and_tells_its_code(site: Site) -> None:
    site.decide = lambda _asked: problem(404, "batch-not-found")
    async with client(site) as calls:
        with pytest.raises(RefusedError) as refused:
            await calls.batch("rb_x/../y")
    assert (refused.value.code, refused.value.status) == ("batch-not-found", 404)
    assert [asked.path for asked in site.asked] == ["/batches/rb_x%2F..%2Fy"]


async def test_patience_ends(site: Site) -> None:
    site.decide = lambda _asked: BUSY
    async with client(site, patience=0.3) as calls:
        with pytest.raises(NetworkError, match="503"):
            await calls.batch("rb_1")


async def test_nobody_there_is_a_network_failure(site: Site) -> None:
    async with Client("http://127.0.0.1:9", "k", silent, 0.0) as calls:
        with pytest.raises(NetworkError):
            await calls.batch("rb_1")


@pytest.mark.parametrize("url", ["http://127.0.0.1:none", "http://xn--a"])
async def test_an_address_that_is_none_is_a_network_failure(url: str) -> None:
    """Those a user gives are checked before; this one came from somewhere else."""
    async with Client(url, "k", silent, 20.0) as calls:
        with pytest.raises(NetworkError):
            await calls.batch("rb_1")


async def test_something_else_than_sluice_is_a_network_failure(site: Site) -> None:
    site.decide = lambda _asked: Answer(200, b"<html>hello</html>")
    async with client(site) as calls:
        with pytest.raises(NetworkError):
            await calls.batch("rb_1")


async def test_an_answer_that_cannot_be_unpacked_is_a_network_failure(site: Site) -> None:
    site.decide = lambda _asked: Answer(200, b"no gzip", {"Content-Encoding": "gzip"})
    async with client(site, patience=0.0) as calls:
        with pytest.raises(NetworkError):
            await calls.batch("rb_1")


async def test_registering_waits_for_a_blob_that_is_accepted(site: Site) -> None:
    answer = {"batch_id": "rb_12345678", "status": "pending", "items": [], "poll": {"href": "/b"}}
    waiting = problem(409, "blob-not-uploaded", retryable=True, Retry_After="0")
    site.in_turn(waiting, waiting, as_json(answer, 202))
    async with client(site) as calls:
        assert (await calls.register(REGISTRATION)).poll.href == "/b"
    assert b'"data":{"n":null}' in site.asked[0].body


async def test_a_file_arrives_whole_without_the_key(site: Site, file: Path) -> None:
    site.decide = lambda _asked: Answer(201)
    sent: list[int] = []
    async with client(site) as calls:
        assert await calls.put(item(site), file, sent.append) == "uploaded"
    (asked,) = site.asked
    assert asked.body == SOUND
    assert asked.headers["content-length"] == str(len(SOUND))
    assert asked.headers["content-type"] == "audio/wav"
    assert "x-api-key" not in asked.headers
    assert "transfer-encoding" not in asked.headers
    assert (sent[0], sent[-1]) == (0, len(SOUND))


async def test_accepted_is_told_apart_from_uploaded(site: Site, file: Path) -> None:
    site.decide = lambda _asked: Answer(202)
    async with client(site) as calls:
        assert await calls.put(item(site), file, nothing) == "accepted"


async def test_a_used_token_after_a_broken_attempt_means_it_arrived(site: Site, file: Path) -> None:
    in_progress = problem(409, "upload-in-progress", Retry_After="0")
    site.in_turn(Answer(hang_up=True), in_progress, problem(400, "upload-token-used"))
    async with client(site) as calls:
        assert await calls.put(item(site), file, nothing) == "uploaded"
    assert len(site.asked) == 3


async def test_a_used_token_at_once_is_a_refusal(site: Site, file: Path) -> None:
    site.decide = lambda _asked: problem(400, "upload-token-used")
    async with client(site) as calls:
        with pytest.raises(RefusedError):
            await calls.put(item(site), file, nothing)


async def test_a_file_that_changes_while_it_is_sent_is_no_success(site: Site, file: Path) -> None:
    def change(_asked: Asked) -> Answer:
        file.write_bytes(b"other")
        return Answer(201)

    site.decide = change
    async with client(site) as calls:
        with pytest.raises(IntegrityError):
            await calls.put(item(site), file, nothing)


async def test_bytes_that_did_not_match_are_an_integrity_failure(site: Site, file: Path) -> None:
    site.decide = lambda _asked: problem(422, "digest-mismatch")
    async with client(site) as calls:
        with pytest.raises(IntegrityError):
            await calls.put(item(site), file, nothing)


def sse(*sequences: int) -> Answer:
    lines = []
    for sequence in sequences:
        event = (
            f'{{"sequence":{sequence},"id":"e{sequence}","type":"t","subject":"rb_12345678",'
            f'"time":"{NOW}","data":{{"tenant":"t","kind":"batch","id":"rb_12345678",'
            f'"sequence":1,"previous":null,"status":"open","actor":"a","changed_at":"{NOW}"}}}}'
        )
        lines.append(f"id: {sequence}\nevent: t\ndata: {event}\n\n")
    body = ": hi\n\n" + "".join(lines)
    return Answer(200, body.encode(), {"Content-Type": "text/event-stream"})


async def test_the_live_log_goes_on_where_it_was_cut(site: Site) -> None:
    site.in_turn(sse(3, 4), BUSY, Answer(hang_up=True), sse(4, 5))
    async with client(site) as calls:
        log = LiveLog(calls, silent, 2, types=["t"], ids=["a", "b"]).events()
        seen = [(await anext(log)).sequence for _ in range(3)]
        await log.aclose()
    assert seen == [3, 4, 5]
    assert [asked.headers["last-event-id"] for asked in site.asked] == ["2", "4", "4", "4"]
    assert site.asked[0].path == "/api/v1/events?types=t&ids=a&ids=b"


async def test_events_of_a_newer_server_are_skipped_but_counted(site: Site) -> None:
    unknown = Answer(200, b"id: 8\ndata: {}\n\n", {"Content-Type": "text/event-stream"})
    site.in_turn(unknown, sse(9))
    async with client(site) as calls:
        log = LiveLog(calls, silent, 7).events()
        assert (await anext(log)).sequence == 9
        await log.aclose()
    assert [asked.headers["last-event-id"] for asked in site.asked] == ["7", "8"]


async def test_the_live_log_ends_on_a_refusal(site: Site) -> None:
    site.decide = lambda _asked: problem(401, "unauthorized")
    async with client(site) as calls:
        with pytest.raises(RefusedError):
            await anext(LiveLog(calls, silent, 0).events())
