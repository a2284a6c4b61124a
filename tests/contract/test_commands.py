"""The command line of each service, as it is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

USAGE = {
    "gateway": "[serve]",
    "storage": "[serve|provision|inspect]",
    "catalog": "[serve|provision]",
    "notifier": "[serve|provision]",
}


@pytest.mark.parametrize("name", USAGE)
def test_a_wrong_word_is_told_what_there_is(name: str) -> None:
    command = [Path(sys.executable).parent / f"sluice-{name}", "sreve"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"usage: sluice-{name} {USAGE[name]}\n")


@pytest.mark.parametrize(
    ("module", "foreign"),
    [
        ("sluice_catalog.main", "alembic"),
        ("sluice_notifier.main", "alembic"),
        ("sluice_catalog.provision", "fastapi"),
        ("sluice_notifier.provision", "fastapi"),
        ("sluice_storage.provision", "fastapi"),
        ("sluice_storage.inspector.main", "minio"),
    ],
)
def test_a_command_does_not_load_what_only_another_needs(module: str, foreign: str) -> None:
    code = f"import sys, {module}; sys.exit({foreign!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
