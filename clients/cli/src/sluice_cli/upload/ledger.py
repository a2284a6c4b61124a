"""Which file is which upload: kept in SQLite, so that any interruption can be resumed.

The ledger spares work and nothing else: without it a file is sent again from its beginning.
"""

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sluice_cli.failures import UsageError
from sluice_cli.upload.files import Source

_SCHEMA = """
create table if not exists uploads (
    server text not null,
    batch_id text not null,
    path blob not null,
    size_bytes integer not null,
    mtime_ns integer not null,
    idempotency_key text not null,
    upload_id text,
    primary key (server, batch_id, path)
) without rowid;
pragma user_version = 1;
"""
_BUSY_SECONDS = 10.0


@dataclass(frozen=True)
class Entry:
    """How a file is known to a server; without an `upload_id` nobody heard the answer yet."""

    idempotency_key: str
    upload_id: str | None = None


class Ledger:
    """The uploads to one server, into one batch or none. Several processes may share it."""

    def __init__(self, path: Path, server: str, batch_id: str | None) -> None:
        """Raises `UsageError` when it cannot be opened, or is something else."""
        self._where = (server, batch_id or "")
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
            self._db.execute("pragma journal_mode = wal")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"cannot use the ledger {path}: {error}") from error

    def close(self) -> None:
        self._db.close()

    def find(self, source: Source) -> Entry | None:
        """What is known of a file, unless it changed since."""
        with self._usable():
            row = self._db.execute(
                "select idempotency_key, upload_id from uploads where server = ? and batch_id = ?"
                " and path = ? and size_bytes = ? and mtime_ns = ?",
                (*self._key(source), source.size_bytes, source.mtime_ns),
            ).fetchone()
        return None if row is None else Entry(*row)

    def begin(self, source: Source) -> Entry:
        """A new key for a file, written down before anybody is asked anything."""
        entry = Entry(str(uuid.uuid4()))
        with self._usable():
            self._db.execute(
                "insert or replace into uploads values (?, ?, ?, ?, ?, ?, null)",
                (
                    *self._key(source),
                    source.size_bytes,
                    source.mtime_ns,
                    entry.idempotency_key,
                ),
            )
        return entry

    def began(self, source: Source, idempotency_key: str, upload_id: str) -> None:
        """The server answered: what was asked for under this key is this upload."""
        with self._usable():
            self._db.execute(
                "update uploads set upload_id = ? where server = ? and batch_id = ? and path = ?"
                " and idempotency_key = ?",
                (upload_id, *self._key(source), idempotency_key),
            )

    def forget(self, source: Source) -> None:
        """What was known of a file leads nowhere any more."""
        with self._usable():
            self._db.execute(
                "delete from uploads where server = ? and batch_id = ? and path = ?",
                self._key(source),
            )

    def _key(self, source: Source) -> tuple[str, str, bytes]:
        # As bytes: a file name need not be text.
        return (*self._where, os.fsencode(source.path))

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UsageError(f"cannot use the ledger {self._path}: {error}") from error


def default_path() -> Path:
    """Where the ledger lies when nobody says. Source: XDG Base Directory Specification.

    Raises:
        UsageError: it cannot be told whose home this is.
    """
    state = os.environ.get("XDG_STATE_HOME")
    try:
        home = Path(state) if state else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise UsageError("there is no home directory to keep a ledger in; give --ledger") from error
    return home / "sluice" / "uploads.db"
