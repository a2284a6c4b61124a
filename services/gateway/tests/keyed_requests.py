"""Requests under an idempotency key, and worlds that reserve it for them."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from sluice_contracts.questions import Done, FreeKey, KeptUpload, Reserved, ReserveKey
from sluice_gateway.forms import Form
from sluice_gateway.usecases.once import Once, only_once
from sluice_runtime.errors import Conflict, SluiceError, Unavailable

from .fakes import UPLOAD, FakeWorld
from .form_bodies import CONTENT_TYPE, RULES, Source, field, file, form_of

DATA = b"xxxx"
FIELDS = {"call_type": "demo", "company_name": "Acme"}
TAKEN = Conflict("Another request has it.", code="request-in-progress")
AWAY = Unavailable("The catalog is away.", code="catalog-unavailable")
Work = Callable[[Once], Awaitable[object]]


def world_of(
    *said: Reserved | SluiceError, lease: float = 60.0, first: KeptUpload | None = None, **more: Any
) -> FakeWorld:
    """A world that answers each reservation as said, and the rest as it ought to."""
    answers = iter(said)
    good = Reserved(first=first, lease_seconds=lease)

    async def reserve(_: ReserveKey) -> Reserved:
        answer = next(answers, good)
        if isinstance(answer, SluiceError):
            raise answer
        return answer

    async def free(_: FreeKey) -> Done:
        return Done()

    return FakeWorld(answers={ReserveKey: reserve, FreeKey: free}, **more)


async def form(data: bytes = DATA, **fields: str) -> Form:
    told = [field(name, value) for name, value in (FIELDS | fields).items()]
    body = form_of(told[0], file(data), *told[1:])
    return await Form.open(CONTENT_TYPE, Source([body]), RULES)


async def read(one: Form) -> str:
    """The digest of the file of a form that is read to its end."""
    data = b"".join([chunk async for chunk in one.file_chunks()])
    await one.finish()
    return hashlib.sha256(data).hexdigest()


async def kept(data: bytes = DATA, **fields: str) -> KeptUpload:
    """What the catalog keeps of such a request."""
    one = await form(data, **fields)
    digest = await read(one)
    told = Once("k", one).request_key(digest)
    return KeptUpload(upload_id=UPLOAD, fingerprint=told.fingerprint)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the world is its own event
            await asyncio.sleep(0)


async def under_key(world: FakeWorld, work: Work, data: bytes = DATA, **fields: str) -> None:
    """Do the work of a request under its key."""
    one = await form(data, **fields)
    async with only_once("k", "dev", "call", one, world.deps()) as once:
        assert once is not None
        await work(once)


def failing(world: FakeWorld, reason: BaseException, *, told: bool = False) -> Work:
    """Work that fails, after it was told to the catalog or before."""

    async def work(once: Once) -> None:
        if told:
            await once.confirm(world.deps())
        raise reason

    return work


def confirming(world: FakeWorld, after: int = 1) -> Work:
    """Work that waits for so many reservations, and tells the catalog then."""

    async def work(once: Once) -> None:
        await until(lambda: len(world.questions(ReserveKey)) >= after)
        await once.confirm(world.deps())
        assert once.may_be_done

    return work
