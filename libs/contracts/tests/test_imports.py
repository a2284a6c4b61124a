"""Contracts import pydantic, themselves and the standard library, so that anybody can use them."""

import ast
import sys
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[1] / "src/sluice_contracts").glob("**/*.py"))
ALLOWED = frozenset({"pydantic", "pydantic_core", "sluice_contracts"}) | sys.stdlib_module_names


def imported(source: Path) -> set[str]:
    """The top names of everything a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_contract_needs_nothing_but_pydantic(source: Path) -> None:
    assert imported(source) <= ALLOWED


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 5
    assert "pydantic" in set().union(*map(imported, SOURCES))
