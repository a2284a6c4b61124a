"""Who is calling: the key or token of a request, and what it allows."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPAuthorizationCredentials, HTTPBearer

from sluice_contracts.api import API_KEY_HEADER
from sluice_contracts.questions import Principal
from sluice_gateway.routes.edge import Edge, edge_of
from sluice_runtime.errors import Rejected

_TOKEN_MOST = 512

# For the description of the API; what came is read by `offered_token`, also where FastAPI does not
# look into a request.
_KEY = APIKeyHeader(
    name=API_KEY_HEADER, scheme_name="key", description="An API key.", auto_error=False
)
_BEARER = HTTPBearer(
    scheme_name="bearer", description="The same key, or the token of a device.", auto_error=False
)
_KeyHeader = Annotated[str | None, Depends(_KEY)]
_BearerHeader = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]

BY_HEADER: dict[str, Any] = {"security": [{_KEY.scheme_name: []}, {_BEARER.scheme_name: []}]}
"""A route that asks who is calling by itself, for OpenAPI."""


class Unauthorized(Rejected):
    code = "unauthorized"


class Forbidden(Rejected):
    code = "forbidden"


def offered_token(request: Request, query_field: str | None = None) -> str | None:
    """The token that came with the head of a request; in the query only where a door says so."""
    key = request.headers.get(API_KEY_HEADER)
    if key:
        return key
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return request.query_params.get(query_field) if query_field else None


async def find_principal(token: str | None, edge: Edge, scope: str | None = None) -> Principal:
    """Whose token it is, who must have `scope`.

    Raises:
        Unauthorized: no token, or nobody's.
        Forbidden: the scope is missing, or the device disabled.
    """
    if not token or len(token) > _TOKEN_MOST:
        raise Unauthorized(
            f"Send your key or token in the header {API_KEY_HEADER}, or as Authorization: Bearer."
        )
    principal = await edge.principals.resolve(token)
    if principal is None:
        raise Unauthorized("This key is unknown, expired or revoked.")
    if principal.device is not None and not principal.device.is_enabled:
        raise Forbidden("This device is disabled.", code="device-disabled")
    if scope is not None and scope not in principal.scopes:
        raise Forbidden(f"This key lacks the scope {scope}.")
    return principal


def require(
    scope: str | None, *, query_field: str | None = None
) -> Callable[..., Awaitable[Principal]]:
    """A dependency: the caller, who must have `scope`. Nothing of the body was read yet.

    A token in the query counts only where a door says so. Without a scope anybody who has a
    token is let in, and the route decides.
    """

    async def caller(request: Request, _key: _KeyHeader, _bearer: _BearerHeader) -> Principal:
        return await find_principal(offered_token(request, query_field), edge_of(request), scope)

    return caller if query_field is None else _described(caller, query_field)


def offered_in_head(scope: str, *, query_field: str) -> Callable[..., Awaitable[Principal | None]]:
    """A dependency: the caller, who must have `scope`, if the head of the request says who it is.
    If it does not, the token may be in the body."""

    async def caller(
        request: Request, _key: _KeyHeader, _bearer: _BearerHeader
    ) -> Principal | None:
        token = offered_token(request, query_field)
        return None if token is None else await find_principal(token, edge_of(request), scope)

    return _described(caller, query_field)


def _described(caller: Callable[..., Awaitable[Any]], query_field: str) -> Callable[..., Any]:
    """`caller`, for doors that take its token in the query as well."""
    in_query = APIKeyQuery(
        name=query_field,
        scheme_name=f"{query_field}-in-query",
        description="The same, for links: a browser keeps what is in its address bar.",
        auto_error=False,
    )

    async def described(
        found: Annotated[Any, Depends(caller)], _token: Annotated[str | None, Depends(in_query)]
    ) -> Any:
        return found

    return described
