"""Messages nobody can handle: they end up aside, with a reason, and stop nothing else."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx
import pytest

from sluice_contracts.facts import ObjectRejected, ObjectStored, StatusChanged, UploadReceived
from sluice_contracts.statuses import Kind
from sluice_contracts.tasks import TranscriptionTask
from sluice_contracts.topology import TASKS, WORKER_TRANSCRIPTIONS
from sluice_devkit.stack import Stack
from tests.checks import check_log, dead_letters, drained
from tests.stream import check_works, read_facts, throw_in
from tests.support import Json, Supervisor, bus, eventually, sluice
from tests.uploading import Client

Junk = tuple[bytes, dict[str, str]]


def envelope(type_name: str, **more: str) -> dict[str, str]:
    """The headers of an event of this type."""
    return {
        "ce-specversion": "1.0",
        "ce-id": uuid.uuid4().hex,
        "ce-source": "/sluice/storage",
        "ce-type": type_name,
        "ce-subject": "x",
        "ce-time": "2026-01-01T00:00:00Z",
        "content-type": "application/json",
        **more,
    }


def junk_of(type_name: str) -> list[Junk]:
    """Everything that can be wrong with a message before its meaning is looked at."""
    return [
        (b"", {}),
        (b"no headers, no JSON", {}),
        (b"{}", envelope("org.sluice.something.else.v1")),
        (b"{", envelope(type_name)),
        (b"[]", envelope(type_name)),
        (b"{}", envelope(type_name)),
        (b"\xff\xfe", envelope(type_name)),
        (b"{}", envelope(type_name, **{"ce-subject": "%ff"})),
        (b"{}", envelope(type_name, **{"ce-time": "yesterday"})),
    ]


async def letters(stack: Stack) -> list[Json]:
    ended = await sluice(stack, "dlq", "ls", "--json")
    assert ended.code == 0, ended.errors
    return ended.lines()


async def wait_for_letters(stack: Stack, number: int) -> list[Json]:
    async def arrived() -> list[Json]:
        found = await letters(stack)
        assert len(found) == number, f"{len(found)} of {number} letters"
        return found

    return await eventually(arrived)


async def drop_all(stack: Stack) -> None:
    ended = await sluice(stack, "dlq", "drop", "--all", "--yes")
    assert ended.code == 0, ended.errors
    assert await dead_letters(stack) == 0


@pytest.mark.parametrize(
    ("subject", "type_name", "consumer"),
    [
        ("sluice.v1.dev.object.rejected.x", ObjectRejected.type_name(), "catalog-objects"),
        ("sluice.v1.dev.upload.received.x", UploadReceived.type_name(), "storage-uploads"),
    ],
)
async def test_junk_is_set_aside_and_stops_nothing(
    own: Stack, uploader: Client, subject: str, type_name: str, consumer: str
) -> None:
    junk = junk_of(type_name)
    await throw_in(own, subject, junk)
    await check_works(own, uploader)
    found = await wait_for_letters(own, len(junk))
    assert {letter["reason"] for letter in found} == {"permanent"}
    assert {letter["consumer"] for letter in found} == {consumer}
    assert {letter["subject"] for letter in found} == {subject}
    assert {letter["deliveries"] for letter in found} == {"1"}
    await drained(own)
    await drop_all(own)


async def test_what_the_catalog_cannot_store_is_given_up_after_some_attempts(
    own: Stack, uploader: Client
) -> None:
    """It parses, and no database takes it: nobody can say beforehand that it never will."""
    await check_works(own, uploader)
    stored = (await read_facts(own, containing=".object.stored."))[-1]
    fact = ObjectStored.model_validate_json(stored.data or b"")
    broken = fact.model_copy(
        update={
            "upload_id": "upl_" + "0" * 32,
            "bytes": fact.bytes.model_copy(update={"key": "tenants/dev/\x00"}),
            "reply_to": None,
        }
    )
    headers = envelope(ObjectStored.type_name())
    await throw_in(own, broken.subject(), [(broken.model_dump_json().encode(), headers)])
    await check_works(own, uploader)

    async def given_up() -> Json:
        found = [one for one in await letters(own) if one["consumer"] == "catalog-objects"]
        assert found, "no letter yet"
        return found[0]

    letter = await eventually(given_up)
    assert (letter["reason"], letter["deliveries"]) == ("exhausted", "5")
    await drained(own)
    await drop_all(own)


def changed(**values: object) -> bytes:
    fact = StatusChanged.model_validate(
        {
            "tenant": "dev",
            "kind": "recording",
            "id": "rec_" + "0" * 32,
            "sequence": 1,
            "previous": None,
            "status": "queued",
            "actor": "nobody",
            "changed_at": "2026-01-01T00:00:00Z",
            **values,
        }
    )
    return fact.model_dump_json().encode()


def unreadable_changes() -> Sequence[Junk]:
    type_name = StatusChanged.type_of(Kind.RECORDING)
    return [
        *junk_of(type_name),
        (changed(reason="a\x00b"), envelope(type_name)),
        (changed(), envelope(type_name, **{"ce-id": "a%00b"})),
    ]


async def test_status_changes_nobody_can_read_do_not_stop_the_log(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    junk = unreadable_changes()
    async with Supervisor(own).watching() as supervisor:
        await throw_in(own, "sluice.v1.dev.recording.status_changed.x", junk)
        await check_works(own, uploader)
        found = await wait_for_letters(own, len(junk))
        assert {letter["reason"] for letter in found} == {"permanent"}
        assert {letter["consumer"] for letter in found} == {"notifier-log"}
        await drained(own)
        await check_log(own, http)
        assert not supervisor.restarts
    await drop_all(own)


async def test_an_operator_looks_at_a_letter_sends_it_again_and_drops_it(own: Stack) -> None:
    subject, body = "sluice.v1.dev.object.rejected.x", b'{"broken": true}'
    headers = envelope(ObjectRejected.type_name())
    await throw_in(own, subject, [(body, headers)])
    [first] = await wait_for_letters(own, 1)

    shown = await sluice(own, "dlq", "show", str(first["sequence"]), "--json")
    assert shown.code == 0, shown.errors
    [letter] = shown.lines()
    assert letter["body"] == {"broken": True}
    told = letter["headers"]
    assert isinstance(told, dict)
    assert told["ce-id"] == headers["ce-id"]
    assert "ValidationError" in str(told["sluice-dlq-error"])
    assert "input" not in str(told["sluice-dlq-error"]), "what was sent is not repeated"

    replayed = await sluice(own, "dlq", "replay", str(first["sequence"]))
    assert replayed.code == 0, replayed.errors

    async def again() -> Json:
        [second] = await letters(own)
        assert second["sequence"] != first["sequence"]
        return second

    second = await eventually(again)
    assert (second["subject"], second["reason"]) == (subject, "permanent")

    dropped = await sluice(own, "dlq", "drop", str(second["sequence"]), "--yes")
    assert dropped.code == 0, dropped.errors
    assert await letters(own) == []
    gone = await sluice(own, "dlq", "show", str(second["sequence"]))
    assert gone.code == 3


async def test_a_task_that_workers_gave_up_is_set_aside_and_can_be_sent_again(own: Stack) -> None:
    call_id = uuid.uuid4()
    task = TranscriptionTask(
        call_id=call_id, s3_bucket="b", s3_key="k", format="mp3", timestamp=datetime.now(UTC)
    )
    # As the outbox gives them to a task.
    told = {"tenant": "dev", "task_type": task.KIND, "priority": "normal"}
    async with bus(own, "operator") as connection:
        stream = connection.jetstream(timeout=10)
        body = task.model_dump_json().encode()
        await stream.publish(task.subject(), body, stream=TASKS.name, headers=dict(told))
    async with bus(own, "worker") as connection:
        stream = connection.jetstream(timeout=10)
        reader = await stream.pull_subscribe_bind(
            WORKER_TRANSCRIPTIONS.name, TASKS.name, inbox_prefix=b"_INBOX_worker."
        )
        for _ in range(WORKER_TRANSCRIPTIONS.max_deliver):
            (given,) = await reader.fetch(1, timeout=10)
            await given.nak()
        with pytest.raises(TimeoutError):
            await reader.fetch(1, timeout=1)

        async def aside() -> Json:
            found = [
                one for one in await letters(own) if one["consumer"] == WORKER_TRANSCRIPTIONS.name
            ]
            assert found, "no letter yet"
            return found[0]

        letter = await eventually(aside)
        assert letter["reason"] == "max-deliveries"
        replayed = await sluice(own, "dlq", "replay", str(letter["sequence"]), "--json")
        assert replayed.code == 0, replayed.errors
        (again,) = await reader.fetch(1, timeout=10)
        assert TranscriptionTask.model_validate_json(again.data) == task
        assert (again.headers or {}).items() >= told.items()
        await again.ack_sync()
        await reader.unsubscribe()
