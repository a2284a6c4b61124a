"""Objects as files, for as long as somebody reads them."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import IO

import aiohttp

from sluice_runtime.errors import Unavailable
from sluice_runtime.signed_http import HttpSession

_CHUNK_BYTES = 1024**2
# No limit for the whole: a large object takes as long as it takes, as long as bytes come.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=30)


class SignedDownloads:
    """Fetches objects on signed URLs into nameless temporary files.

    A file without a name is gone with its last user, also when that is killed.
    """

    def __init__(self, connections: int) -> None:
        self._http = HttpSession(connections, _TIMEOUT)

    async def close(self) -> None:
        await self._http.close()

    @asynccontextmanager
    async def fetch(self, url: str, most_bytes: int) -> AsyncIterator[IO[bytes] | None]:
        """A file with up to `most_bytes` of an object, gone after the block; None: no object.

        Raises:
            Unavailable: the object store is away, or broke off.
            OSError: there is no room for the file.
        """
        with tempfile.TemporaryFile(prefix="sluice-inspect-") as file:
            found = await self._write(url, most_bytes, file)
            yield file if found else None

    async def _write(self, url: str, most_bytes: int, file: IO[bytes]) -> bool:
        try:
            async with self._http.open().get(url) as response:
                if response.status == HTTPStatus.NOT_FOUND:
                    return False
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise Unavailable(
                        f"The object store answered {response.status}.", code="store-unavailable"
                    )
                left = most_bytes
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    # To the page cache, so it costs less than a thread would.
                    file.write(chunk[:left])
                    left -= len(chunk)
                    if left <= 0:
                        break
        except (TimeoutError, aiohttp.ClientError) as error:
            raise Unavailable("The object store is away.", code="store-unavailable") from error
        file.flush()
        return True
