"""Text from elsewhere, made safe to print."""

import unicodedata


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
