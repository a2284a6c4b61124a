"""Whether answers are what the description of the API says, as its readers rely on it."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from weakref import WeakKeyDictionary

import httpx

from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack

_described: WeakKeyDictionary[Stack, "Description"] = WeakKeyDictionary()


@dataclass(frozen=True)
class Description:
    """The answers a stack promises, by pattern of path and by method."""

    paths: tuple[tuple[re.Pattern[str], dict[str, Any]], ...]

    async def check(self, answer: httpx.Response) -> None:
        """Fail if a route that is described answers with a status, or a type, it does not name."""
        request = answer.request
        responses = self._responses(request.method, request.url.path)
        if responses is None:
            return
        what = f"{request.method} {request.url.path}: {answer.status_code}"
        fallback = responses["default"] if answer.status_code >= 400 else None
        promised = responses.get(str(answer.status_code), fallback)
        assert promised is not None, f"{what} is not described"
        kind = answer.headers.get("content-type", "").partition(";")[0]
        kinds = list(promised.get("content", {}))
        assert not kind or any(fnmatchcase(kind, one) for one in kinds), (
            f"{what} is {kind}, not {kinds}"
        )

    def _responses(self, method: str, path: str) -> dict[str, Any] | None:
        """None for what is left out of the description: pages, health, and HEAD."""
        for pattern, methods in self.paths:
            if pattern.fullmatch(path):
                found: dict[str, Any] = methods.get(method.lower(), {})
                return found.get("responses")
        return None


async def describe(stack: Stack) -> Description:
    """What a stack says of itself. That does not change, so each is asked once."""
    if stack not in _described:
        _described[stack] = await _ask(stack)
    return _described[stack]


async def _ask(stack: Stack) -> Description:
    async with plain_client(base_url=stack.url) as http:
        document = (await http.get("/openapi.json")).json()
    # A path without gaps comes before one that it would fill.
    templates = sorted(document["paths"], key=lambda path: path.count("{"))
    return Description(
        tuple(
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", template)), document["paths"][template])
            for template in templates
        )
    )
