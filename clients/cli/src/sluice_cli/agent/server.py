"""The server as a recorder sees it: three requests, each on a connection of its own.

A chunk a minute is not worth a connection that may have died in between.
"""

import ssl
from collections.abc import Iterable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from sluice_cli.agent.endings import INTEGRITY, SOME_FAILED, AgentError
from sluice_cli.agent.entries import Entry
from sluice_cli.agent.form import FileChangedError, Form
from sluice_cli.agent.settings import Place
from sluice_cli.agent.verdicts import (
    Denied,
    Reply,
    Trouble,
    Verdict,
    judge_failure,
    judge_question,
    judge_upload,
    read_reply,
)

# An answer is a few hundred bytes; nobody may fill the memory of a recorder.
_LONGEST_ANSWER = 64 * 1024
_LAST_WORDS_SECONDS = 5.0


class _FileError(Exception):
    """Reading the file failed, not the network: both raise OSError."""


class _BrokenError(Exception):
    """No usable answer; `reached` when there was a connection."""

    def __init__(self, error: Exception, *, reached: bool) -> None:
        super().__init__(str(error) or type(error).__name__)
        self.reached = reached


class Server:
    """Requests to `base_url` as one device. Connections silent for `silence_seconds` are given up;
    the time runs anew with each piece that is sent or received."""

    def __init__(self, base_url: str, token: str, silence_seconds: float) -> None:
        self._parts = parsed(base_url)
        self._token = token
        self._silence_seconds = silence_seconds
        self._tls = ssl.create_default_context() if self._parts.scheme == "https" else None

    def upload(self, form: Form) -> Verdict:
        """Send a chunk and say what the server made of it."""
        headers = {"Content-Type": form.content_type, "Content-Length": str(form.size_bytes)}
        try:
            reply = self._exchange("POST", "/api/v1/chunks", headers, _guarded(form))
        except _BrokenError as error:
            return Trouble(str(error), about_file=error.reached)
        except FileChangedError as error:
            return Trouble(str(error), about_file=True, exit_code=INTEGRITY)
        except _FileError as error:
            return Trouble(f"cannot read it: {error}", about_file=True, exit_code=SOME_FAILED)
        return judge_upload(reply)

    def ask(self, entry: Entry) -> Verdict:
        """Whether an accepted chunk is registered by now."""
        try:
            reply = self._exchange("GET", f"/api/v1/chunks/{entry.chunk_id}")
        except _BrokenError as error:
            return Trouble(str(error), about_file=False)
        return judge_question(reply, entry)

    def place_of(self, device_id: UUID) -> Place | Denied | Trouble:
        """Where the device stands.

        Raises:
            AgentError: the token is another device's.
        """
        try:
            reply = self._exchange("GET", "/api/v1/devices/me")
        except _BrokenError as error:
            return Trouble(str(error), about_file=False)
        if reply.status == 404:
            detail = "this server cannot tell where the device stands; give --point-id and "
            return Trouble(f"{detail}--register-id", about_file=False)
        if reply.status != 200:
            return judge_failure(reply)
        try:
            ids = [UUID(str(reply.body[f"{name}_id"])) for name in ("device", "point", "register")]
        except (KeyError, ValueError):
            return Trouble("what answered 200 is not Sluice", about_file=False)
        if ids[0] != device_id:
            raise AgentError(f"the token is that of device {ids[0]}, not of {device_id}")
        return Place(point_id=ids[1], register_id=ids[2])

    def _exchange(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] = (),
    ) -> Reply:
        connection = self._connection()
        reached = False
        try:
            connection.connect()
            reached = True
            connection.putrequest(method, self._parts.path.rstrip("/") + path)
            standing = {"Authorization": f"Bearer {self._token}", "Connection": "close"}
            for name, value in {
                **standing,
                "Accept": "application/json",
                **(headers or {}),
            }.items():
                connection.putheader(name, value)
            connection.endheaders()
            response = _sent(connection, body)
            content = response.read(_LONGEST_ANSWER)
            return read_reply(response.status, content, response.getheader("Retry-After"))
        except (OSError, HTTPException, UnicodeError) as error:  # the last: a host no name can be
            raise _BrokenError(error, reached=reached) from error
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        host, port = str(self._parts.hostname), self._parts.port
        if self._tls is None:
            return HTTPConnection(host, port, timeout=self._silence_seconds)
        return HTTPSConnection(host, port, timeout=self._silence_seconds, context=self._tls)


def parsed(base_url: str) -> SplitResult:
    """The parts of an address.

    Raises:
        AgentError: it is not one of a web server.
    """
    with suppress(ValueError):
        parts = urlsplit(base_url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise AgentError(f"{base_url} is not an http or https address")


def _sent(connection: HTTPConnection, body: Iterable[bytes]) -> HTTPResponse:
    """The answer to a request with this body.

    A server may say no before it has read everything, and hang up: its words are still worth
    reading. A yes it cannot have said.
    """
    try:
        for piece in body:
            connection.send(piece)
    except (BrokenPipeError, ConnectionResetError) as error:
        try:
            if connection.sock:
                connection.sock.settimeout(_LAST_WORDS_SECONDS)
            response = connection.getresponse()
        except (OSError, HTTPException):
            raise error from None
        if response.status < 300:
            raise
        return response
    return connection.getresponse()


def _guarded(form: Form) -> Iterable[bytes]:
    try:
        yield from form.pieces()
    except OSError as error:
        raise _FileError(error.strerror or str(error)) from error
