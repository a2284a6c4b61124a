"""One service process: its web app, its broker, and the loops that run beside them."""

import asyncio
import gc
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from types import FrameType
from typing import TypeVar

import structlog
import uvicorn
from faststream.nats import NatsBroker
from starlette.applications import Starlette

from sluice_runtime.broker import Guard, bus_checks, make_broker
from sluice_runtime.http_protocol import CarefulProtocol
from sluice_runtime.logs import set_up_logs
from sluice_runtime.settings import ServiceSettings
from sluice_runtime.web import Probe, health_routes

log = structlog.get_logger(__name__)

EXIT_SOFTWARE = 70
_GRACE_SECONDS = 10
_COLLECTIONS = (20_000, 20, 50)

Loop = Callable[[], Awaitable[None]]
App = TypeVar("App", bound=Starlette)


class Service:
    """Holds what must start together, run together and stop together.

    HTTP is up first, so that liveness and readiness answer while NATS is still away. A loop
    that ends or breaks takes the process down: a supervisor restarts it, a zombie helps nobody.
    """

    def __init__(self, name: str, settings: ServiceSettings) -> None:
        set_up_logs(name, settings.log_level)
        self.name = name
        self.settings = settings
        self.guard = Guard(name)
        self.broker: NatsBroker = make_broker(name, settings, self.guard)
        self._loops: dict[str, Loop] = {}
        self._probes: list[Probe] = [self._probe_bus]
        self._closers: list[Loop] = []
        self._stop_listeners: list[Callable[[], None]] = []

    async def _probe_bus(self) -> Mapping[str, bool]:
        return bus_checks(self.broker, self.guard)

    def is_connected(self) -> bool:
        """Whether the bus is reachable right now."""
        return bus_checks(self.broker, self.guard)["nats"]

    def beside(self, name: str, loop: Loop) -> None:
        """Run `loop` for as long as the service runs."""
        self._loops[name] = loop

    def probe(self, probe: Probe) -> None:
        """Make readiness depend on `probe`."""
        self._probes.append(probe)

    def closing(self, close: Loop) -> None:
        """Await `close` when the service stops, also when it stops badly."""
        self._closers.append(close)

    def stopping(self, tell: Callable[[], None]) -> None:
        """Call `tell` as soon as the process is asked to stop, while requests still run."""
        self._stop_listeners.append(tell)

    def health(self) -> Starlette:
        """An app that answers health and metrics and nothing else."""
        return self.install(Starlette(lifespan=self.lifespan))

    def install(self, app: App) -> App:
        """Add the health routes to `app`, which must use `lifespan`."""
        app.routes.extend(health_routes(self._probes))
        return app

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Start everything when the server starts; stop it in the opposite order."""
        running = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self.guard.stop()
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            # Stopping raises when NATS is away; there is nothing left to save then.
            with suppress(Exception):
                await self.broker.stop()
            for close in self._closers:
                await close()

    async def _run(self) -> None:
        try:
            await self.broker.start()
            log.info("started")
            async with asyncio.TaskGroup() as group:
                group.create_task(self.guard.watch(self.broker))
                for name, loop in self._loops.items():
                    group.create_task(self._keep(name, loop))
        except asyncio.CancelledError:
            raise
        except BaseException:
            log.critical("broken", exc_info=True)
            logging.shutdown()
            os._exit(EXIT_SOFTWARE)

    async def _keep(self, name: str, loop: Loop) -> None:
        await loop()
        raise RuntimeError(f"the loop {name!r} ended")

    def serve(self, app: Starlette) -> None:
        """Answer HTTP until told to stop."""
        # What was imported stays for good; what a request makes is mostly freed by reference count.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECTIONS)
        config = uvicorn.Config(
            app,
            host=self.settings.host,
            port=self.settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            http=CarefulProtocol,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        _Server(config, self._stop_listeners).run()


class _Server(uvicorn.Server):
    """Uvicorn, and a word of warning to streams that would never end by themselves."""

    def __init__(self, config: uvicorn.Config, listeners: list[Callable[[], None]]) -> None:
        super().__init__(config)
        self._listeners = listeners

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        for tell in self._listeners:
            tell()
        super().handle_exit(sig, frame)
