"""The little of a NATS server that a client sees who is not welcome, or has no rights."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_INFO = {"server_id": "x", "version": "2.12.1", "proto": 1, "max_payload": 1024, "headers": True}


class NatsServer(socketserver.ThreadingTCPServer):
    """Lets in whoever has `password`; nobody may listen to anything."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, password: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.password = password
        self.attempts = 0

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.StreamRequestHandler):
    server: NatsServer

    def handle(self) -> None:
        self._say(f"INFO {json.dumps(_INFO | {'auth_required': True})}")
        for line in self.rfile:
            verb, _, rest = line.decode().strip().partition(" ")
            if verb == "CONNECT" and not self._lets_in(json.loads(rest)):
                self._say("-ERR 'Authorization Violation'")
                return
            if verb == "SUB":
                subject = rest.split(" ")[0]
                self._say(f"-ERR 'Permissions Violation for Subscription to \"{subject}\"'")
            if verb == "PING":
                self._say("PONG")

    def _lets_in(self, given: dict[str, object]) -> bool:
        self.server.attempts += 1
        return given.get("pass") == self.server.password

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def nats_server(password: str) -> Iterator[NatsServer]:
    """A server that lasts as long as the block."""
    with NatsServer(password) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
