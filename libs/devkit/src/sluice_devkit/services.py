"""The services of a stack, the inspector among them, and the commands that prepare their ground."""

import http.client
import sys
from collections.abc import Mapping
from pathlib import Path

from sluice_devkit.credentials import Credentials
from sluice_devkit.environments import (
    Addresses,
    provisioning_environment,
    service_environment,
    topology_environment,
)
from sluice_devkit.ports import HOST
from sluice_devkit.processes import ChildProcess, Echo, Program
from sluice_devkit.servers import SupervisedServer

_PROVISIONED = ("storage", "catalog", "notifier")
# Where a service is not simply its own module.
_COMMANDS = {"inspector": ("sluice_storage", "inspect")}


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module; the working folder is no place to import from (`-P`)."""
    return (sys.executable, "-P", "-m", name, *arguments)


class Service(SupervisedServer):
    """One of our services; ready when `/readyz` says so."""

    def __init__(
        self,
        name: str,
        addresses: Addresses,
        credentials: Credentials,
        *,
        settings: Mapping[str, str],
        log: Path,
        echo: Echo | None,
    ) -> None:
        """`settings` are environment variables besides those every stack sets."""
        program = Program(
            name=name,
            command=module(*_COMMANDS.get(name, (f"sluice_{name}", "serve"))),
            environment={**service_environment(name, addresses, credentials), **settings},
            log=log,
        )
        super().__init__(program, addresses.ports[name], self._is_ready, echo)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5.0)
        try:
            connection.request("GET", "/readyz")
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def topology_command(
    addresses: Addresses, credentials: Credentials, *, logs: Path, echo: Echo | None
) -> ChildProcess:
    """Declares the streams and consumers; comes before anything that uses them."""
    program = Program(
        name="topology",
        command=module("sluice_runtime.topology"),
        environment=topology_environment(addresses, credentials),
        log=logs / "topology.log",
    )
    return ChildProcess(program, echo)


def provisioning_commands(
    addresses: Addresses, credentials: Credentials, *, logs: Path, echo: Echo | None
) -> list[ChildProcess]:
    """Make the bucket, the tables and the first keys; in any order, even at the same time."""
    return [
        ChildProcess(
            Program(
                name=name,
                command=module(f"sluice_{name}", "provision"),
                environment=provisioning_environment(name, addresses, credentials),
                log=logs / f"{name}-provision.log",
            ),
            echo,
        )
        for name in _PROVISIONED
    ]
