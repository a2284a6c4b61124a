"""Whose token is it: asked of the catalog, remembered for half a minute."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from nats.aio.msg import Msg

from sluice_contracts.questions import Principal, ResolveKey
from sluice_gateway.domain import token_digest
from sluice_runtime.errors import NotFound, Unavailable
from sluice_runtime.rpc import Asks

_FRESH_SECONDS = 30.0
_UNKNOWN_SECONDS = 2.0
_MOST = 10_000


@dataclass(frozen=True)
class _Known:
    principal: Principal | None
    asked_at: float

    def is_fresh(self, now: float) -> bool:
        lifetime = _FRESH_SECONDS if self.principal else _UNKNOWN_SECONDS
        return now - self.asked_at < lifetime


class CachedPrincipals:
    """Keeps answers while they are fresh, and while the catalog is away.

    Somebody who was known goes on working through an outage of the catalog; a change of keys
    empties the cache at once.
    """

    def __init__(self, asker: Asks, reconnects: Callable[[], int] = lambda: 0) -> None:
        """`reconnects` counts how often the bus was lost: a change may have gone unheard then."""
        self._asker = asker
        self._reconnects = reconnects
        self._heard_since = 0
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._generation = 0

    async def resolve(self, token: str) -> Principal | None:
        """The owner of `token`; None for nobody's. Raises `Unavailable` when nobody knows."""
        digest = token_digest(token)
        self._doubt_if_deaf()
        known = self._known.get(digest)
        now = time.monotonic()
        if known is not None and known.is_fresh(now):
            return _unless_expired(known.principal)
        generation = self._generation
        try:
            principal: Principal | None = await self._asker.ask(ResolveKey(token_sha256=digest))
        except NotFound:
            principal = None
        except Unavailable:
            if known is None or known.principal is None:
                raise
            return _unless_expired(known.principal)
        if generation == self._generation:
            self._keep(digest, _Known(principal, now))
        return principal

    def _keep(self, digest: str, known: _Known) -> None:
        self._known[digest] = known
        self._known.move_to_end(digest)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    async def hear_change(self, _: Msg) -> None:
        """Called when keys changed: forget all, also the answers that are still on their way."""
        self._generation += 1
        self._known.clear()

    def _doubt_if_deaf(self) -> None:
        """What was known before the bus was lost is asked for again, where there is an answer."""
        if (count := self._reconnects()) == self._heard_since:
            return
        self._heard_since = count
        self._generation += 1
        for digest, known in self._known.items():
            self._known[digest] = replace(known, asked_at=-math.inf)


def _unless_expired(principal: Principal | None) -> Principal | None:
    expires_at = principal.expires_at if principal else None
    return None if expires_at is not None and expires_at < datetime.now(UTC) else principal
