"""JSON from strangers, read strictly: what two parsers would read differently is refused."""

import json
import re
from typing import Any, NoReturn

from sluice_runtime.errors import Rejected

MAX_DEPTH = 32

_LARGEST = 1e30
_SURROGATE = re.compile("[\ud800-\udfff]")

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


class MalformedJson(Rejected):
    code = "malformed-json"


def parse(body: bytes) -> Any:
    """The value of a JSON text in UTF-8, the only encoding RFC 8259 knows.

    Raises:
        MalformedJson: not JSON, too deep, duplicate keys, a number that is not finite, or text
            that is not Unicode or holds NUL.
    """
    _check_depth(body)
    try:
        # Left to guess, the parser would also take UTF-16, in which brackets hide from the check.
        value = json.loads(
            body.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(f"The body is not valid JSON: {error}.") from error
    except ValueError as error:
        raise MalformedJson("The body holds a number that is too long.") from error
    _check_text(value)
    return value


def _check_depth(body: bytes) -> None:
    depth = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub(b"", body)):
        depth += 1 if bracket.group() in b"[{" else -1
        if depth > MAX_DEPTH:
            raise MalformedJson(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise MalformedJson(f"The key {name[:64]!r} stands twice in one object.")
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not a JSON number.")


def _finite(text: str) -> float:
    """Within 1e30: the database writes numbers out, and a few bytes would become hundreds."""
    number = float(text)
    if abs(number) > _LARGEST:
        raise MalformedJson(f"The number {text[:32]} is out of range.")
    return number


def _check_text(value: Any) -> None:
    """Refuse text that Postgres or UTF-8 cannot hold."""
    if isinstance(value, str):
        if "\x00" in value:
            raise MalformedJson("The body holds a NUL character.")
        if _SURROGATE.search(value):
            raise MalformedJson("The body holds half of a surrogate pair.")
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)
