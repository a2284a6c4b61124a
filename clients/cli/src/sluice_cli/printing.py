"""Text from elsewhere, made safe to print."""

import os
import unicodedata
from pathlib import Path


def as_text(name: str | Path) -> str:
    """The name of a file, with marks where it is no text: such names come in no JSON."""
    return os.fsencode(name).decode(errors="replace")


def printable(text: str) -> str:
    """`text` on one line, control characters as their escapes.

    Reasons, names and error texts come from other people; none may move the cursor, colour the
    terminal or start a line of its own.
    """
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")
        else character
        for character in text
    )
