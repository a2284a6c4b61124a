"""The secrets of one development stack, made once and kept beside its data."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sluice_runtime import nats_conf

DATABASES = ("catalog", "notifier")

DEVELOPMENT_KEY = "test_12345"
ADMINISTRATOR_KEY = "changeme-admin-token"
_DOORS = tuple(
    f"{door}:{right}"
    for door in ("recordings", "calls", "renders", "uploads")
    for right in ("read", "write")
)
INITIAL_KEYS = (
    {
        "name": "development",
        "tenant": "dev",
        "token": DEVELOPMENT_KEY,
        "scopes": [*_DOORS, "chunks:read", "events:read"],
    },
    {
        "name": "administrator",
        "tenant": "dev",
        "token": ADMINISTRATOR_KEY,
        "scopes": ["admin", "chunks:read"],
    },
)
"""The keys the source documents use, in the form `sluice_catalog provision` takes."""


def _secret() -> str:
    # URL-safe, so that it fits into a database URL and a NATS configuration as it is.
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Credentials:
    """Every secret the servers and services of one stack share, two by two."""

    nats: dict[str, str]
    """NATS user to password."""
    databases: dict[str, str]
    """Database role to password; the role has the name of its database."""
    postgres: str
    """The password of the PostgreSQL superuser."""
    s3_access_key: str
    s3_secret_key: str
    token_secret: str
    """With what the gateway signs its own links and tokens."""

    @classmethod
    def new(cls) -> "Credentials":
        return cls(
            nats={user: _secret() for user in nats_conf.USERS},
            databases={name: _secret() for name in DATABASES},
            postgres=_secret(),
            s3_access_key=f"sluice-{secrets.token_hex(8)}",
            s3_secret_key=_secret(),
            token_secret=_secret(),
        )

    def quoted_nats(self) -> dict[str, str]:
        """NATS user to password, as text in a NATS configuration."""
        return {user: json.dumps(password) for user, password in self.nats.items()}

    @classmethod
    def kept_in(cls, path: Path) -> "Credentials":
        """Those in the file, or new ones written to it, readable by its owner only."""
        made = cls.new()
        if path.exists():
            kept = cls(**json.loads(path.read_text()))
            # A user or a database that came with a later version is not in an older file.
            made = replace(
                kept,
                nats={**made.nats, **kept.nats},
                databases={**made.databases, **kept.databases},
            )
        write_private(path, json.dumps(asdict(made), indent=2))
        return made


def write_private(path: Path, text: str) -> None:
    """Replace a file, whole or not at all, with one only its owner may read."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
