"""Forms that mean no good are refused for what they are, at once, and leave nothing."""

import functools
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice_devkit.stack import Stack

from .api import MIB, catalog, noise, pieces, problem
from .calls import mp3
from .doors import (
    BOUNDARY,
    CONTENT_TYPE,
    DOORS,
    Door,
    form_of,
    open_door,
    part,
    refused,
    unharmed,
)


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _unharmed(stack: Stack) -> AsyncIterator[None]:
    async with unharmed(stack):
        yield


@pytest_asyncio.fixture(loop_scope="session", params=DOORS)
async def door(request: pytest.FixtureRequest, stack: Stack) -> AsyncIterator[Door]:
    """Each door in turn."""
    async with open_door(stack, request.param) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def calls(stack: Stack) -> AsyncIterator[Door]:
    async with open_door(stack, "calls") as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def chunks(stack: Stack) -> AsyncIterator[Door]:
    async with open_door(stack, "chunks") as one:
        yield one


Change = tuple[str, float, int]
changes = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "double"]),
        st.floats(0, 1),
        st.one_of(st.integers(1, 4), st.integers(1, 400)),
    ),
    min_size=1,
    max_size=3,
)


@dataclass(frozen=True)
class Bad:
    """A form that no door takes."""

    code: str
    body: Callable[[Door], bytes]
    status: int = 400
    content_type: str = CONTENT_TYPE


def _with(*parts: bytes) -> Callable[[Door], bytes]:
    """A form that is right, and these parts before its file."""
    return lambda door: form_of(*door.field_parts(), *parts, door.file(mp3()))


def mutated(form: bytes, change: Change) -> bytes:
    kind, where, length = change
    start = int(where * len(form))
    piece = form[start : start + length]
    new = {"flip": bytes(one ^ 0x15 for one in piece), "cut": b"", "double": piece * 2}[kind]
    return form[:start] + new + form[start + length :]


LONGEST = "b" * 71
MOMENTS = [
    "0001-01-01T00:00:00+14:00",
    "0001-12-31T23:59:59Z",
    "9999-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999-14:00",
]
PLACES_IN_TIME = ["/api/v1/chunks", "/api/v1/chunks/gaps", "/api/v1/calls"]

FORMS = {
    "1 no boundary": Bad("form-malformed", Door.good, content_type="multipart/form-data"),
    "1 an empty boundary": Bad(
        "form-malformed", Door.good, content_type='multipart/form-data; boundary=""'
    ),
    "2 a boundary of 71 bytes": Bad(
        "form-malformed",
        lambda door: form_of(*door.field_parts(), door.file(mp3()), boundary=LONGEST),
        content_type=f"multipart/form-data; boundary={LONGEST}",
    ),
    "3 a boundary only inside data": Bad(
        "form-malformed", lambda door: noise(2000) + f"--{BOUNDARY} ".encode() + noise(2000)
    ),
    "3 a boundary that never comes": Bad(
        "form-malformed", Door.good, content_type="multipart/form-data; boundary=other"
    ),
    "4 no final boundary": Bad(
        "form-incomplete", lambda door: door.good().removesuffix(f"--{BOUNDARY}--\r\n".encode())
    ),
    "4 nothing at all": Bad("form-incomplete", lambda _: b""),
    "5 10,000 parts": Bad(
        "form-too-many-parts", _with(*(part(f"n{n}", b"") for n in range(10_000))), status=413
    ),
    "5 10,000 parts behind the file": Bad(
        "form-too-many-parts",
        lambda door: form_of(door.file(mp3()), *(part(f"n{n}", b"") for n in range(10_000))),
        status=413,
    ),
    "6 1 MiB of part header": Bad(
        "form-part-header-too-large", _with(part("n", b"", "X: " + "x" * MIB)), status=413
    ),
    "7 100,000 lines of part header": Bad(
        "form-part-header-too-large",
        _with(part("n", b"", *(f"X{n}: x" for n in range(100_000)))),
        status=413,
    ),
    "8 8 MiB of CR": Bad("form-malformed", lambda _: b"\r" * 8 * MIB),
    "8 8 MiB of CR behind the form": Bad(
        "form-malformed", lambda door: door.good() + b"\r" * 8 * MIB
    ),
    "8 8 MiB of CR as a field": Bad(
        "form-field-too-large", _with(part("n", b"\r" * 8 * MIB)), status=413
    ),
    "9 the file twice": Bad(
        "form-duplicate-field",
        lambda door: form_of(*door.field_parts(), door.file(mp3()), door.file(mp3(seed=2))),
    ),
    "9 a field twice": Bad(
        "form-duplicate-field",
        lambda door: form_of(*door.field_parts(), *door.field_parts(), door.file(mp3())),
    ),
    "9 another file": Bad("form-unexpected-file", _with(part("other", mp3(), filename="a.mp3"))),
    "11 a form within a field": Bad(
        "form-nested", _with(part("n", b"--y--", "Content-Type: multipart/mixed; boundary=y"))
    ),
    "11 a form within the file": Bad(
        "form-nested",
        lambda door: form_of(
            *door.field_parts(),
            door.file(door.good(), "Content-Type: multipart/form-data; boundary=y"),
        ),
    ),
    "12 base64": Bad(
        "form-encoding-unsupported",
        lambda door: form_of(
            *door.field_parts(), door.file(b"//uQZA==", "Content-Transfer-Encoding: base64")
        ),
    ),
    "no form": Bad("not-a-form", Door.good, status=415, content_type="application/octet-stream"),
    "another multipart": Bad(
        "not-a-form", Door.good, status=415, content_type=f"multipart/mixed; boundary={BOUNDARY}"
    ),
}


