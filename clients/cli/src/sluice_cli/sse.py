"""Server-sent events, parsed from bytes as they arrive.

Source: WHATWG HTML, "Server-sent events", section 9.2.6.
"""

import codecs
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    """One event; `last_id` is the newest id the stream has shown up to here."""

    event: str
    data: str
    last_id: str | None


class EventParser:
    """Turns chunks of a stream into events, wherever the chunks are cut.

    One parser serves one connection: half an event at its end is dropped, as the source asks.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._after_return = False
        self._at_start = True
        self._event = ""
        self._data: list[str] = []
        self._last_id: str | None = None

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that `chunk` completes."""
        text = self._decoder.decode(chunk)
        if self._at_start and text:
            text = text.removeprefix("\ufeff")
            self._at_start = False
        found = [self._take(line) for line in self._lines(text)]
        return [event for event in found if event is not None]

    def _lines(self, text: str) -> list[str]:
        # A return at the end of one chunk and a line feed at the start of the next are one end.
        if self._after_return and text:
            text = text.removeprefix("\n")
            self._after_return = False
        self._after_return = self._after_return or text.endswith("\r")
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if lines:
            lines[0] = self._rest + lines[0]
            self._rest = rest
        else:
            self._rest += rest
        return lines

    def _take(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._last_id = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        event, data = self._event or "message", "\n".join(self._data)
        complete = bool(self._data)
        self._event, self._data = "", []
        return ServerEvent(event, data, self._last_id) if complete else None
