"""What every route shares: what callers sent, and where this server is."""

import asyncio
import hashlib
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from sluice_contracts.api import FieldProblem, ServiceStatus
from sluice_contracts.base import Body
from sluice_contracts.questions import Idempotency
from sluice_gateway import strict_json
from sluice_gateway.ports import Deps, Principals
from sluice_gateway.routes.reasons import reason_of, true_errors
from sluice_runtime.errors import Rejected, Unavailable

B = TypeVar("B", bound=Body)
T = TypeVar("T")

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
# The name of a field we do not know is the sender's choice, and may be as long as its body.
_FIELD_MOST = 200


@dataclass(frozen=True)
class Edge:
    """What routes need besides the dependencies of use cases."""

    deps: Deps
    principals: Principals
    trusted_proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    max_json_bytes: int
    media_proxy: bool
    uploads: "Places"
    strangers: "Places"
    health: "Remembered[ServiceStatus]"
    is_connected: Callable[[], bool]


class Places:
    """How many uploads may be under way at once in this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place for as long as the block runs; raises `Unavailable` when all are taken."""
        if self._taken >= self._most:
            raise Unavailable(
                "Too many uploads are under way here; try again in a moment.",
                code="too-many-uploads",
                retry_after_seconds=1,
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class Remembered(Generic[T]):
    """An answer that is good for a second, found once for all who ask meanwhile."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._answer: T | None = None
        self._until = 0.0

    async def recall(self, find: Callable[[], Awaitable[T]]) -> T:
        async with self._lock:
            clock = asyncio.get_running_loop().time
            if self._answer is None or clock() >= self._until:
                self._answer = await find()
                self._until = clock() + 1.0
            return self._answer


def edge_of(request: Request) -> Edge:
    """What stands behind the routes."""
    edge: Edge = request.app.state.edge
    return edge


async def _get_edge(request: Request) -> Edge:
    """Asynchronous, because FastAPI sends every other dependency through a thread."""
    return edge_of(request)


EdgeDep = Annotated[Edge, Depends(_get_edge)]


class InvalidRequest(Rejected):
    """The body or a parameter is not what the contract says; `errors` tells where."""

    code = "invalid-request"

    def __init__(self, errors: list[FieldProblem]) -> None:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{first.field}: {first.reason}{more}")
        self.errors = errors

    @classmethod
    def of(cls, errors: list[Any]) -> "InvalidRequest":
        """From the errors of a failed validation; never repeats what was sent."""
        return cls(
            [
                FieldProblem(
                    field=".".join(str(step) for step in error["loc"])[:_FIELD_MOST] or "body",
                    reason=reason_of(error),
                )
                for error in true_errors(errors)[:20]
            ]
        )


class InvalidForm(InvalidRequest):
    """As its parent, at a door that answers 400."""

    code = "invalid-form"


async def read_json(request: Request, model: type[B], edge: Edge) -> tuple[B, Any]:
    """The body as `model`, and as plain values.

    Raises:
        Rejected: too large, too slow, not strict JSON, or not the model.
    """
    value = strict_json.parse(await _read_body(request, edge))
    try:
        return model.model_validate(value), value
    except ValidationError as error:
        raise InvalidRequest.of(error.errors(include_input=False, include_url=False)) from error


async def _read_body(request: Request, edge: Edge) -> bytes:
    limits, clock = edge.deps.limits, asyncio.get_running_loop().time
    step = limits.min_rate_bytes * limits.min_rate_seconds
    body, wanted = bytearray(), step
    try:
        async with asyncio.timeout(limits.min_rate_seconds) as patience:
            async for chunk in request.stream():
                body += chunk
                if len(body) > edge.max_json_bytes:
                    raise Rejected(
                        f"At most {edge.max_json_bytes} bytes of JSON are taken.",
                        code="body-too-large",
                    )
                if len(body) >= wanted:
                    wanted = len(body) + step
                    patience.reschedule(clock() + limits.min_rate_seconds)
    except ClientDisconnect as error:
        raise Rejected("The body ended early.", code="body-incomplete") from error
    except TimeoutError as error:
        raise Rejected(
            f"The body came slower than {limits.min_rate_bytes} bytes a second.",
            code="body-too-slow",
        ) from error
    return bytes(body)


def fingerprint(value: Any) -> str:
    """A digest that is the same for the same JSON value, however it was written."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key` of this request, if it has one. Raises `Rejected`."""
    key = request.headers.get("idempotency-key")
    if key is not None and (not key or len(key) > 200 or not key.isprintable()):
        raise Rejected(
            "An Idempotency-Key has 1 to 200 printable characters.", code="invalid-idempotency-key"
        )
    return key


def header_idempotency(request: Request, value: Any) -> Idempotency | None:
    """The `Idempotency-Key` of this request, bound to what was asked where."""
    key = idempotency_key(request)
    if key is None:
        return None
    asked = fingerprint([request.method, request.url.path, value])
    return Idempotency(key=f"header:{key}", fingerprint=asked)


def base_url(request: Request, edge: Edge) -> str:
    """Where this server is, as its client sees it.

    `X-Forwarded-*` counts only from a trusted proxy.
    """
    scheme, host = request.url.scheme, request.headers.get("host", "")
    if _is_trusted(request, edge):
        scheme = _first(request, "x-forwarded-proto") or scheme
        host = _first(request, "x-forwarded-host") or host
    if scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise Rejected("The Host header is missing or malformed.", code="invalid-host")
    return f"{scheme}://{host}"


def _is_trusted(request: Request, edge: Edge) -> bool:
    try:
        peer = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return any(peer in network for network in edge.trusted_proxies)


def _first(request: Request, header: str) -> str:
    return request.headers.get(header, "").split(",")[0].strip()


def content_length(request: Request) -> int | None:
    """How many bytes the sender promises; None when it does not say. Raises `Rejected`."""
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Rejected("The Content-Length is not a number.", code="body-incomplete")
    return int(text)


def is_encoded(request: Request) -> bool:
    """Whether the body is not what it stands for, but compressed or the like."""
    return request.headers.get("content-encoding", "identity").strip().lower() != "identity"


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """Point to the next page; the key of a page that was asked for by link is left out."""
    if cursor is not None:
        url = request.url.remove_query_params(["key", "token", "access_token"])
        url = url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that reads it itself, for OpenAPI."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


LimitParam = Annotated[int, Query(ge=1, le=200)]
CursorParam = Annotated[str | None, Query(max_length=512)]
