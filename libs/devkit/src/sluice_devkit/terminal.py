"""Lines of many processes on one terminal, each with the name of its process in front."""

import sys
import threading
from collections.abc import Mapping
from typing import TextIO

NAMES = ("gateway", "storage", "catalog", "notifier", "nats", "postgres", "objects")
_WIDTH = max(len(name) for name in NAMES)
_COLOURS = (36, 32, 33, 35, 34, 94, 90)
_RESET = "\x1b[0m"


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Colour is for terminals, unless NO_COLOR is set to anything (https://no-color.org)."""
    return stream.isatty() and not environment.get("NO_COLOR")


def prefixed(name: str, line: str, *, colour: bool) -> str:
    """`gateway  | line`, the bar always in the same column."""
    prefix = f"{name:<{_WIDTH}} |"
    if colour:
        code = _COLOURS[NAMES.index(name) % len(_COLOURS)] if name in NAMES else 37
        prefix = f"\x1b[{code}m{prefix}{_RESET}"
    return f"{prefix} {line}"


class Printer:
    """Writes whole lines to a stream, from any thread."""

    def __init__(self, stream: TextIO = sys.stderr, *, colour: bool = False) -> None:
        self._stream = stream
        self._colour = colour
        self._lock = threading.Lock()

    def __call__(self, name: str, line: str) -> None:
        with self._lock:
            self._stream.write(prefixed(name, line, colour=self._colour) + "\n")
            self._stream.flush()
