"""The description of the API, for tests of what it says."""

import json
from typing import Any

from sluice_gateway.app import make_app
from sluice_gateway.routes.description import Api
from sluice_gateway.routes.edge import Edge, Places, Remembered

from .fakes import FakeWorld


def describe() -> Any:
    """All of it, as it is sent the second time."""
    edge = Edge(
        deps=FakeWorld().deps(),
        principals=FakeWorld(),  # type: ignore[arg-type] - nobody calls
        trusted_proxies=(),
        max_json_bytes=1000,
        media_proxy=False,
        uploads=Places(1),
        strangers=Places(1),
        health=Remembered(),
        is_connected=lambda: True,
    )
    app = make_app(Api(), edge)
    app.openapi()
    return json.loads(json.dumps(app.openapi()))


def operations(document: Any) -> dict[tuple[str, str], Any]:
    """Operations by method and path."""
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
