"""The shape every member of a stack has, and two of the three servers: NATS and the S3 server."""

import http.client
import shutil
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from sluice_devkit.credentials import write_private
from sluice_devkit.environments import base_environment
from sluice_devkit.ports import HOST, require_free
from sluice_devkit.processes import ChildProcess, Echo, ProcessFailedError, Program

READY_SECONDS = 30.0
_POLL_SECONDS = 0.02


class Server(Protocol):
    """Something a stack starts, stops, kills, and starts again on the same port and data."""

    @property
    def name(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""

    @property
    def running(self) -> bool: ...
    def start(self) -> None:
        """Start; returns before it is ready."""

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return when it answers.

        Raises:
            ProcessFailedError: it ended instead, or did not answer in time.
        """

    def stop(self) -> None:
        """Ask it to end, and wait; kill it when it takes too long."""

    def kill(self) -> None:
        """End it without warning, with all it started, and wait until it is gone."""

    def describe_end(self) -> str:
        """How it ended and its last words."""


class SupervisedServer:
    """A `Server` that is a child process; what it takes to be ready is handed in."""

    def __init__(
        self, program: Program, port: int, answers: Callable[[], bool], echo: Echo | None
    ) -> None:
        self.port = port
        self._process = ChildProcess(program, echo)
        self._answers = answers

    @property
    def name(self) -> str:
        return self._process.name

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.running

    def start(self) -> None:
        require_free(self.port)
        self._process.start()

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not self._answers():
            if not self.running:
                raise ProcessFailedError(self.describe_end())
            if time.monotonic() > deadline:
                raise ProcessFailedError(f"{self.name} was not ready after {seconds:g} s")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        self._process.kill()

    def describe_end(self) -> str:
        return self._process.describe_end()


def binary(name: str) -> str:
    """The path of a program that came with a wheel.

    Raises:
        FileNotFoundError: it is not beside this Python.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; run `make setup`")
    return found


def greets_as_nats(port: int) -> bool:
    """Whether a NATS server sends its greeting."""
    with suppress(OSError), socket.create_connection((HOST, port), 1.0) as connection:
        return connection.recv(5) == b"INFO "
    return False


def responds_to_http(port: int) -> bool:
    """Whether an HTTP server answers, be it with a refusal."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


class NatsServer(SupervisedServer):
    """NATS with JetStream. Listens only after its streams are recovered."""

    def __init__(
        self, data: Path, port: int, configuration: str, *, log: Path, echo: Echo | None = None
    ) -> None:
        """`configuration` names the port and the store folder itself; it is kept in `data`."""
        data.mkdir(parents=True, exist_ok=True)
        file = data / "nats.conf"
        write_private(file, configuration)
        program = Program(
            name="nats",
            command=(binary("nats-server"), "--config", str(file)),
            environment=base_environment(),
            log=log,
        )
        super().__init__(program, port, partial(greets_as_nats, port), echo)


class ObjectServer(SupervisedServer):
    """The S3 API on a folder: a bucket is a folder in it, an object a file.

    What it keeps in memory only, and forgets when it stops: content types and user metadata of
    objects, and multipart uploads that are not complete.
    """

    def __init__(
        self,
        data: Path,
        port: int,
        *,
        access_key: str,
        secret_key: str,
        log: Path,
        echo: Echo | None = None,
    ) -> None:
        data.mkdir(parents=True, exist_ok=True)
        # In the environment, because everyone can list the arguments of a process.
        secret = {"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"'}
        program = Program(
            name="objects",
            command=(
                binary("rclone"),
                *("serve", "s3", str(data)),
                *("--addr", f"{HOST}:{port}"),
                *("--config", ""),  # none, rather than the one of whoever runs this
                *("--allow-origin", "*"),  # browsers upload straight to signed URLs
                *("--vfs-cache-mode", "off"),  # an answer to a PUT means the file is there
                *("--poll-interval", "0s"),
                # Without this each first look at an object, also in a listing, reads it in full.
                *("--etag-hash", ""),
                *("--log-level", "ERROR"),
            ),
            environment=base_environment() | secret,
            log=log,
        )
        super().__init__(program, port, partial(responds_to_http, port), echo)
