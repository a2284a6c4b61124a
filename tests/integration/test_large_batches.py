"""A batch that no message between services could hold is shown whole all the same."""

import httpx
import pytest
import pytest_asyncio
from pydantic_core import from_json

from sluice_contracts.questions import GetBatch, ShowBatches
from sluice_devkit.stack import Stack
from tests.integration.many_recordings import filling
from tests.support import PATIENCE, Json, bus, count, rows

MANY = 70_000
LARGE, SMALL = "rb_large000", "rb_small000"


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def filled(own: Stack) -> None:
    await rows(own, filling(LARGE, MANY))
    await rows(own, filling(SMALL, 3, at="2026-11-19T12:00:00Z"))


def check_all(recordings: list[Json]) -> None:
    """Each is there once, in the order they were registered."""
    ids = [one["recording_id"] for one in recordings]
    assert ids == [f"rec_large000{n:08}" for n in range(1, MANY + 1)]


async def test_a_batch_is_shown_whole(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/batches/{LARGE}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    check_all(found.pop("items"))
    assert found == {
        "batch_id": LARGE,
        "status": "completed",
        "created_at": "2026-11-20T12:00:00Z",
    }


async def test_a_list_goes_on_behind_it(http: httpx.AsyncClient) -> None:
    answer = await http.get("/batches")
    assert answer.status_code == 200, answer.text
    (first,) = answer.json()["items"]
    check_all(first["items"])
    following = answer.links["next"]["url"]
    rest = (await http.get(following)).json()
    assert [(one["batch_id"], len(one["items"])) for one in rest["items"]] == [(SMALL, 3)]
    assert rest["next_cursor"] is None


async def test_the_web_page_is_told_all_of_each_recording(http: httpx.AsyncClient) -> None:
    answer = await http.get("/jsonui")
    assert answer.status_code == 200, answer.text
    (first,) = answer.json()
    check_all(first["recordings"])
    assert [one["metadata"] for one in first["recordings"]] == [
        {"n": n} for n in range(1, MANY + 1)
    ]
    rest = (await http.get(answer.links["next"]["url"])).json()
    assert [(one["batch_id"], len(one["recordings"])) for one in rest] == [(SMALL, 3)]


@pytest.mark.parametrize(
    "question",
    [GetBatch(tenant="dev", batch_id=LARGE), ShowBatches(tenant="dev", limit=1)],
    ids=["state", "view"],
)
async def test_a_gateway_that_knows_no_parts_is_refused_at_once(
    own: Stack, question: GetBatch | ShowBatches
) -> None:
    """It would take a part for the whole."""
    async with bus(own, "gateway") as connection:
        reply = await connection.request(
            question.subject(), question.model_dump_json().encode(), timeout=30
        )
    error = from_json(reply.data)["error"]
    assert (error["failure"], error["code"]) == ("rejected", "answer-too-large")


async def test_an_answer_that_cannot_go_on_is_not_taken_for_the_whole(
    own: Stack, http: httpx.AsyncClient
) -> None:
    async with http.stream("GET", "/jsonui") as answer:
        assert answer.status_code == 200
        parts = answer.aiter_raw()
        await anext(parts)
        await own.stop("catalog")
        try:
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in parts:
                    pass
        finally:
            await own.start("catalog")
            await own.wait_ready("catalog", PATIENCE)


async def test_it_is_deleted_whole(own: Stack, http: httpx.AsyncClient) -> None:
    """Comes last: the others look at it."""
    answer = await http.delete(f"/batches/{LARGE}")
    assert answer.status_code == 204, answer.text
    assert (await http.get(f"/batches/{LARGE}")).status_code == 404
    assert await count(own, "recordings") == 3
