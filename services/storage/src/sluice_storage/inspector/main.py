"""Wires the inspector together, and starts it."""

import importlib.util
import os
from datetime import UTC, datetime
from functools import partial

from starlette.applications import Starlette

from sluice_contracts.topology import INSPECTOR_OBJECTS
from sluice_runtime.batch_listener import BatchListener
from sluice_runtime.facts import Announcer
from sluice_runtime.pressure import Courtesy
from sluice_runtime.rpc import NatsAsker
from sluice_runtime.service import Service
from sluice_runtime.settings import read_settings
from sluice_storage.inspector.downloads import SignedDownloads
from sluice_storage.inspector.ports import Deps
from sluice_storage.inspector.readers import Readers
from sluice_storage.inspector.settings import InspectorSettings
from sluice_storage.inspector.usecases import inspect_objects

# A file that takes long holds up the batch it came in, not the next one.
_ROUNDS = 2
# Nobody waits for what is found; uploads on the same machine come first.
_NICENESS = 10


def build(settings: InspectorSettings) -> tuple[Service, Starlette]:
    """The service and its app, not yet started."""
    service = Service("inspector", settings)
    readers = Readers(INSPECTOR_OBJECTS.parallel, settings.inspect_timeout_seconds)
    downloads = SignedDownloads(INSPECTOR_OBJECTS.parallel * _ROUNDS)
    deps = Deps(
        asker=NatsAsker(service.broker),
        downloads=downloads,
        reader=readers,
        announcer=Announcer(service.broker, "inspector"),
        most_bytes=settings.inspect_max_bytes,
        now=lambda: datetime.now(UTC),
    )
    inspect = partial(inspect_objects, deps=deps)
    listener = BatchListener(
        service.broker, INSPECTOR_OBJECTS, inspect, rounds=_ROUNDS, courtesy=Courtesy()
    )
    service.beside(listener.name, listener.run)
    service.closing(readers.close)
    service.closing(downloads.close)
    return service, service.health()


def main() -> None:
    """`sluice-storage inspect`."""
    if importlib.util.find_spec("av") is None:
        raise SystemExit("PyAV is missing: install sluice-storage[inspect]")
    os.nice(_NICENESS)
    service, app = build(read_settings(InspectorSettings))
    service.serve(app)
