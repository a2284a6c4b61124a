"""The public API of Sluice as an asynchronous client."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from sluice_cli.backoff import PATIENCE_SECONDS, Patience
from sluice_cli.failures import IntegrityError, NetworkError, RefusedError
from sluice_cli.printing import as_text
from sluice_cli.transport import Attempt, Notice, send
from sluice_contracts.api import (
    API_KEY_HEADER,
    BatchAnswer,
    EventList,
    PresignAnswer,
    PresignedItem,
    PresignRequest,
    RecordingsAnswer,
    RecordingsRequest,
)

M = TypeVar("M", bound=BaseModel)
Progress = Callable[[int], None]
Query = list[tuple[str, str | int | float | bool | None]]
Uploaded = Literal["uploaded", "accepted"]

EVENTS_PATH: Final = "/api/v1/events"
_PIECE = 256 * 1024
_TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=None)
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout)


class Client:
    """Calls Sluice and repeats what may be repeated.

    `base_url` and `api_key` may be empty for `put`, whose address carries its own permission;
    the key is never sent there. `patience` is how many seconds a failing request is repeated.
    """

    def __init__(
        self, base_url: str, api_key: str, notice: Notice, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = {API_KEY_HEADER: api_key} if api_key else {}
        self._notice = notice
        self._patience = patience
        self._http = httpx.AsyncClient(timeout=_TIMEOUT)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def presign(self, request: PresignRequest) -> tuple[PresignAnswer, bytes]:
        """Where to send files: the answer, and its bytes exactly as the server sent them."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        response = await self._post("/uploads/presign", request, headers)
        return _parsed(PresignAnswer, response), response.content

    async def put(self, item: PresignedItem, source: Path, progress: Progress) -> Uploaded:
        """Send a file to its presigned address.

        `accepted` means the bytes are safe and their registration follows; so does `uploaded`
        when an attempt of ours broke but turns out to have arrived.

        Raises:
            IntegrityError: the file changed while it was sent.
        """
        before = await asyncio.to_thread(_fingerprint, source)
        size = before[0]
        headers = {**item.required_headers, "Content-Length": str(size)}
        may_have_arrived = False

        async def attempt() -> httpx.Response:
            nonlocal may_have_arrived
            body = _pieces(source, size, progress)
            try:
                response = await self._http.put(item.upload_url, content=body, headers=headers)
            except httpx.RequestError as error:
                may_have_arrived = may_have_arrived or not isinstance(error, _NOT_CONNECTED)
                raise
            may_have_arrived = may_have_arrived or response.is_server_error
            return response

        outcome: Uploaded = "uploaded"
        try:
            response = await self._send(attempt)
        except RefusedError as refusal:
            # The token works once: when it is used up after a broken attempt, that one arrived.
            if not (may_have_arrived and refusal.code == "upload-token-used"):
                raise
        else:
            outcome = "accepted" if response.status_code == httpx.codes.ACCEPTED else "uploaded"
        if await asyncio.to_thread(_fingerprint, source) != before:
            raise IntegrityError(f"{as_text(source)} changed while it was sent")
        return outcome

    async def register(self, request: RecordingsRequest) -> RecordingsAnswer:
        """Turn uploaded blobs into recordings; the key in the body makes repeating harmless."""
        return _parsed(RecordingsAnswer, await self._post("/recordings", request, {}))

    async def batch(self, batch_id: str) -> BatchAnswer:
        path = f"/batches/{quote(batch_id, safe='')}"
        return _parsed(BatchAnswer, await self._get(path, []))

    async def list_events(
        self, *, after: int, limit: int, types: Sequence[str] = (), ids: Sequence[str] = ()
    ) -> EventList:
        """A stretch of the event log."""
        query: Query = [("after", after), ("limit", limit), *_event_filter(types, ids)]
        return _parsed(EventList, await self._get(EVENTS_PATH, query))

    def open_events(
        self, *, after: int, types: Sequence[str], ids: Sequence[str], silence: float
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """One connection to the live log after `after`, given up when `silence` seconds pass."""
        headers = {
            **self._key,
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Last-Event-ID": str(after),
        }
        return self._http.stream(
            "GET",
            self._base_url + EVENTS_PATH,
            params=_event_filter(types, ids),
            headers=headers,
            timeout=httpx.Timeout(10.0, read=silence),
        )

    async def _post(self, path: str, body: BaseModel, headers: dict[str, str]) -> httpx.Response:
        content = body.model_dump_json().encode()
        headers = {**self._key, **headers, "Content-Type": "application/json"}
        url = self._base_url + path
        return await self._send(lambda: self._http.post(url, content=content, headers=headers))

    async def _get(self, path: str, query: Query) -> httpx.Response:
        headers = {**self._key, "Accept": "application/json"}
        url = self._base_url + path
        return await self._send(lambda: self._http.get(url, params=query, headers=headers))

    async def _send(self, attempt: Attempt) -> httpx.Response:
        return await send(attempt, Patience(self._patience), self._notice)


def _parsed(model: type[M], response: httpx.Response) -> M:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        where = response.request.url.path
        raise NetworkError(f"what answers {where} is not Sluice, or a newer one") from error


def _event_filter(types: Sequence[str], ids: Sequence[str]) -> Query:
    return [*(("types", name) for name in types), *(("ids", name) for name in ids)]


def _fingerprint(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change; the two tell whether a file moved under us."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


async def _pieces(source: Path, size: int, progress: Progress) -> AsyncIterator[bytes]:
    """The first `size` bytes of a file, read off the event loop."""
    progress(0)
    sent = 0
    file = await asyncio.to_thread(source.open, "rb")
    with file:
        while sent < size:
            piece = await asyncio.to_thread(file.read, min(_PIECE, size - sent))
            if not piece:
                raise IntegrityError(f"{as_text(source)} became shorter while it was sent")
            sent += len(piece)
            progress(sent)
            yield piece
