"""What each process of a stack is told, and nothing it need not know."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from sluice_devkit.credentials import INITIAL_KEYS, Credentials
from sluice_devkit.ports import HOST

# The four services, and the inspector, which is a process of storage but has a user of its own.
SERVICES = ("gateway", "storage", "catalog", "notifier", "inspector")

# What a process needs from the machine; the rest of our environment is none of its business.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class S3Access:
    """Where the object store is and how to sign for it."""

    url: str
    access_key: str
    secret_key: str
    bucket: str


@dataclass(frozen=True)
class Addresses:
    """Where everything of one stack listens."""

    nats_url: str
    database_urls: Mapping[str, str]
    """Database to URL, with the password of its role."""
    s3: S3Access
    ports: Mapping[str, int]
    """Service to its HTTP port."""


def base_environment() -> dict[str, str]:
    """What any child process gets: enough to find programs and folders, no secret."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def service_environment(
    service: str, addresses: Addresses, credentials: Credentials
) -> dict[str, str]:
    """The whole environment of a service, to serve or to provision."""
    own = {
        # The embedded S3 server answers a range with 200, so players could not seek through it.
        "gateway": {
            "SLUICE_TOKEN_SECRET": credentials.token_secret,
            "SLUICE_MEDIA_PROXY": "true",
            # That server writes parts in order, and holds in memory what comes beside.
            "SLUICE_PARTS_IN_FLIGHT": "1",
            # Left to the system, megabytes wait for a server on the same machine, and leave the
            # cache of the processor meanwhile: with less it reads a twentieth faster.
            "SLUICE_STORE_SEND_BUFFER_BYTES": str(128 * 1024),
        },
        "storage": {
            "SLUICE_S3_URL": addresses.s3.url,
            "SLUICE_S3_PUBLIC_URL": addresses.s3.url,
            "SLUICE_S3_ACCESS_KEY": addresses.s3.access_key,
            "SLUICE_S3_SECRET_KEY": addresses.s3.secret_key,
            "SLUICE_S3_BUCKET": addresses.s3.bucket,
            # Measured with the embedded S3 server: one stream is faster than parts.
            "SLUICE_SINGLE_PUT_BYTES": str(5 * 1024**3),
        },
        "catalog": {"SLUICE_DATABASE_URL": addresses.database_urls["catalog"]},
        "notifier": {"SLUICE_DATABASE_URL": addresses.database_urls["notifier"]},
        "inspector": {},
    }
    return {
        **_nats_environment(service, addresses, credentials),
        "SLUICE_HOST": HOST,
        "SLUICE_PORT": str(addresses.ports[service]),
        **own[service],
    }


def provisioning_environment(
    service: str, addresses: Addresses, credentials: Credentials
) -> dict[str, str]:
    """As the service's own, and for the catalog the keys to begin with."""
    environment = service_environment(service, addresses, credentials)
    if service == "catalog":
        environment["SLUICE_INITIAL_KEYS"] = json.dumps(INITIAL_KEYS)
    return environment


def topology_environment(addresses: Addresses, credentials: Credentials) -> dict[str, str]:
    """The environment of `python -m sluice_runtime.topology`."""
    return _nats_environment("topology", addresses, credentials)


def _nats_environment(user: str, addresses: Addresses, credentials: Credentials) -> dict[str, str]:
    return {
        **base_environment(),
        "PYTHONUNBUFFERED": "1",
        "SLUICE_ENVIRONMENT": "development",
        "SLUICE_LOG_LEVEL": os.environ.get("SLUICE_LOG_LEVEL", "INFO").upper(),
        "SLUICE_NATS_URL": addresses.nats_url,
        "SLUICE_NATS_USER": user,
        "SLUICE_NATS_PASSWORD": credentials.nats[user],
    }
