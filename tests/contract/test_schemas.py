"""The committed schemas are those of the models, and no model broke a committed one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sluice_contracts.envelope import SCHEMA_ROOT, wrap
from sluice_contracts.schemas import Exported, exported

from .compatibility import breaking_changes
from .samples import MOMENT, status_changed

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "libs/contracts/schemas"
RENEW = "run: .venv/bin/python -m sluice_contracts.schemas libs/contracts/schemas"


@pytest.mark.parametrize("one", exported(), ids=lambda one: one.name)
def test_a_committed_schema_is_there_up_to_date_and_unbroken(one: Exported) -> None:
    file = FOLDER / one.file_name
    assert file.exists(), f"{file.name} is missing; {RENEW}"
    committed = file.read_text(encoding="utf-8")
    breaks = breaking_changes(json.loads(committed), one.schema(), one.direction)
    assert not breaks, (
        f"{one.name} breaks those who rely on version 1; add an optional field instead, or a "
        "version 2 beside it:\n  " + "\n  ".join(breaks)
    )
    assert committed == one.text(), f"{file.name} is out of date, harmlessly; {RENEW}"


def test_no_committed_schema_lost_its_model() -> None:
    names = {one.file_name for one in exported()}
    orphans = sorted(file.name for file in FOLDER.iterdir() if file.name not in names)
    assert not orphans, f"nobody says these any more, and somebody may still read them: {orphans}"


def test_names_are_unique() -> None:
    names = [one.file_name for one in exported()]
    assert len(set(names)) == len(names)


def test_an_envelope_names_a_schema_that_is_committed() -> None:
    event = wrap(status_changed(), event_id="e", source="catalog", at=MOMENT)
    assert event.envelope.dataschema is not None
    name = event.envelope.dataschema.removeprefix(f"{SCHEMA_ROOT}/")
    assert (FOLDER / name).exists()


def test_writing_twice_gives_the_same_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sluice_contracts.schemas", str(tmp_path)]
    subprocess.run(command, check=True)
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    subprocess.run(command, check=True, env={"PYTHONHASHSEED": "1"})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first
