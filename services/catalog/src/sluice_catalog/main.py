"""Wires the catalog together, and starts it."""

import asyncio
from collections.abc import Mapping

import structlog
from starlette.applications import Starlette

from sluice_catalog import subscribers
from sluice_catalog.database import open_work
from sluice_catalog.database.tables import outbox
from sluice_catalog.hints import AuthHints
from sluice_catalog.ports import Deps
from sluice_catalog.receipts import StreamReceipts
from sluice_catalog.settings import CatalogSettings
from sluice_catalog.usecases.direct import expire_direct
from sluice_catalog.usecases.keys import has_well_known_key
from sluice_catalog.usecases.renders import sweep_renders
from sluice_catalog.usecases.upkeep import forget_old
from sluice_catalog.usecases.uploads import expire_uploads
from sluice_runtime.database import is_reachable, make_engine
from sluice_runtime.errors import SluiceError
from sluice_runtime.relay import Relay
from sluice_runtime.replies import NatsReplies
from sluice_runtime.service import Service
from sluice_runtime.settings import read_settings

log = structlog.get_logger(__name__)

_EXPIRY_SECONDS = 5.0
_ROUNDS_A_DAY = 17_280


def build(settings: CatalogSettings) -> tuple[Service, Starlette]:
    """The service and its app, not yet started."""
    service = Service("catalog", settings)
    engine = make_engine(settings.database_url.get_secret_value())
    relay = Relay(engine, outbox, service.broker)
    deps = Deps(
        work=lambda: open_work(engine),
        wake_relay=relay.wake,
        tell_auth_changed=AuthHints(service.broker).tell,
        replies=NatsReplies(service.broker),
        receipts=StreamReceipts(service.broker),
        claim_lease=settings.claim_lease,
        upload_deadline=settings.upload_deadline,
        render_lifetime=settings.render_lifetime,
    )
    subscribers.bind(service.broker, deps)
    for listener in subscribers.listen(service.broker, deps):
        service.beside(listener.name, listener.run)

    async def probe() -> Mapping[str, bool]:
        return {"database": await is_reachable(engine)}

    service.beside("relay", relay.run)
    service.beside("upkeep", lambda: _keep_tidy(deps, settings.environment == "development"))
    service.probe(probe)
    service.closing(engine.dispose)
    return service, service.health()


async def _keep_tidy(deps: Deps, may_be_well_known: bool) -> None:
    checked, rounds = may_be_well_known, 0
    while True:
        try:
            if not checked and await has_well_known_key(deps):
                raise SystemExit("a key from the documentation is valid here: revoke it first")
            checked = True
            await expire_uploads(deps)
            await expire_direct(deps)
            await sweep_renders(deps)
            if rounds % _ROUNDS_A_DAY == 0:
                await forget_old(deps)
            rounds += 1
        except SluiceError as error:
            log.warning("upkeep put off", code=error.code)
        await asyncio.sleep(_EXPIRY_SECONDS)


def main() -> None:
    """`sluice-catalog serve`."""
    service, app = build(read_settings(CatalogSettings))
    service.serve(app)
