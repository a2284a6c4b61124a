"""Fixtures of the client tests."""

import threading
from collections.abc import Iterator

import pytest

from .web import Site


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLUICE_BASE_URL", "SLUICE_API_KEY", "SLUICE_NATS_URL", "SLUICE_NATS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
