"""A whole Sluice on this machine: three servers, our services, one data folder."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from sluice_devkit.credentials import DATABASES, DEVELOPMENT_KEY, Credentials
from sluice_devkit.embedded import Servers, embedded_servers
from sluice_devkit.environments import SERVICES, Addresses, S3Access
from sluice_devkit.folder import FolderLock
from sluice_devkit.ports import HOST, free_ports, require_free
from sluice_devkit.postgres import admin_url, database_url, ensure_database
from sluice_devkit.processes import ChildProcess, ProcessFailedError
from sluice_devkit.servers import READY_SECONDS, Server
from sluice_devkit.services import Service, provisioning_commands, topology_command
from sluice_devkit.terminal import Printer, wants_colour

BUCKET = "sluice"
PATIENT_GATEWAY = {"SLUICE_REGISTER_TIMEOUT_SECONDS": "60"}
"""Settings of a gateway that waits where a busy machine would make it answer 202."""
_PROVISION_SECONDS = 120.0
_POLL_SECONDS = 0.2

MakeServers = Callable[[Path, Credentials], Servers]


class Stack:
    """Runs everything while its `async with` block lasts; keeps the data for the next time.

    Members are called gateway, storage, catalog, notifier, inspector, nats, postgres and objects.
    Each can be killed and started again; it keeps its port.
    """

    def __init__(
        self,
        data: Path,
        port: int | None = None,
        *,
        echo: bool = False,
        settings: Mapping[str, Mapping[str, str]] | None = None,
        make_servers: MakeServers = embedded_servers,
    ) -> None:
        """Prepare a stack; nothing is written or started yet.

        `port` is the gateway's, a free one if none. With `echo`, what the services write also goes
        to stderr; it is always in `data/logs`. `settings` adds environment variables: service name
        to variable to value.
        """
        self.data = data.resolve()
        self.key = DEVELOPMENT_KEY
        """An API key of the tenant `dev`."""
        self._port = port
        self._echo = (
            Printer(sys.stderr, colour=wants_colour(sys.stderr, os.environ)) if echo else None
        )
        self._settings = settings or {}
        self._make_servers = make_servers
        self._lock = FolderLock(self.data)
        self._starting: set[asyncio.Future[None]] = set()
        self._commands: list[ChildProcess] = []
        self._members: dict[str, Server] = {}
        self._credentials: Credentials
        self._addresses: Addresses

    async def __aenter__(self) -> Self:
        """Start everything and return when all of it is ready.

        Raises:
            FolderInUseError: another stack holds the data folder.
            PortTakenError: something else listens on `port`.
            ProcessFailedError: a member ended, or was not ready in time.
        """
        if not self.data.exists():
            # Nobody else can hold it, and a start that is refused should not leave it behind.
            self._require_port()
        with self._lock.held_on_success():
            try:
                await self._start_all()
            except BaseException:
                await self._stop_all()
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._stop_all()
        finally:
            self._lock.release()

    @property
    def url(self) -> str:
        """The gateway's base URL, without a slash at the end."""
        return f"http://{HOST}:{self._addresses.ports['gateway']}"

    @property
    def nats_url(self) -> str:
        return self._addresses.nats_url

    @property
    def nats_users(self) -> Mapping[str, str]:
        """NATS user to password."""
        return self._credentials.nats

    @property
    def s3(self) -> S3Access:
        return self._addresses.s3

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each member that runs."""
        return {name: pid for name, member in self._members.items() if (pid := member.pid)}

    def database_url(self, database: str) -> str:
        """The URL of `catalog` or `notifier`, as the role that owns it."""
        return self._addresses.database_urls[database]

    def service_url(self, service: str) -> str:
        """The base URL of a service's own port, for `/livez`, `/readyz` and `/metrics`."""
        return f"http://{HOST}:{self._addresses.ports[service]}"

    async def start(self, name: str) -> None:
        """Start a member that was stopped or killed; does not wait until it is ready."""
        # A start that is under way is finished even when we are cancelled, so that whatever it
        # starts is known and can be stopped.
        start = asyncio.ensure_future(asyncio.to_thread(self._members[name].start))
        self._starting.add(start)
        start.add_done_callback(self._starting.discard)
        await asyncio.shield(start)

    async def wait_ready(self, name: str, seconds: float = READY_SECONDS) -> None:
        """Return when a member answers.

        Raises:
            ProcessFailedError: it ended instead, or took longer than `seconds`.
        """
        await asyncio.to_thread(self._members[name].wait_ready, seconds)

    async def stop(self, name: str) -> None:
        """Stop a member in good order."""
        await asyncio.to_thread(self._members[name].stop)

    async def kill(self, name: str) -> None:
        """SIGKILL a member and all it started; returns when they are gone."""
        await asyncio.to_thread(self._members[name].kill)

    async def restart(self, name: str) -> None:
        """Stop a member in good order, start it, and wait until it is ready."""
        await self.stop(name)
        await self.start(name)
        await self.wait_ready(name)

    async def first_to_end(self) -> str:
        """Wait until any member is not running; how it ended and its last words."""
        while True:
            for member in self._members.values():
                if not member.running:
                    return member.describe_end()
            await asyncio.sleep(_POLL_SECONDS)

    async def _start_all(self) -> None:
        self._require_port()
        self._credentials = Credentials.kept_in(self.data / "credentials.json")
        shutil.rmtree(self.data / "logs", ignore_errors=True)
        servers = self._make_servers(self.data, self._credentials)
        self._addresses = self._place(servers)
        self._members = {server.name: server for server in servers.all()}
        await self._bring_up(*self._members)
        await self._provision(servers.postgres.port)
        for name in SERVICES:
            self._members[name] = Service(
                name,
                self._addresses,
                self._credentials,
                settings=self._settings.get(name, {}),
                log=self.data / "logs" / f"{name}.log",
                echo=self._echo,
            )
        await self._bring_up(*SERVICES)

    def _require_port(self) -> None:
        if self._port is not None:
            require_free(self._port)

    def _place(self, servers: Servers) -> Addresses:
        ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
        if self._port is not None:
            ports["gateway"] = self._port
        return Addresses(
            nats_url=f"nats://{HOST}:{servers.nats.port}",
            database_urls={
                name: database_url(
                    servers.postgres.port, name, name, self._credentials.databases[name]
                )
                for name in DATABASES
            },
            s3=S3Access(
                url=f"http://{HOST}:{servers.objects.port}",
                access_key=self._credentials.s3_access_key,
                secret_key=self._credentials.s3_secret_key,
                bucket=BUCKET,
            ),
            ports=ports,
        )

    async def _bring_up(self, *names: str) -> None:
        async def one(name: str) -> None:
            await self.start(name)
            await self.wait_ready(name, READY_SECONDS * 2)

        await asyncio.gather(*(one(name) for name in names))

    async def _provision(self, postgres_port: int) -> None:
        superuser_url = admin_url(postgres_port, self._credentials.postgres)
        for name in DATABASES:
            password = self._credentials.databases[name]
            await asyncio.to_thread(ensure_database, superuser_url, name, password)
        logs = self.data / "logs"
        known = (self._addresses, self._credentials)
        await self._run(topology_command(*known, logs=logs, echo=self._echo))
        others = provisioning_commands(*known, logs=logs, echo=self._echo)
        await asyncio.gather(*(self._run(command) for command in others))

    async def _run(self, command: ChildProcess) -> None:
        self._commands.append(command)
        command.start()
        if await asyncio.to_thread(command.wait, _PROVISION_SECONDS) != 0:
            raise ProcessFailedError(command.describe_end())

    async def _stop_all(self) -> None:
        """Services first: they finish what they hold while the servers are still there."""
        await asyncio.gather(*self._starting, return_exceptions=True)
        for command in self._commands:
            await asyncio.to_thread(command.kill)
        running = {name for name, member in self._members.items() if member.running}
        await asyncio.gather(*(self.stop(name) for name in running.intersection(SERVICES)))
        await asyncio.gather(*(self.stop(name) for name in running.difference(SERVICES)))
