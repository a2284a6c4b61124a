"""Wires storage together, and starts it."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog
from starlette.applications import Starlette

from sluice_runtime.errors import SluiceError
from sluice_runtime.facts import Announcer
from sluice_runtime.locks import NamedLocks
from sluice_runtime.replies import NatsReplies
from sluice_runtime.rpc import NatsAsker
from sluice_runtime.service import Service
from sluice_runtime.settings import read_settings
from sluice_storage import subscribers
from sluice_storage.bucket import open_bucket
from sluice_storage.places import GivenOut
from sluice_storage.ports import Deps, Erased, Limits
from sluice_storage.receipts import StreamReceipts
from sluice_storage.settings import StorageSettings
from sluice_storage.usecases.upkeep import sweep

log = structlog.get_logger(__name__)


def build(settings: StorageSettings) -> tuple[Service, Starlette]:
    """The service and its app, not yet started."""
    service = Service("storage", settings)
    objects = open_bucket(settings)
    limits = Limits(
        single_put_bytes=settings.single_put_bytes,
        part_size_bytes=settings.part_size_bytes,
        link_lifetime=settings.link_lifetime,
        orphan_age=settings.orphan_age,
    )
    deps = Deps(
        objects=objects,
        public=open_bucket(settings, settings.s3_public_url),
        announcer=Announcer(service.broker, "storage"),
        replies=NatsReplies(service.broker),
        asker=NatsAsker(service.broker),
        finishing=NamedLocks(),
        erased=Erased(),
        receipts=StreamReceipts(service.broker),
        places=GivenOut(limits.vouch_lifetime),
        limits=limits,
        environment=settings.environment,
        now=lambda: datetime.now(UTC),
    )
    subscribers.bind(service.broker, deps)

    async def keep_sweeping() -> None:
        # What an earlier process gave out is not known to this one.
        await asyncio.sleep(limits.vouch_lifetime.total_seconds())
        while True:
            await asyncio.sleep(settings.sweep_interval_seconds)
            try:
                await sweep(deps)
            except SluiceError as error:
                log.warning("sweep put off", code=error.code)

    async def probe() -> Mapping[str, bool]:
        return {"object_store": await objects.is_reachable()}

    for listener in subscribers.listen(service.broker, deps):
        service.beside(listener.name, listener.run)
    service.beside("sweep", keep_sweeping)
    service.probe(probe)
    service.closing(objects.close)
    return service, service.health()


def main() -> None:
    """`sluice-storage serve`."""
    service, app = build(read_settings(StorageSettings))
    service.serve(app)
