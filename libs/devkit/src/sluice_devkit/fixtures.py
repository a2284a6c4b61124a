"""Pytest plugin: a running stack for whoever asks for it, and nothing for whoever does not."""

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from sluice_devkit.embedded import embedded_servers
from sluice_devkit.http import plain_client
from sluice_devkit.stack import PATIENT_GATEWAY, MakeServers, Stack

# No test may depend on speed, and a busy machine is slow.
settings.register_profile("sluice", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sluice")


def _make_servers() -> MakeServers:
    """Embedded servers, or containers when `SLUICE_TEST_SERVERS=containers`."""
    kind = os.environ.get("SLUICE_TEST_SERVERS", "embedded")
    if kind == "embedded":
        return embedded_servers
    if kind == "containers":
        from sluice_devkit.containers import container_servers

        return container_servers
    raise pytest.UsageError(f"SLUICE_TEST_SERVERS is {kind!r}; use embedded or containers")


def patient_stack(
    folder: Path,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    make_servers: MakeServers = embedded_servers,
) -> Stack:
    """A stack that answers 201 also where a busy machine takes its time to register.

    All is as in `Stack`; what `settings` say wins.
    """
    given = dict(settings or {})
    given["gateway"] = {**PATIENT_GATEWAY, **given.get("gateway", {})}
    return Stack(folder, settings=given, make_servers=make_servers)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One stack for the whole session, on free ports, in a folder of its own."""
    folder = tmp_path_factory.mktemp("stack")
    async with patient_stack(folder, make_servers=_make_servers()) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway's HTTP API, with the development key."""
    headers = {"X-API-Key": stack.key}
    async with plain_client(base_url=stack.url, headers=headers, timeout=30.0) as http:
        yield http
