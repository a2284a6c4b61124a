"""The object store: the synchronous MinIO SDK on threads, and signed URLs where it matters.

Small reads and writes lie on the road of every upload and go asynchronously; everything else, and
each signature, is the SDK's.

Nothing here depends on a behaviour that only one store has.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import REPLACE, CopySource
from minio.datatypes import Part as MinioPart
from minio.error import InvalidResponseError, S3Error, ServerError

from sluice_runtime.errors import Unavailable
from sluice_runtime.multipart import EPOCH, OpenSession, SentPart, read_parts, read_sessions
from sluice_runtime.signed_http import SignedHttp

R = TypeVar("R")

_THREADS = 16
_CONNECTIONS = 32
_SIGNED_FOR = timedelta(minutes=1)
_READ_SIZE = 1024 * 1024
_PROBE_KEY = "health/probe"
_GONE = frozenset({"NoSuchKey", "NoSuchUpload", "NoSuchBucket", "ResourceNotFound", "NotFound"})
# A session that lacks what was sent to it can never be finished, however often it is tried.
_BROKEN = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})


@dataclass(frozen=True)
class Stat:
    """What the store says of an object; `head` holds its first bytes."""

    size_bytes: int
    etag: str
    modified_at: datetime
    head: bytes = b""


@dataclass(frozen=True)
class Listed:
    """An object in a listing."""

    key: str
    size_bytes: int
    modified_at: datetime


class _Pool(urllib3.PoolManager):
    """Lets the SDK read the errors of every store.

    It takes an error for XML only when its type is `application/xml`; some stores say `text/xml`.
    Without its code, "no such key" would look like a store that is away.
    """

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        response = super().urlopen(*args, **kwargs)
        if response.headers.get("Content-Type", "").startswith("text/xml"):
            response.headers["Content-Type"] = "application/xml"
        return response


class ObjectStore:
    """One bucket of one S3 store.

    Every method raises `Unavailable` when the store is away or answers with an error of its own.
    """

    def __init__(
        self, url: str, *, access_key: str, secret_key: str, bucket: str, region: str
    ) -> None:
        parts = urlsplit(url)
        self.bucket = bucket
        self._http = SignedHttp(_CONNECTIONS)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="objects")
        self._client = Minio(
            endpoint=parts.netloc,
            access_key=access_key,
            secret_key=secret_key,
            region=region,
            secure=parts.scheme == "https",
            http_client=_Pool(
                maxsize=_THREADS,
                timeout=urllib3.Timeout(connect=2, read=30),
                retries=urllib3.Retry(total=1, backoff_factor=0.1, status_forcelist=[502, 503]),
            ),
        )

    async def close(self) -> None:
        await self._http.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(self, work: Callable[[], R]) -> R:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except S3Error as error:
            raise Unavailable(
                f"The object store answered {error.code}.", code="store-unavailable"
            ) from error
        except (ServerError, InvalidResponseError, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable("The object store is away.", code="store-unavailable") from error

    async def ensure_bucket(self) -> bool:
        """Create the bucket if it is missing; says whether it did."""

        def work() -> bool:
            if self._client.bucket_exists(bucket_name=self.bucket):
                return False
            self._client.make_bucket(bucket_name=self.bucket)
            return True

        return await self._call(work)

    async def is_reachable(self) -> bool:
        """Whether the bucket is there right now."""
        try:
            return await self._call(lambda: self._client.bucket_exists(bucket_name=self.bucket))
        except Unavailable:
            return False

    async def is_writable(self) -> bool:
        """Whether an object can be written and removed right now."""
        try:
            await self.write(_PROBE_KEY, b"", "application/octet-stream")
            await self.delete(_PROBE_KEY)
        except Unavailable:
            return False
        return True

    def sign(
        self, method: str, key: str, lifetime: timedelta, query: dict[str, str] | None = None
    ) -> str:
        """A URL that allows `method` on `key` for `lifetime`. Local arithmetic, no request."""
        url: str = self._client.get_presigned_url(
            method=method,
            bucket_name=self.bucket,
            object_name=key,
            expires=lifetime,
            extra_query_params=_query(query),
        )
        return url

    async def start_session(self, key: str, content_type: str) -> str:
        """The id of a new multipart upload."""
        headers: Any = {"Content-Type": content_type}
        return await self._call(
            lambda: self._client._create_multipart_upload(self.bucket, key, headers)
        )

    async def finish_session(
        self, key: str, session_id: str, parts: Sequence[tuple[int, str]]
    ) -> bool:
        """Make the parts one object; False when the session, or a part of it, is not there."""
        listed = [MinioPart(part_number=number, etag=etag) for number, etag in parts]

        def work() -> bool:
            try:
                self._client._complete_multipart_upload(self.bucket, key, session_id, listed)
            except S3Error as error:
                if error.code in _GONE | _BROKEN:
                    return False
                raise
            return True

        return await self._call(work)

    async def end_session(self, key: str, session_id: str) -> None:
        """Drop a multipart upload and its parts; harmless when it is gone."""

        def work() -> None:
            try:
                self._client._abort_multipart_upload(self.bucket, key, session_id)
            except S3Error as error:
                if error.code not in _GONE:
                    raise

        await self._call(work)

    async def open_sessions(self) -> list[OpenSession]:
        """Multipart uploads in progress."""

        def page(key: str, session_id: str) -> bytes:
            query = {"uploads": "", "max-uploads": "1000"}
            if key:
                query |= {"key-marker": key, "upload-id-marker": session_id}
            listing: bytes = self._client._execute(
                "GET", self.bucket, query_params=_query(query)
            ).data
            return listing

        def work() -> list[OpenSession]:
            try:
                return read_sessions(page)
            except S3Error as error:
                # How some stores say that there never was one.
                if error.code == "NoSuchUpload":
                    return []
                raise

        return await self._call(work)

    async def session_parts(self, key: str, session_id: str) -> list[SentPart] | None:
        """What a multipart upload holds so far, by number; None when it is not there."""

        def page(marker: str) -> bytes:
            query = {"uploadId": session_id, "part-number-marker": marker}
            listing: bytes = self._client._execute(
                "GET", self.bucket, key, query_params=_query(query)
            ).data
            return listing

        def work() -> list[SentPart] | None:
            try:
                return read_parts(page)
            except S3Error as error:
                if error.code in _GONE:
                    return None
                raise

        return await self._call(work)

    async def stat(self, key: str) -> Stat | None:
        """Size and tag of an object; None when it is not there."""

        def work() -> Stat | None:
            try:
                found = self._client.stat_object(bucket_name=self.bucket, object_name=key)
            except S3Error as error:
                if error.code in _GONE:
                    return None
                raise
            modified = found.last_modified or EPOCH
            return Stat(found.size or 0, (found.etag or "").strip('"'), modified)

        return await self._call(work)

    async def peek(self, key: str, length: int) -> Stat | None:
        """Size, tag and the first `length` bytes of an object in one request.

        None when it is not there. An empty object has no first byte to ask for.
        """
        answered = await self._http.get(self.sign("GET", key, _SIGNED_FOR), length)
        if answered.status == 404:
            return None
        if answered.status == 416:
            return Stat(0, "", EPOCH)
        # A store that ignores ranges answers with the length of the whole.
        span = answered.headers.get("Content-Range") or answered.headers["Content-Length"]
        size = int(span.rpartition("/")[2])
        tag = answered.headers.get("ETag", "").strip('"')
        return Stat(size, tag, EPOCH, answered.body[:length])

    async def read(self, key: str) -> bytes | None:
        """A small object whole; None when it is not there."""
        answered = await self._http.get(self.sign("GET", key, _SIGNED_FOR))
        return None if answered.status == 404 else answered.body

    async def digest(self, key: str) -> tuple[int, str] | None:
        """Size and SHA-256 of an object, read back in full; None when it is not there."""

        def work() -> tuple[int, str] | None:
            try:
                response = self._client.get_object(bucket_name=self.bucket, object_name=key)
            except S3Error as error:
                if error.code in _GONE:
                    return None
                raise
            sha256, size = hashlib.sha256(), 0
            try:
                # As they lie there: a sender may have said that its bytes are compressed.
                for chunk in response.stream(_READ_SIZE, decode_content=False):
                    sha256.update(chunk)
                    size += len(chunk)
            finally:
                response.release_conn()
            return size, sha256.hexdigest()

        return await self._call(work)

    async def write(self, key: str, data: bytes, content_type: str) -> None:
        """Put a small object."""
        answered = await self._http.put(self.sign("PUT", key, _SIGNED_FOR), data, content_type)
        if answered.status != 200:
            raise Unavailable(
                f"The object store answered {answered.status}.", code="store-unavailable"
            )

    async def copy(self, source: str, key: str, content_type: str) -> bool:
        """Have the store copy an object of at most 5 GiB; False when it is not there.

        Of its headers only `content_type` is taken over: the others are what its sender said.
        """

        def work() -> bool:
            try:
                self._client.copy_object(
                    bucket_name=self.bucket,
                    object_name=key,
                    source=CopySource(bucket_name=self.bucket, object_name=source),
                    metadata={"Content-Type": content_type},
                    metadata_directive=REPLACE,
                )
            except S3Error as error:
                if error.code not in _GONE:
                    raise
                return False
            return True

        return await self._call(work)

    async def delete(self, key: str) -> None:
        """Remove an object; harmless when it is gone."""

        def work() -> None:
            try:
                self._client.remove_object(bucket_name=self.bucket, object_name=key)
            except S3Error as error:
                if error.code not in _GONE:
                    raise

        await self._call(work)

    async def page(self, prefix: str, after: str, limit: int) -> list[Listed]:
        """Objects whose key starts with `prefix`, in key order, beginning behind `after`."""

        def work() -> list[Listed]:
            found: list[Listed] = []
            listing = self._client.list_objects(
                bucket_name=self.bucket, prefix=prefix, recursive=True, start_after=after or None
            )
            for one in listing:
                if one.is_dir or one.object_name <= after:
                    continue
                found.append(Listed(one.object_name, one.size or 0, one.last_modified or EPOCH))
                if len(found) == limit:
                    break
            return found

        return await self._call(work)


def _query(query: dict[str, str] | None) -> Any:
    return dict(query) if query else None
