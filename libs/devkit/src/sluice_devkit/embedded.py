"""The three servers of a stack, as processes of this machine."""

from dataclasses import dataclass
from pathlib import Path

from sluice_devkit.credentials import Credentials
from sluice_devkit.ports import free_ports
from sluice_devkit.postgres import PostgresServer
from sluice_devkit.servers import NatsServer, ObjectServer, Server
from sluice_runtime import nats_conf


@dataclass(frozen=True)
class Servers:
    """What every stack stands on, wherever the three come from."""

    nats: Server
    postgres: Server
    objects: Server

    def all(self) -> tuple[Server, ...]:
        return (self.nats, self.postgres, self.objects)


def embedded_servers(data: Path, credentials: Credentials) -> Servers:
    """Servers on free ports of the loopback interface, none started; their data lies in `data`."""
    nats_port, postgres_port, objects_port = free_ports(3)
    logs = data / "logs"
    return Servers(
        nats=NatsServer(
            data / "nats",
            nats_port,
            nats_conf.render(
                credentials.quoted_nats(), port=nats_port, store_dir=data / "nats" / "store"
            ),
            log=logs / "nats.log",
        ),
        postgres=PostgresServer(
            data / "postgres",
            postgres_port,
            password=credentials.postgres,
            log=logs / "postgres.log",
        ),
        objects=ObjectServer(
            data / "objects",
            objects_port,
            access_key=credentials.s3_access_key,
            secret_key=credentials.s3_secret_key,
            log=logs / "objects.log",
        ),
    )
