"""Requests with an idempotency key whose body takes a while: done once, answered alike."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from sluice_contracts.facts import RequestKey
from sluice_contracts.questions import FreeKey, KeptUpload, ReserveKey
from sluice_gateway.forms import Form
from sluice_gateway.ports import Deps
from sluice_runtime.errors import Rejected, SluiceError


@dataclass(frozen=True)
class Once:
    """One request under its key. `first` is there when a request with this key has ended well."""

    key: str
    form: Form
    first: KeptUpload | None = None

    def request_key(self, sha256: str) -> RequestKey:
        """The key with the digest of all that was asked for; the form must have been read."""
        return RequestKey(key=self.key, fingerprint=_fingerprint(self.form.fields, sha256))

    async def replayed(self, held: bytes = b"") -> str | None:
        """The upload the first request made, if this one is the same; None when it is the first.

        `held` is what was read of the file before.

        Raises:
            Rejected: the key was used for another request.
        """
        if self.first is None:
            return None
        digest = hashlib.sha256(held)
        async for chunk in self.form.file_chunks():
            digest.update(chunk)
        fields = await self.form.finish()
        if _fingerprint(fields, digest.hexdigest()) != self.first.fingerprint:
            raise Rejected(
                "This idempotency key was used for another request; take a new one.",
                code="idempotency-key-reused",
            )
        return self.first.upload_id


def _fingerprint(fields: Mapping[str, str], sha256: str) -> str:
    # A token says who asks, not what is asked for.
    asked = {name: value for name, value in fields.items() if name != "token"}
    canonical = json.dumps([asked, sha256], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


@asynccontextmanager
async def only_once(
    key: str | None, tenant: str, scope: str, form: Form, deps: Deps
) -> AsyncIterator[Once | None]:
    """Hold an idempotency key while the block runs; None without a key.

    A block that fails gives the key back. One that was answered with 202 keeps it until its lease
    is over; by then the catalog has caught up, or a repeat is told to come again.

    Raises:
        Conflict: another request with this key is under way.
    """
    if key is None:
        yield None
        return
    claim_id = deps.new_id("clm")
    question = ReserveKey(tenant=tenant, scope=scope, key=key, claim_id=claim_id)
    reserved = await deps.asker.ask(question)
    if reserved.first is not None:
        yield Once(key, form, reserved.first)
        return
    renewing = asyncio.create_task(_renew(question, reserved.lease_seconds / 3, deps))
    try:
        yield Once(key, form)
    except BaseException:
        free = FreeKey(tenant=tenant, scope=scope, key=key, claim_id=claim_id)
        with suppress(SluiceError):
            await asyncio.shield(deps.asker.ask(free))
        raise
    finally:
        renewing.cancel()


async def _renew(question: ReserveKey, seconds: float, deps: Deps) -> None:
    while True:
        await asyncio.sleep(seconds)
        # With the catalog away nobody else can have the key either.
        with suppress(SluiceError):
            await deps.asker.ask(question)
