"""The doors that take forms, as somebody sees them who means no good: bytes in, an answer out."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from sluice_devkit.environments import SERVICES
from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack
from tests.support import object_store

from .api import Account, account, added, catalog, eventually, head, problem
from .calls import FIELDS, UPLOAD, mp3
from .recorders import administrator, device_body, recorder

DOORS = ("chunks", "calls", "renders")
BOUNDARY = "x4-Bq7"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
# One second is promised on a machine that does nothing else; sooner than any patience of ours ends.
PROMPT_SECONDS = 20.0

_TABLES = """select relname from pg_class join pg_attribute on attrelid = pg_class.oid
    where attname = 'tenant' and relkind in ('r', 'p') and not relispartition
    and relnamespace = 'public'::regnamespace"""


def part(name: str, value: bytes, *lines: str, filename: str | None = None) -> bytes:
    """One part of a form; `lines` are added to its header."""
    file = "" if filename is None else f'; filename="{filename}"'
    disposition = f'Content-Disposition: form-data; name="{name}"{file}'
    return "\r\n".join((disposition, *lines, "", "")).encode() + value


def form_of(*parts: bytes, boundary: str = BOUNDARY) -> bytes:
    delimiter = f"--{boundary}".encode()
    return b"".join(delimiter + b"\r\n" + one + b"\r\n" for one in parts) + delimiter + b"--\r\n"


def length(body: bytes | int) -> str:
    return f"Content-Length: {body if isinstance(body, int) else len(body)}"


@dataclass(frozen=True)
class Door:
    """One door, and somebody who may use it."""

    name: str
    path: str
    caller: Account
    http: httpx.AsyncClient
    credential: str
    """The line of the header that tells who is calling."""
    fields: Mapping[str, str]
    file_field: str
    filename: str
    success: int

    @property
    def stack(self) -> Stack:
        return self.caller.stack

    @property
    def kind(self) -> str:
        """What comes through this door, one of it."""
        return self.name.removesuffix("s")

    def places_of(self, item_id: str) -> list[str]:
        """Where something that came through this door is shown and played."""
        place = f"/api/v1/{self.name}/{item_id}"
        shown = [] if self.name == "renders" else [place]
        return [*shown, f"{place}/audio", f"{place}/audio?proxy=1"]

    def file(self, data: bytes, *lines: str, filename: str | None = None) -> bytes:
        """The part of a form that holds the file."""
        return part(self.file_field, data, *lines, filename=filename or self.filename)

    def field_parts(self, **changes: str) -> list[bytes]:
        told = {**self.fields, **changes}
        return [part(name, value.encode()) for name, value in told.items()]

    def good(self, data: bytes | None = None, **changes: str) -> bytes:
        """A form that is taken."""
        return form_of(*self.field_parts(**changes), self.file(mp3() if data is None else data))

    async def post(
        self,
        body: bytes | AsyncIterator[bytes],
        content_type: str = CONTENT_TYPE,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a body, and do not wait long for the answer."""
        began = time.monotonic()
        told = {"Content-Type": content_type, **(headers or {})}
        answer = await self.http.post(self.path, content=body, headers=told, params=params)
        assert time.monotonic() - began < PROMPT_SECONDS, f"{answer.status_code} came late"
        return answer

    async def send(self, data: bytes, filename: str | None = None) -> httpx.Response:
        """Send a form that is right, but for its file."""
        return await self.post(form_of(*self.field_parts(), self.file(data, filename=filename)))

    async def uploaded(self, data: bytes) -> str:
        """The id of a file that was taken."""
        answer = await self.send(data)
        assert answer.status_code == self.success, answer.text
        return self.id_in(answer)

    def id_in(self, answer: httpx.Response) -> str:
        told = answer.json()
        return str(uuid.UUID(told.get("id") or told[f"{self.kind}_id"]))

    def head(self, *lines: str, credential: str | None = None) -> bytes:
        """The head of a request with a form; `lines` tell how long it is."""
        told = f"Content-Type: {CONTENT_TYPE}"
        return head("POST", self.path, credential or self.credential, told, *lines)

    async def kept(self) -> tuple[dict[str, int], frozenset[str], frozenset[str]]:
        """Rows of this tenant by table; all objects and open multipart uploads there are."""
        rows = {}
        for (table,) in await catalog(self.stack, _TABLES):
            query = f'select count(*) from "{table}" where tenant = %s'
            rows[table] = int((await catalog(self.stack, query, self.caller.tenant))[0][0])
        store = object_store(self.stack)
        try:
            objects = frozenset(one.key for one in await store.page("", "", 1_000_000))
            sessions = frozenset(one.key for one in await store.open_sessions())
        finally:
            await store.close()
        return rows, objects, sessions

    @asynccontextmanager
    async def nothing_left(self) -> AsyncIterator[None]:
        """What happens inside adds no row, no object and no open multipart upload."""
        rows, objects, sessions = await self.kept()
        assert {"calls", "chunks", "devices", "objects", "uploads"} <= rows.keys()
        yield

        async def more() -> list[Any]:
            after = await self.kept()
            tables = [table for table, count in after[0].items() if count != rows[table]]
            return [*tables, *added(objects, after[1]), *(after[2] - sessions)]

        await eventually(more, lambda found: found == [])


