"""Answers with a list that comes in parts. Each leaves as it comes: a list of any length takes no
more memory than one part of it, and others are served in between."""

from collections.abc import AsyncIterator, Mapping, Sequence

from starlette.responses import StreamingResponse

from sluice_contracts.base import Contract


def in_parts(
    frame: str, parts: AsyncIterator[Sequence[Contract]], headers: Mapping[str, str] | None = None
) -> StreamingResponse:
    """The JSON `frame`, whose last empty list is filled with `parts`.

    An answer whose next part is not to be had breaks off, which HTTP tells from its end: it is too
    late for another status, and nobody is to take what came for the whole.
    """
    before, _, behind = frame.rpartition("[]")
    body = _filled(before, parts, behind)
    return StreamingResponse(body, headers=headers, media_type="application/json")


async def _filled(
    before: str, parts: AsyncIterator[Sequence[Contract]], behind: str
) -> AsyncIterator[str]:
    yield f"{before}["
    between = ""
    async for part in parts:
        if part:
            yield between + ",".join(one.model_dump_json() for one in part)
            between = ","
    yield f"]{behind}"
