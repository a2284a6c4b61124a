"""Requests with an idempotency key whose body takes a while: done once, answered alike."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from sluice_contracts.facts import RequestKey
from sluice_contracts.questions import FreeKey, KeptUpload, ReserveKey
from sluice_gateway.forms import Form
from sluice_gateway.ports import Deps
from sluice_gateway.usecases.watching import end
from sluice_runtime.errors import Conflict, Rejected, SluiceError


@dataclass
class _Lease:
    """A reservation, and until when it is certainly ours, on the clock of this process.

    Counted from before the question, so that the catalog never gives it away earlier.
    """

    question: ReserveKey
    lease_seconds: float
    until: float
    is_lost: bool = False

    async def renew(self, deps: Deps) -> None:
        """Hold the key on. With the catalog away nobody else can have it either."""
        asked_at = time.monotonic()
        try:
            reserved = await deps.asker.ask(self.question)
        except Conflict:
            self.is_lost = True
            return
        except SluiceError:
            return
        self.is_lost = reserved.first is not None
        self.until = asked_at + reserved.lease_seconds


@dataclass
class Once:
    """One request under its key. `first` is there when a request with this key has ended well.

    `may_be_done` from the moment in which the catalog may hear of what was sent.
    """

    key: str
    form: Form
    first: KeptUpload | None = None
    lease: _Lease | None = None
    may_be_done: bool = False

    def request_key(self, sha256: str) -> RequestKey:
        """The key with the digest of all that was asked for; the form must have been read."""
        return RequestKey(key=self.key, fingerprint=_fingerprint(self.form.fields, sha256))

    async def confirm(self, deps: Deps) -> None:
        """Before it is said what was sent: the key must still be ours.

        Raises:
            Conflict: the lease had lapsed, and another request has the key.
        """
        if self.lease is not None:
            if time.monotonic() >= self.lease.until:
                await self.lease.renew(deps)
            if self.lease.is_lost:
                raise Conflict(
                    "Another request with this idempotency key took over; repeat yours.",
                    code="request-in-progress",
                    retry_after_seconds=1,
                )
        self.may_be_done = True

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

    A block that fails gives the key back, unless what it sent may be registered all the same: then,
    and after a 202, the key is kept until its lease is over. By then the catalog has caught up, or
    a repeat is told to come again.

    Raises:
        Conflict: another request with this key is under way.
    """
    if key is None:
        yield None
        return
    claim_id = deps.new_id("clm")
    question = ReserveKey(tenant=tenant, scope=scope, key=key, claim_id=claim_id)
    asked_at = time.monotonic()
    reserved = await deps.asker.ask(question)
    if reserved.first is not None:
        yield Once(key, form, reserved.first)
        return
    lease = _Lease(question, reserved.lease_seconds, asked_at + reserved.lease_seconds)
    once = Once(key, form, lease=lease)
    renewing = asyncio.create_task(_renew(lease, deps))
    try:
        yield once
    except BaseException as error:
        # First of all: a renewal behind it would take the key again.
        await end([renewing])
        if not once.may_be_done or isinstance(error, Conflict | Rejected):
            free = FreeKey(tenant=tenant, scope=scope, key=key, claim_id=claim_id)
            with suppress(SluiceError):
                await asyncio.shield(deps.asker.ask(free))
        raise
    finally:
        await end([renewing])


async def _renew(lease: _Lease, deps: Deps) -> None:
    while True:
        await asyncio.sleep(lease.lease_seconds / 3)
        await lease.renew(deps)
