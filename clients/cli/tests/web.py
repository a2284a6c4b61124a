"""A real HTTP server on a free port, whose answers a test decides."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NOW = "2026-11-24T10:00:00Z"


@dataclass(frozen=True)
class Asked:
    """A request the server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the server says; `hang_up` closes the connection without a word."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False


def as_json(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers)


def problem(status: int, code: str, *, retryable: bool = False, **headers: str) -> Answer:
    body = {
        "type": f"https://sluice.dev/problems/{code}",
        "title": code,
        "status": status,
        "detail": f"about {code}",
        "code": code,
        "retryable": retryable,
    }
    return as_json(body, status, **headers)


Decide = Callable[[Asked], Answer]


class Site(ThreadingHTTPServer):
    """Answers each request with what `decide` returns, and remembers all of them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.decide: Decide = lambda _asked: Answer(404)
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def in_turn(self, *answers: Answer) -> None:
        """Give these answers one after the other, the last one for ever."""
        left = list(answers)
        self.decide = lambda _asked: left.pop(0) if len(left) > 1 else left[0]


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body)
        self.server.asked.append(asked)
        answer = self.server.decide(asked)
        self.close_connection = True
        if answer.hang_up:
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = _handle  # noqa: N815 - the names http.server calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        """The test says what matters."""