class TestForms:
    @pytest.mark.parametrize("bad", FORMS.values(), ids=FORMS)
    async def test_a_bad_form_is_refused_at_once_and_leaves_nothing(
        self, door: Door, bad: Bad
    ) -> None:
        body = bad.body(door)
        async with door.nothing_left():
            refused(await door.post(body, bad.content_type), bad.status, bad.code)
            refused(await door.post(pieces(body), bad.content_type), bad.status, bad.code)

    async def test_fields_may_stand_behind_the_file(self, door: Door) -> None:
        answer = await door.post(form_of(door.file(mp3()), *door.field_parts()))
        assert answer.status_code == door.success, answer.text

    @pytest.mark.parametrize("moment", MOMENTS)
    async def test_a_moment_that_another_zone_has_no_date_for_is_refused(
        self, chunks: Door, moment: str
    ) -> None:
        async with chunks.nothing_left():
            for name in ("start_ts", "end_ts"):
                answer = await chunks.post(chunks.good(**{name: moment}))
                refused(answer, 422, "invalid-request", name)
            for name, place in itertools.product(("from", "to"), PLACES_IN_TIME):
                params = {name: moment, "device_id": chunks.fields["device_id"]}
                answer = await chunks.caller.http.get(place, params=params)
                refused(answer, 422, "invalid-request", name)

    async def test_a_file_of_near_boundaries_is_a_file(self, chunks: Door) -> None:
        for pattern in (b"\r", b"\r\n", f"\r\n--{BOUNDARY[:-1]}".encode()):
            answer = await chunks.send(pattern * (8 * MIB // len(pattern)))
            assert answer.status_code == 200, answer.text


@pytest_asyncio.fixture(loop_scope="session")
async def taken(chunks: Door) -> AsyncIterator[set[str]]:
    """The chunks that a test was told are taken; there must be these and no others."""
    ids = set[str]()
    yield ids
    query = "select chunk_id::text from chunks where tenant = %s"
    rows = await catalog(chunks.stack, query, chunks.caller.tenant)
    assert {chunk_id for (chunk_id,) in rows} == ids


class TestAccidents:
    """A form that is right, but for a few slices that were lost, repeated or altered."""

    @settings(
        max_examples=60,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(changes)
    async def test_whatever_happens_to_a_form_it_is_taken_or_refused_in_order(
        self, chunks: Door, taken: set[str], done: list[Change]
    ) -> None:
        body = functools.reduce(mutated, done, chunks.good(noise(200)))
        answer = await chunks.post(body)
        assert answer.status_code in {200, 400, 403, 408, 413, 415, 422}, answer.text
        if answer.is_success:
            taken.add(chunks.id_in(answer))
        else:
            problem(answer, answer.status_code)
