"""The three servers of a stack as containers, for machines where a Docker engine answers.

The same shape, the same ports before and after a kill, and MinIO in place of the embedded object
server. Data stays in the containers: it outlives a kill, but not the stack.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from testcontainers.core.container import DockerContainer

from sluice_devkit.credentials import Credentials, write_private
from sluice_devkit.embedded import Servers
from sluice_devkit.ports import free_ports
from sluice_devkit.postgres import accepts_connections, admin_url
from sluice_devkit.processes import ProcessFailedError
from sluice_devkit.servers import READY_SECONDS, greets_as_nats, responds_to_http
from sluice_runtime import nats_conf

_ANYWHERE = "0.0.0.0"
_STOP_SECONDS = 15
_TAIL_LINES = 20


class ContainerServer:
    """A `Server` that is a container."""

    def __init__(
        self,
        name: str,
        image: str,
        port: int,
        inner_port: int,
        answers: Callable[[], bool],
        *,
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        files: Mapping[Path, str] | None = None,
    ) -> None:
        """`port` is ours, `inner_port` the image's. `files` maps our files to paths inside."""
        self.name = name
        self.port = port
        self._answers = answers
        self._started = False
        self._container = DockerContainer(
            image,
            env=dict(environment or {}),
            volumes=[(str(ours), theirs, "ro") for ours, theirs in (files or {}).items()],
        ).with_bind_ports(inner_port, port)
        if command:
            self._container.with_command(list(command))

    @property
    def pid(self) -> int | None:
        """Its process id on the engine's machine."""
        return self._state().get("Pid") or None

    @property
    def running(self) -> bool:
        return bool(self._state().get("Running"))

    def start(self) -> None:
        if self._started:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._started = True

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not self._answers():
            if not self.running:
                raise ProcessFailedError(self.describe_end())
            if time.monotonic() > deadline:
                raise ProcessFailedError(f"{self.name} was not ready after {seconds:g} s")
            time.sleep(0.1)

    def stop(self) -> None:
        self._container.get_wrapped_container().stop(timeout=_STOP_SECONDS)

    def kill(self) -> None:
        container = self._container.get_wrapped_container()
        container.kill("SIGKILL")
        container.wait()

    def describe_end(self) -> str:
        last = self._container.get_wrapped_container().logs(tail=_TAIL_LINES).decode()
        return f"{self.name} ended with exit code {self._state().get('ExitCode')}\n{last}"

    def _state(self) -> Mapping[str, Any]:
        if not self._started:
            return {}
        container = self._container.get_wrapped_container()
        container.reload()
        state: Mapping[str, Any] = container.attrs["State"]
        return state


def container_servers(data: Path, credentials: Credentials) -> Servers:
    """Servers in containers, none started, on free ports of the loopback interface."""
    nats_port, postgres_port, objects_port = free_ports(3)
    nats_file = data / "nats.conf"
    write_private(
        nats_file,
        nats_conf.render(
            credentials.quoted_nats(), port=4222, store_dir=Path("/data"), host=_ANYWHERE
        ),
    )
    superuser_url = admin_url(postgres_port, credentials.postgres)
    return Servers(
        nats=ContainerServer(
            "nats",
            "nats:2.15",
            nats_port,
            4222,
            partial(greets_as_nats, nats_port),
            command=("--config", "/etc/sluice/nats.conf"),
            files={nats_file: "/etc/sluice/nats.conf"},
        ),
        postgres=ContainerServer(
            "postgres",
            "postgres:18",
            postgres_port,
            5432,
            partial(accepts_connections, superuser_url),
            environment={"POSTGRES_PASSWORD": credentials.postgres},
        ),
        objects=ContainerServer(
            "objects",
            "minio/minio:RELEASE.2025-09-07T16-13-09Z",
            objects_port,
            9000,
            partial(responds_to_http, objects_port),
            command=("server", "/data"),
            environment={
                "MINIO_ROOT_USER": credentials.s3_access_key,
                "MINIO_ROOT_PASSWORD": credentials.s3_secret_key,
            },
        ),
    )
