"""What the first word of a command line starts."""

import sys
from types import ModuleType

import pytest

from sluice_runtime.command import run

COMMANDS = {"serve": "a_server", "provision": "a_provision", "inspect": "never_imported"}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules of which `main` was called."""
    called: list[str] = []
    for name in ("a_server", "a_provision"):
        module = ModuleType(name)
        module.__dict__["main"] = lambda name=name: called.append(name)
        monkeypatch.setitem(sys.modules, name, module)
    return called


@pytest.mark.parametrize(
    ("arguments", "started"),
    [([], "a_server"), (["serve"], "a_server"), (["provision"], "a_provision")],
)
def test_the_word_starts_its_module_and_no_other(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], started: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["sluice-storage", *arguments])
    run("sluice-storage", COMMANDS)
    assert ran == [started]


@pytest.mark.parametrize("arguments", [["sreve"], ["serve", "now"], ["--help"], [""]])
def test_anything_else_is_told_what_there_is(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sluice-storage", *arguments])
    with pytest.raises(SystemExit, match=r"^usage: sluice-storage \[serve\|provision\|inspect\]$"):
        run("sluice-storage", COMMANDS)
    assert ran == []
