"""API keys: whose they are, and which must not exist."""

from sluice_catalog.domain import WELL_KNOWN_TOKENS, token_digest
from sluice_catalog.ports import Deps
from sluice_contracts.questions import Principal, ResolveKey
from sluice_runtime.errors import NotFound


async def resolve_key(question: ResolveKey, deps: Deps) -> Principal:
    """Raises `NotFound` for a key that is unknown, expired or revoked."""
    async with deps.work() as work:
        principal = await work.keys.resolve(question.token_sha256)
    if principal is None:
        raise NotFound("There is no such key.", code="key-unknown")
    return principal


async def has_well_known_key(deps: Deps) -> bool:
    """Whether a key from the documentation is valid here."""
    async with deps.work() as work:
        return await work.keys.any_of([token_digest(token) for token in WELL_KNOWN_TOKENS])
