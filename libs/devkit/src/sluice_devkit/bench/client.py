"""The HTTP client of all measurements."""

import asyncio
import time

import aiohttp

_AGAIN_SECONDS = 60.0
_PAUSE_SECONDS = 0.5


async def _again(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Sends again what was answered 503, as clients should. A body that streams is gone by then."""
    until = time.monotonic() + _AGAIN_SECONDS
    while True:
        response = await send(request)
        body = request.body
        gone = isinstance(body, aiohttp.Payload) and body.consumed
        if response.status != 503 or gone or time.monotonic() > until:
            return response
        response.release()
        await asyncio.sleep(_PAUSE_SECONDS)


def patient_session(clients: int) -> aiohttp.ClientSession:
    """A session for so many clients at once, which a machine that is slow for a while does not end.

    What is sent again counts once, with all the time it took.
    """
    return aiohttp.ClientSession(
        # Shorter than any server keeps one: none is to be closed just as it is used again.
        connector=aiohttp.TCPConnector(limit=clients * 2, keepalive_timeout=2),
        timeout=aiohttp.ClientTimeout(total=None),
        middlewares=(_again,),
    )
