"""What is deleted stays so, whatever is said of it afterwards."""

import uuid
from datetime import timedelta

import httpx

from sluice_contracts.facts import UploadReceived
from sluice_devkit.stack import Stack
from tests.checks import check_bytes, check_store, completed, dead_letters, drained
from tests.stream import keep, read_facts, read_state, repeat, said_by, say
from tests.uploading import Client


async def test_facts_about_a_deleted_batch_bring_nothing_of_it_back(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    gone, left = await keep(uploader, 2)
    await completed(own, [gone, left])
    answer = await http.delete(f"/batches/{gone.batch_id}")
    assert answer.status_code == 204
    await drained(own)
    await check_store(own)
    before = await read_state(own)
    facts = await read_facts(own)
    received = [fact for fact in facts if ".upload.received." in (fact.subject or "")]
    await repeat(own, [fact for fact in facts if fact not in received])
    # As another attempt of the same upload would say it, and late.
    attempts = [UploadReceived.model_validate_json(fact.data or b"") for fact in received]
    for attempt in attempts:
        earlier = attempt.received_at - timedelta(minutes=1)
        late = attempt.model_copy(update={"received_at": earlier, "reply_to": None})
        await say(own, said_by(late, str(uuid.uuid4()), "gateway"))
    await drained(own)
    assert await read_state(own) == before
    await check_store(own)
    await check_bytes(own, http, [left])
    assert await dead_letters(own) == 0
