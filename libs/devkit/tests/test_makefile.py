"""What the Makefile hands on to the commands behind it."""

import subprocess
from pathlib import Path

import pytest

from sluice_devkit.environments import base_environment

ROOT = Path(__file__).parents[3]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder where `sluice-dev` does no more than print its arguments, one in a line."""
    for name in ("sluice-dev", "python", "uv"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
        program.chmod(0o755)
    return tmp_path


def make(programs: Path, *arguments: str) -> list[str]:
    command = ["make", "--old-file=.venv/.installed", f"BIN={programs}", *arguments]
    # Without what a make around these tests passes on.
    environment = base_environment()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("folder", ["some/folder", "a b", 'it\'s "here"', "$$HOME;x"])
def test_a_name_stays_one_argument_whatever_is_in_it(programs: Path, folder: str) -> None:
    # In a value on the command line, make reads $$ as one dollar sign.
    name = folder.replace("$$", "$")
    up = make(programs, "up", f"DATA={folder}", "PORT=8100")
    assert up == ["up", "--port", "8100", "--data", name]
    assert make(programs, "bench", f"OUT={folder}") == ["bench", "--out", name]
