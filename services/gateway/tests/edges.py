"""What stands behind routes, for tests of the routes alone."""

from typing import Any

from sluice_gateway.ports import Principals
from sluice_gateway.routes.edge import Edge, Places, Remembered

from .fakes import FakeWorld

NOBODY: Any = None
"""Knows no key, and is not asked for one."""


def make_edge(
    world: FakeWorld | None = None,
    *,
    principals: Principals = NOBODY,
    places: int = 1,
    is_connected: bool = True,
) -> Edge:
    """The edge of a gateway on `world` that takes so many uploads at once."""
    return Edge(
        deps=(world or FakeWorld()).deps(),
        principals=principals,
        trusted_proxies=(),
        max_json_bytes=1000,
        media_proxy=False,
        uploads=Places(places),
        strangers=Places(places),
        health=Remembered(),
        is_connected=lambda: is_connected,
    )
