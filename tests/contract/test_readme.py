"""The settings table of the README holds every setting, and no other."""

import re
from pathlib import Path

from pydantic_settings import BaseSettings

from sluice_runtime.settings import KNOWN, PREFIX, BadSettings, read_settings

README = Path(__file__).parents[2] / "README.md"
ROW = re.compile(r"^\|\s*`(SLUICE_[A-Z0-9_]+)`\s*\|", re.MULTILINE)


class Nothing(BaseSettings):
    """Asks for no setting; reading it only says which names are known."""


def documented() -> list[str]:
    return ROW.findall(README.read_text(encoding="utf-8"))


def test_every_setting_stands_in_the_readme() -> None:
    missing = sorted({PREFIX + name for name in KNOWN} - set(documented()))
    assert not missing, f"the settings table of README.md lacks {missing}"


def test_the_readme_names_no_setting_that_is_not_read() -> None:
    try:
        read_settings(Nothing, dict.fromkeys(documented(), "x"))
    except BadSettings as error:
        raise AssertionError(f"the settings table of README.md is wrong: {error}") from error


def test_no_setting_stands_in_the_readme_twice() -> None:
    names = documented()
    assert sorted(names) == sorted(set(names))
