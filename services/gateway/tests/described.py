"""The description of the API, for tests of what it says."""

import json
from typing import Any

from sluice_gateway.app import make_app
from sluice_gateway.routes.description import Api

from .edges import make_edge


def describe() -> Any:
    """All of it, as it is sent the second time."""
    app = make_app(Api(), make_edge())
    app.openapi()
    return json.loads(json.dumps(app.openapi()))


def operations(document: Any) -> dict[tuple[str, str], Any]:
    """Operations by method and path."""
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
