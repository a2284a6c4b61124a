"""What the end-to-end tests share: callers of the public API, and eyes on what is left behind."""

import asyncio
import hashlib
import random
import re
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Set
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
from minio import Minio
from minio.error import InvalidResponseError, S3Error

from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack
from sluice_storage.domain import REGISTRATIONS, key_beside

from .described import describe

T = TypeVar("T")

ALL_SCOPES = (
    *(f"{d}:{r}" for d in ("recordings", "calls", "renders", "uploads") for r in ("read", "write")),
    "chunks:read",
    "events:read",
)
PATIENCE_SECONDS = 90.0
MIB = 1024**2
WAV = "audio/wav"

_POLL_SECONDS = 0.05
_TABLES = ("batches", "uploads", "objects", "recordings", "idempotency")
_PREFIXES = ("tenants", "incoming/tenants", "registrations/tenants", "descriptions/tenants")
# Nothing of this may be in an answer: how an error betrays its program and where that lives.
_INDISCRETIONS = (
    *("Traceback", 'File "', ".py", "site-packages", "sqlalchemy", "asyncpg", "pydantic"),
    *(str(Path(__file__).parents[2]), tempfile.gettempdir(), sys.prefix),
)

keys: set[str] = set()
"""Every API key that was made for a test in this session."""

upload_tokens: set[str] = set()
"""Every token that was handed out to a test in this session."""


