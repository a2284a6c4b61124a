"""What became of each file, kept in SQLite: it survives a kill and a power cut.

A commit is on the disk before the agent acts on it. When the disk is full, the ledger goes on in
memory: sending chunks is what makes room again, and what is forgotten meanwhile is worked out anew
to the same result.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sluice_cli.agent.endings import AgentError
from sluice_cli.agent.entries import Entry, Stamp, State

_SCHEMA = """
create table if not exists files (
    name blob primary key,
    size_bytes integer not null,
    mtime_ns integer not null,
    start_ts text not null,
    end_ts text not null,
    codec text not null,
    sample_rate integer not null,
    channels integer not null,
    sha256 text,
    state text not null,
    chunk_id text,
    attempts integer not null,
    next_try real not null,
    accepted_at real,
    last_error text
) without rowid;
create index if not exists files_in_turn on files (state, start_ts, name);
create table if not exists memory (subject text primary key, content text not null) without rowid;
pragma user_version = 1;
"""
_COLUMNS = 15
_SAVE = f"insert or replace into files values ({', '.join('?' * _COLUMNS)})"  # noqa: S608
# Seconds between attempts to return from memory to the disk.
_RETURN_SECONDS = 30.0
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)


class Ledger:
    """Use it from one thread. `notice` is told when something is wrong with the disk."""

    def __init__(self, path: Path, notice: Callable[[str], None]) -> None:
        """Open the ledger, or begin one; a broken one is moved aside.

        That is harmless: a chunk that is sent again is recognised by the server.

        Raises:
            AgentError: somebody else has it open, or it cannot be opened at all.
        """
        self._path = path
        self._notice = notice
        self._in_memory_since: float | None = None
        try:
            self._db = _opened(path)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise AgentError(f"another agent uses the ledger {path}") from None
            if error.sqlite_errorcode not in _NO_ROOM:
                raise AgentError(f"cannot open the ledger {path}: {error}") from error
            self._db = _prepared(sqlite3.connect(":memory:", isolation_level=None))
            self._moved_to_memory(error)
        except sqlite3.DatabaseError as error:
            aside = _moved_aside(path)
            notice(f"the ledger is broken ({error}); it is now {aside.name}, a new one begins")
            self._db = _opened(path)

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._return_to_disk(after_seconds=0.0)
        self._db.close()

    def find(self, name: str) -> Entry | None:
        row = self._db.execute("select * from files where name = ?", (_key(name),)).fetchone()
        return None if row is None else _entry(row)

    def names(self, states: Sequence[State]) -> list[str]:
        query = f"select name from files where {_among(states)}"  # noqa: S608 - placeholders only
        return [_name(name) for (name,) in self._db.execute(query, states)]

    def count(self, states: Sequence[State]) -> int:
        query = f"select count(*) from files where {_among(states)}"  # noqa: S608 - as above
        return int(self._db.execute(query, states).fetchone()[0])

    def due(self, state: State, now: float, longest_delay_seconds: float) -> Entry | None:
        """The oldest recording in a state whose time has come.

        A time further ahead than anything is ever put off comes from a clock that has been set
        since; it counts as come.
        """
        row = self._db.execute(
            "select * from files where state = ? and (next_try <= ? or next_try > ?)"
            " order by start_ts, name limit 1",
            (state, now, now + longest_delay_seconds + 1.0),
        ).fetchone()
        return None if row is None else _entry(row)

    def save(self, *entries: Entry) -> None:
        """Record all of them, or none, in one commit."""
        self._write(_SAVE, *map(_row, entries))

    def begin_anew(self) -> None:
        """Have every file sent, whatever became of it."""
        self._write(
            "update files set state = ?, chunk_id = null, attempts = 0, next_try = 0,"
            " accepted_at = null, last_error = null",
            (State.PENDING,),
        )

    def remove(self, name: str) -> None:
        self._write("delete from files where name = ?", (_key(name),))

    def recall(self, subject: str) -> dict[str, str] | None:
        """What was remembered about something that is not a file."""
        found = self._db.execute("select content from memory where subject = ?", (subject,))
        row = found.fetchone()
        return None if row is None else json.loads(row[0])

    def remember(self, subject: str, content: dict[str, str] | None) -> None:
        """Keep `content`, or forget the subject."""
        if content is None:
            self._write("delete from memory where subject = ?", (subject,))
        else:
            text = json.dumps(content)
            self._write("insert or replace into memory values (?, ?)", (subject, text))

    def _write(self, statement: str, *rows: Sequence[object]) -> None:
        self._return_to_disk()
        try:
            _commit(self._db, statement, rows)
        except sqlite3.OperationalError as error:
            if self._in_memory_since is not None:
                raise
            memory = sqlite3.connect(":memory:", isolation_level=None)
            self._db.backup(memory)
            self._db.close()
            self._db = memory
            self._moved_to_memory(error)
            _commit(self._db, statement, rows)

    def _moved_to_memory(self, error: sqlite3.Error) -> None:
        self._in_memory_since = time.monotonic()
        self._notice(f"the ledger cannot be written ({error}); going on in memory")

    def _return_to_disk(self, after_seconds: float = _RETURN_SECONDS) -> None:
        since = self._in_memory_since
        if since is None or time.monotonic() < since + after_seconds:
            return
        self._in_memory_since = time.monotonic()
        with suppress(sqlite3.OperationalError):
            disk = _opened(self._path)
            try:
                self._db.backup(disk)
            except sqlite3.Error:
                disk.close()
                raise
            self._db.close()
            self._db = disk
            self._in_memory_since = None
            self._notice("the ledger is on the disk again")


def _opened(path: Path) -> sqlite3.Connection:
    """A checked connection that nobody else can have at the same time."""
    database = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    try:
        # Exclusive first: the write-ahead log then needs no shared memory, which not every file
        # system offers. FULL: a commit survives a power cut.
        database.execute("pragma locking_mode = exclusive")
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = full")
        _check(database)
        return _prepared(database)
    except BaseException:
        database.close()
        raise


def _check(database: sqlite3.Connection) -> None:
    (verdict,) = database.execute("pragma quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _prepared(database: sqlite3.Connection) -> sqlite3.Connection:
    database.executescript(_SCHEMA)
    with closing(database.execute("select * from files limit 0")) as empty:
        if len(empty.description) != _COLUMNS:
            raise sqlite3.DatabaseError("it has columns of another version")
    return database


def _commit(database: sqlite3.Connection, statement: str, rows: Sequence[Sequence[object]]) -> None:
    database.execute("begin")
    try:
        database.executemany(statement, rows)
        database.execute("commit")
    except BaseException:
        # Some failures have undone the transaction by themselves.
        if database.in_transaction:
            database.execute("rollback")
        raise


def _moved_aside(path: Path) -> Path:
    """Put a ledger and what SQLite keeps beside it out of the way."""
    ending = f".broken-{time.time_ns()}"
    for part in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + part).rename(path.with_name(path.name + ending + part))
    return path.with_name(path.name + ending)


def _among(states: Sequence[State]) -> str:
    return f"state in ({', '.join('?' * len(states))})"


def _key(name: str) -> bytes:
    """Names of files are bytes, and not always text."""
    return name.encode("utf-8", "surrogateescape")


def _name(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def _row(entry: Entry) -> tuple[object, ...]:
    sound = (entry.codec, entry.sample_rate, entry.channels, entry.sha256)
    progress = (entry.state, entry.chunk_id, entry.attempts, entry.next_try, entry.accepted_at)
    stamp = (entry.stamp.size_bytes, entry.stamp.mtime_ns)
    times = (entry.start_ts, entry.end_ts)
    return (_key(entry.name), *stamp, *times, *sound, *progress, entry.last_error)


def _entry(row: Sequence[Any]) -> Entry:
    name, size_bytes, mtime_ns, start_ts, end_ts, codec, rate, channels, sha256, state, *rest = row
    stamp = Stamp(size_bytes, mtime_ns)
    sound = (codec, rate, channels, sha256)
    return Entry(_name(name), stamp, start_ts, end_ts, *sound, State(state), *rest)
