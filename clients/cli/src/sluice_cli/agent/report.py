"""What an agent says: one line a file to stdout, everything else to stderr."""

import json
import sys
from contextlib import suppress

from sluice_cli.printing import printable


class Report:
    """Writes lines. A full disk, a reader that left or letters a terminal does not have must not
    keep chunks from being sent, so what cannot be written is lost."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def file(self, name: str, status: str, words: str, /, **facts: str | int | None) -> None:
        """What became of a file; `facts` are for programs, `words` for people."""
        if self._as_json:
            # Escapes all but ASCII, so that a name in no encoding at all comes through.
            text = json.dumps({"file": name, "status": status, **facts})
        else:
            text = printable(f"{name} {status} {words}".rstrip())
        with suppress(OSError, ValueError):
            print(text, flush=True)

    def notice(self, text: str) -> None:
        with suppress(OSError, ValueError):
            print(f"sluice agent: {printable(text)}", file=sys.stderr, flush=True)
