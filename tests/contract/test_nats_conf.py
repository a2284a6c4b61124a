"""The committed NATS configuration is the one our topology asks for, and NATS takes it."""

import subprocess
import sys
from pathlib import Path

from sluice_runtime.nats_conf import USERS

from .nats_file import FILE, RENEW, expected, variable

SERVER = str(Path(sys.executable).with_name("nats-server"))


def check(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [SERVER, "-t", "-c", str(FILE)], env=environment, capture_output=True, text=True
    )


def test_the_committed_file_is_up_to_date() -> None:
    assert FILE.exists(), f"{FILE.name} is missing; run: {RENEW}"
    assert FILE.read_text(encoding="utf-8") == expected(), f"out of date; run: {RENEW}"


def test_the_server_takes_it() -> None:
    done = check({variable(user): f"p{user}" for user in USERS})
    assert done.returncode == 0, done.stderr


def test_the_server_refuses_to_start_without_a_password() -> None:
    given = {variable(user): f"p{user}" for user in USERS}
    for user in USERS:
        done = check({name: value for name, value in given.items() if name != variable(user)})
        assert done.returncode != 0
        assert variable(user) in done.stderr
