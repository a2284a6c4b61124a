"""What a failed validation says of each field, in words for those who do not see our code."""

import re
from typing import Any, get_args

from sluice_contracts.base import ContentType

# What pydantic says in words of Python, or as a bare pattern, said to people who send JSON.
_REASONS = {
    "model_type": "Input should be a JSON object",
    "dict_type": "Input should be a JSON object",
    "tuple_type": "Input should be a JSON array",
    "list_type": "Input should be a JSON array",
    "too_short": "Number of items should be at least {min_length}, not {actual_length}",
    "too_long": "Number of items should be at most {max_length}",
    "string_pattern_mismatch": "Input must match the pattern {pattern}",
}
_CONTENT_TYPE_PATTERN = get_args(ContentType)[1].pattern
# A time whose zone stands behind a space: there was a + that a query reads as one.
_LOST_PLUS = re.compile(r":\d\d(\.\d+)? \d\d(:?\d\d)?")


def true_errors(errors: list[Any]) -> list[Any]:
    """Without lists that are too short only because items that are wrong were not counted."""
    around = {error["loc"][:depth] for error in errors for depth in range(len(error["loc"]))}
    return [error for error in errors if error["type"] != "too_short" or error["loc"] not in around]


def reason_of(error: Any) -> str:
    """What is wrong, in words for those who do not see our code."""
    context = error.get("ctx", {})
    if context.get("pattern") == _CONTENT_TYPE_PATTERN:
        return "Input should be a media type, such as audio/wav"
    words = _REASONS.get(error["type"])
    reason: str = words.format(**context) if words else error["msg"].removeprefix("Value error, ")
    return f"{reason} (+ is written %2B in a query)" if _lost_a_plus(error) else reason


def _lost_a_plus(error: Any) -> bool:
    if error["loc"][:1] != ("query",) or not error["type"].startswith("datetime"):
        return False
    sent = error.get("input")
    return isinstance(sent, str) and _LOST_PLUS.search(sent) is not None