async def leave(stack: Stack, data: bytes) -> None:
    """Send bytes, all of them, and be gone before there is an answer."""
    parts = urlsplit(stack.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    with suppress(ConnectionError):
        writer.write(data)
        writer.close()
        await writer.wait_closed()


def refused(answer: httpx.Response, status: int, code: str, *words: str) -> dict[str, Any]:
    """A refusal whose sentence has these words."""
    found = problem(answer, status, code)
    for word in words:
        assert word in found["detail"]
    return found


@asynccontextmanager
async def open_door(stack: Stack, name: str) -> AsyncIterator[Door]:
    """A door of `DOORS`, for a tenant of its own."""
    async with account(stack) as caller:
        if name == "chunks":
            async with _chunks(caller) as door:
                yield door
        elif name == "calls":
            yield _with_key(caller, name, UPLOAD, FIELDS, 201)
        else:
            yield _with_key(caller, name, "/api/v1/upload/audio", {"bitrate": "192"}, 200)


def _with_key(
    caller: Account, name: str, path: str, fields: Mapping[str, str], success: int
) -> Door:
    """A door for whoever has a key."""
    return Door(
        name=name,
        path=path,
        caller=caller,
        http=caller.http,
        credential=f"X-API-Key: {caller.key}",
        fields=fields,
        file_field="file",
        filename="sound.mp3",
        success=success,
    )


@asynccontextmanager
async def _chunks(caller: Account) -> AsyncIterator[Door]:
    body = device_body()
    async with administrator(caller) as admin:
        added = await admin.post("/api/v1/admin/devices", json=body)
        assert added.status_code == 201, added.text
    async with recorder(caller.stack, body) as one:
        yield Door(
            name="chunks",
            path="/api/v1/chunks",
            caller=caller,
            http=one.http,
            credential=f"Authorization: Bearer {one.token}",
            fields=one.fields(),
            file_field="chunk_file",
            filename="chunk.ogg",
            success=200,
        )


@asynccontextmanager
async def unharmed(stack: Stack, members: Iterable[str] = SERVICES) -> AsyncIterator[None]:
    """What happens inside ends no process, leaves all of them ready, and surprises nobody."""
    before = stack.pids
    logs = [stack.data / "logs" / f"{name}.log" for name in members]
    sizes = [log.stat().st_size for log in logs]
    yield
    assert stack.pids == before
    async with plain_client() as http:
        assert (await http.get(f"{stack.url}/healthz")).json() == {"ok": True}
        assert (await http.get(f"{stack.url}/readyz")).status_code == 200
    for log, size in zip(logs, sizes, strict=True):
        with log.open("rb") as file:
            file.seek(size)
            text = file.read().decode(errors="replace")
        for surprise in ('"event": "bug"', "question failed", "Exception in ASGI"):
            assert surprise not in text, f"{log.name}: {text[text.index(surprise) :][:2000]}"
