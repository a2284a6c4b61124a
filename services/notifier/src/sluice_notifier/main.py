"""Wires the notifier together, and starts it."""

import os
from collections.abc import Mapping

from starlette.applications import Starlette

from sluice_notifier import subscribers
from sluice_notifier.database import open_log
from sluice_notifier.live import NatsLive
from sluice_notifier.ports import Deps
from sluice_notifier.settings import NotifierSettings
from sluice_notifier.tail import Tail
from sluice_runtime.database import is_reachable, make_engine
from sluice_runtime.dead_letters import sweep_advisories
from sluice_runtime.service import Service
from sluice_runtime.settings import read_settings

_YIELDING = 5


def build(settings: NotifierSettings) -> tuple[Service, Starlette]:
    """The service and its app, not yet started."""
    service = Service("notifier", settings)
    engine = make_engine(settings.database_url.get_secret_value())
    deps = Deps(log=lambda: open_log(engine), live=NatsLive(service.broker))
    subscribers.bind(service.broker, deps)

    async def probe() -> Mapping[str, bool]:
        return {"database": await is_reachable(engine)}

    service.beside("tail", Tail(service.broker, deps).run)
    service.beside("advisories", lambda: sweep_advisories(service.broker))
    service.probe(probe)
    service.closing(engine.dispose)
    return service, service.health()


def main() -> None:
    """`sluice-notifier serve`."""
    service, app = build(read_settings(NotifierSettings))
    # Where the processor is short, receiving goes first: the log can catch up, clients wait.
    os.nice(_YIELDING)
    service.serve(app)
