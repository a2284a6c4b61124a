"""The door for direct uploads as a client sees it, and the store behind its signed URLs."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from sluice_cli.backoff import PATIENCE_SECONDS, Patience
from sluice_cli.failures import NetworkError, RefusedError
from sluice_cli.transport import BROKEN, Attempt, Notice, broken, send
from sluice_contracts.api import (
    API_KEY_HEADER,
    CompleteRequest,
    PartsAnswer,
    PartsRequest,
    UploadCreated,
    UploadRequest,
    UploadState,
)

M = TypeVar("M", bound=BaseModel)

_PATH = "/api/v1/uploads"
# Completing waits for the server to read everything back, for a while.
_TIMEOUT = httpx.Timeout(connect=10.0, read=90.0, write=60.0, pool=None)
_LOOK_SECONDS = 1.0
_SLICE = 256 * 1024
_OPEN = ("created", "uploading")


class Door:
    """Calls one server and repeats what may be repeated, for `patience` seconds each."""

    def __init__(
        self, base_url: str, api_key: str, notice: Notice, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = {API_KEY_HEADER: api_key}
        self._notice = notice
        self._patience = patience
        self._http = httpx.AsyncClient(timeout=_TIMEOUT)

    async def __aenter__(self) -> "Door":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def create(self, request: UploadRequest, idempotency_key: str) -> UploadCreated:
        """A new upload; with the key of an earlier request that one's, wherever it is by now."""
        headers = {"Idempotency-Key": idempotency_key}
        return _parsed(UploadCreated, await self._post("", request, headers))

    async def sign(self, upload_id: str, numbers: tuple[int, ...] = ()) -> PartsAnswer:
        """Fresh URLs."""
        request = PartsRequest(numbers=numbers)
        return _parsed(PartsAnswer, await self._post(f"/{upload_id}/parts", request))

    async def state(self, upload_id: str) -> UploadState | None:
        """How far an upload is; None when the server knows no such upload."""
        url = f"{self._base_url}{_PATH}/{upload_id}"
        try:
            response = await self._send(lambda: self._http.get(url, headers=self._key))
        except RefusedError as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise
        return _parsed(UploadState, response)

    async def complete(self, upload_id: str, sha256: str | None) -> UploadState:
        """The registered upload, however long it takes to read it back.

        Without a digest this only waits for what was asked for before.

        Raises:
            RefusedError: parts are missing, or the upload has ended.
            IntegrityError: the server found other bytes than ours.
        """
        path = f"/{upload_id}/complete"
        request = CompleteRequest(sha256=sha256)
        while True:
            response = await self._post(path, request)
            found: UploadState | None = _parsed(UploadState, response)
            if response.status_code == httpx.codes.OK and found is not None:
                return found
            while found is not None and found.completing and found.status in _OPEN:
                await asyncio.sleep(_LOOK_SECONDS)
                found = await self.state(upload_id)
            # Asked again, the server says what became of it.

    async def cancel(self, upload_id: str) -> None:
        """End an upload, and have what was sent removed."""
        url = f"{self._base_url}{_PATH}/{upload_id}"
        await self._send(lambda: self._http.delete(url, headers=self._key))

    async def put(
        self, url: str, body: bytes | AsyncIterator[bytes], headers: dict[str, str]
    ) -> None:
        """Send bytes to the store, once. The URL is all the permission there is.

        Raises:
            NetworkError: they did not arrive; a fresh URL may help.
        """
        if isinstance(body, bytes):
            headers = {**headers, "Content-Length": str(len(body))}
            body = _slices(body)
        try:
            response = await self._http.put(url, content=body, headers=headers)
        except BROKEN as error:
            raise broken(error) from error
        if not response.is_success:
            raise NetworkError(f"the object store answered {response.status_code}")

    def repeats(self) -> Patience:
        """How long something of its own kind is repeated."""
        return Patience(self._patience)

    def notice(self, text: str) -> None:
        self._notice(text)

    async def _post(
        self, path: str, body: BaseModel, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        content = body.model_dump_json(exclude_none=True).encode()
        sent = {**self._key, **(headers or {}), "Content-Type": "application/json"}
        url = self._base_url + _PATH + path
        return await self._send(lambda: self._http.post(url, content=content, headers=sent))

    async def _send(self, attempt: Attempt) -> httpx.Response:
        return await send(attempt, self.repeats(), self._notice)


async def _slices(data: bytes) -> AsyncIterator[bytes]:
    """A little at a time: given a whole part, the HTTP client copies all of it several times."""
    for start in range(0, len(data), _SLICE):
        yield data[start : start + _SLICE]


def _parsed(model: type[M], response: httpx.Response) -> M:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        where = response.request.url.path
        raise NetworkError(f"what answers {where} is not Sluice, or a newer one") from error
