"""Uvicorn's HTTP parser with a limit on headers, and refusals in the form of all others."""

from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sluice_contracts.api import Problem
from sluice_runtime.web import PROBLEM_ROOT, PROBLEM_TYPE

# Headers, and the packet that ends them, which may already hold 256 KiB of the body.
_MOST_BYTES = 320 * 1024
_DETAIL = "The request is not valid HTTP."


class CarefulProtocol(HttpToolsProtocol):
    """Reads a limited amount of headers, and answers what is not HTTP with a problem document.

    Headers come before authentication, so everybody may send them.
    """

    _in_headers = True
    _header_bytes = 0

    def on_headers_complete(self) -> None:
        self._in_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_headers, self._header_bytes = True, 0
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > _MOST_BYTES:
                status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                self._refuse(status, "headers-too-large", "The headers are too large.")
                return
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, "malformed-http", _DETAIL)

    def _refuse(self, status: HTTPStatus, code: str, detail: str) -> None:
        problem = Problem(
            type=PROBLEM_ROOT + code,
            title=status.phrase,
            status=status,
            detail=detail,
            code=code,
        )
        body = problem.model_dump_json(exclude_none=True).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            f"content-type: {PROBLEM_TYPE}\r\n"
            f"content-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