async def eventually(
    look: Callable[[], Awaitable[T]],
    holds: Callable[[T], bool],
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """What `look` finds, as soon as it `holds`; fails when that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds(found := await look()):
        assert time.monotonic() < deadline, f"after {seconds} s still: {found}"
        await asyncio.sleep(_POLL_SECONDS)
    return found


async def events_of(caller: "Account", id_: str) -> list[Any]:
    """What the event log holds of one thing; nothing while a busy machine is too slow to tell."""
    answer = await caller.http.get("/api/v1/events", params={"ids": id_})
    if answer.status_code == 503:
        return []
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["items"]
    return found


async def statuses_of(caller: "Account", id_: str) -> list[str]:
    """The statuses it went through, as the log has them."""
    return [one["data"]["status"] for one in await events_of(caller, id_)]


def added(before: Set[str], after: Set[str]) -> set[str]:
    """Keys that came since. What is noted beside an object that was there before does not count: it
    is written behind the answer, and the later, the busier the machine is."""
    return {
        key
        for key in after - before
        if not (key.startswith(REGISTRATIONS) and key_beside(key) in before)
    }


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that no store can have by accident."""
    return random.Random(seed).randbytes(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def pieces(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    """`data` cut up; as the body of a request it is sent chunked, without a length."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def catalog(stack: Stack, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows a statement gives in the database of the catalog."""
    connection = await psycopg.AsyncConnection.connect(
        stack.database_url("catalog"), autocommit=True
    )
    async with connection:
        cursor = await connection.execute(query, values)
        return await cursor.fetchall() if cursor.description else []


async def make_key(
    stack: Stack,
    tenant: str,
    scopes: Iterable[str] = ALL_SCOPES,
    *,
    lifetime: str = "1 hour",
    revoked: bool = False,
) -> str:
    """A new key of `tenant`, written straight into the catalog."""
    token = f"slc_{uuid.uuid4().hex}"
    keys.add(token)
    await catalog(
        stack,
        "insert into keys (token_sha256, name, tenant, scopes, created_at, expires_at, revoked_at)"
        " values (%s, 'test', %s, %s, now(), now() + %s::interval, case when %s then now() end)",
        *(sha256(token.encode()), tenant, list(scopes), lifetime, revoked),
    )
    return token


@dataclass(frozen=True)
class Footprint:
    """All that the catalog and the object store hold of one tenant."""

    rows: dict[str, int]
    objects: frozenset[str]
    sessions: frozenset[str]


class Account:
    """One tenant with a key of its own, so that no test sees what another one made."""

    def __init__(self, stack: Stack, tenant: str, key: str, http: httpx.AsyncClient) -> None:
        self.stack = stack
        self.tenant = tenant
        self.key = key
        self.http = http

    async def presign(
        self,
        *names: str,
        content_type: str = WAV,
        batch_id: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Ask for an upload of each name; the answer."""
        answer = await self.http.post(
            "/uploads/presign",
            json=presign_body(*names, content_type=content_type)
            | ({} if batch_id is None else {"batch_id": batch_id}),
            headers=headers,
        )
        assert answer.status_code == 200, answer.text
        presigned: dict[str, Any] = answer.json()
        upload_tokens.update(token_of(item) for item in presigned["items"])
        return presigned

    async def put(
        self, item: dict[str, Any], body: bytes | AsyncIterator[bytes], **headers: str
    ) -> httpx.Response:
        """Send bytes to a presigned URL, as anybody who has the URL can: without a key."""
        async with plain_client(timeout=PATIENCE_SECONDS) as stranger:
            return await stranger.put(
                item["upload_url"], content=body, headers=item["required_headers"] | headers
            )

    async def put_again(self, item: dict[str, Any], body: bytes) -> httpx.Response:
        """As `put`, repeated for as long as an earlier attempt still holds the upload."""
        return await eventually(
            lambda: self.put(item, body), lambda answer: answer.status_code != 409
        )

    async def register(
        self,
        presigned: dict[str, Any],
        *,
        key: str | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        **changes: object,
    ) -> httpx.Response:
        """Describe everything that was presigned."""
        body = registration(presigned, key=key, data=data) | changes
        return await self.http.post("/recordings", json=body, headers=headers)

    async def uploaded(self, *bodies: bytes, content_type: str = WAV) -> dict[str, Any]:
        """A presign answer, all of whose bytes have arrived."""
        names = [f"call{number}.wav" for number in range(1, len(bodies) + 1)]
        presigned = await self.presign(*names, content_type=content_type)
        for item, body in zip(presigned["items"], bodies, strict=True):
            answer = await self.put(item, body)
            assert (answer.status_code, answer.content) == (201, b""), answer.text
        return presigned

    async def recording(
        self, body: bytes, filename: str = "call.wav", content_type: str = WAV
    ) -> str:
        """The id of a recording that took the whole way and is completed."""
        presigned = await self.presign(filename, content_type=content_type)
        answer = await self.put(presigned["items"][0], body)
        assert answer.status_code == 201, answer.text
        answer = await self.register(presigned)
        assert answer.status_code == 202, answer.text
        await self.completed(presigned["batch_id"])
        return str(answer.json()["items"][0]["recording_id"])

    async def batch(self, batch_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/batches/{batch_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def completed(self, batch_id: str) -> dict[str, Any]:
        """A batch, once it is completed."""
        return await eventually(
            lambda: self.batch(batch_id), lambda found: found["status"] == "completed"
        )

    async def download(self, recording_id: str) -> bytes:
        answer = await self.http.get(f"/media/{recording_id}?proxy=1")
        assert answer.status_code == 200, answer.text
        return answer.content

    async def upload_status(self, item: dict[str, Any]) -> str:
        """The status of an upload in the catalog."""
        query = "select status from uploads where upload_id = %s"
        return str((await catalog(self.stack, query, upload_id_of(item)))[0][0])

    async def wait_until_claimed(self, item: dict[str, Any]) -> None:
        """Return when somebody is known to send the bytes of an upload."""
        await eventually(lambda: self.upload_status(item), lambda status: status == "uploading")

    async def footprint(self) -> Footprint:
        counts = ", ".join(f"(select count(*) from {table} where tenant = %s)" for table in _TABLES)
        found = await catalog(self.stack, f"select {counts}", *[self.tenant] * len(_TABLES))
        objects, sessions = await asyncio.to_thread(_stored, self.stack, self.tenant)
        return Footprint(dict(zip(_TABLES, found[0], strict=True)), objects, sessions)

    @asynccontextmanager
    async def nothing_left(self) -> AsyncIterator[None]:
        """What happens inside leaves rows, objects and multipart sessions as they were."""
        before = await self.footprint()
        yield

        def is_as_before(after: Footprint) -> bool:
            same = (after.rows, after.sessions) == (before.rows, before.sessions)
            gone = before.objects - after.objects
            return same and not gone and not added(before.objects, after.objects)

        await eventually(self.footprint, is_as_before)


@asynccontextmanager
async def account(stack: Stack, scopes: Iterable[str] = ALL_SCOPES) -> AsyncIterator[Account]:
    """A new tenant of a stack."""
    tenant = f"t{uuid.uuid4().hex[:12]}"
    key = await make_key(stack, tenant, scopes)
    async with plain_client(
        base_url=stack.url,
        headers={"X-API-Key": key},
        timeout=PATIENCE_SECONDS,
        event_hooks={"response": [(await describe(stack)).check]},
    ) as http:
        yield Account(stack, tenant, key, http)


def _stored(stack: Stack, tenant: str) -> tuple[frozenset[str], frozenset[str]]:
    """The objects of a tenant, what is kept beside them, and its open multipart uploads."""
    s3 = stack.s3
    store = Minio(
        urlsplit(s3.url).netloc, s3.access_key, s3.secret_key, secure=False, region="us-east-1"
    )
    objects = frozenset(
        str(one.object_name)
        for prefix in _PREFIXES
        for one in store.list_objects(s3.bucket, prefix=f"{prefix}/{tenant}/", recursive=True)
    )
    try:
        listing = store._execute("GET", s3.bucket, query_params={"uploads": ""}).data.decode()
    except (S3Error, InvalidResponseError) as error:
        # So says the embedded store when there is none at all.
        if "NoSuchUpload" not in str(error):
            raise
        listing = ""
    return objects, frozenset(re.findall(rf"<Key>(tenants/{tenant}/[^<]*)</Key>", listing))


def presign_body(*names: str, content_type: str = WAV) -> dict[str, Any]:
    return {"items": [{"filename": name, "contentType": content_type} for name in names]}


def registration(
    presigned: dict[str, Any], *, key: str | None = None, data: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The body of POST /recordings for everything that was presigned."""
    return {
        "batch_id": presigned["batch_id"],
        "idempotency_key": key or f"test-{uuid.uuid4().hex}",
        "items": [
            {"client_item_id": f"item-{number}", "blob_ref": item["blob_ref"], "data": data or {}}
            for number, item in enumerate(presigned["items"], start=1)
        ],
    }


def upload_id_of(item: dict[str, Any]) -> str:
    return urlsplit(item["upload_url"]).path.rpartition("/")[2]


def token_of(item: dict[str, Any]) -> str:
    return parse_qs(urlsplit(item["upload_url"]).query)["token"][0]


def target_of(item: dict[str, Any]) -> str:
    """Path and query of an upload URL."""
    parts = urlsplit(item["upload_url"])
    return f"{parts.path}?{parts.query}"


def problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """The problem document of a refusal: complete, of this status and code, and discreet."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found["type"].endswith(f"/{found['code']}")
    assert found["title"]
    assert isinstance(found["detail"], str)
    assert found["detail"]
    assert isinstance(found["retryable"], bool)
    assert code is None or found["code"] == code
    for indiscretion in _INDISCRETIONS:
        assert indiscretion not in answer.text
    if status in (429, 503):
        assert found["retryable"]
    if found["retryable"]:
        assert int(answer.headers["retry-after"]) >= 1
    return found


class Line:
    """One TCP connection on which a test says exactly what it wants to say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, data: bytes) -> None:
        """Send bytes; a server that has stopped listening is no failure."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def hear(self) -> httpx.Response:
        """The next answer, interim ones (1xx) included."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = httpx.Headers([tuple(line.split(": ", 1)) for line in lines])
            length = int(headers.get("content-length", "0"))
            body = await self._reader.readexactly(length)
        return httpx.Response(int(first.split()[1]), headers=headers, content=body)

    async def ended(self) -> bytes:
        """What still comes until the server closes the connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with suppress(ConnectionError):
                return await self._reader.read()
        return b""

    def hang_up(self) -> None:
        """Be gone, in the middle of whatever it was."""
        self._writer.transport.abort()


@asynccontextmanager
async def line(stack: Stack) -> AsyncIterator[Line]:
    parts = urlsplit(stack.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


def head(method: str, target: str, *lines: str) -> bytes:
    """The head of a request, with nothing but the lines given and a Host."""
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: sluice.test", *lines, "", "")).encode(
        "latin-1"
    )
