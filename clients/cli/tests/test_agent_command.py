"""`sluice agent` as a process: its memory, its signals, its secrets, its neighbours."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sluice_cli.agent.endings import ALL_DONE, INTERRUPTED, NETWORK, REFUSED, USAGE

from .agent_door import DEVICE, POINT, REGISTER, TOKEN, Door, chunk
from .web import Answer, Asked, Site

SLUICE = str(Path(sys.executable).with_name("sluice"))
MIB = 1024**2
# What a recorder with 512 MiB can spare.
MEMORY = 40 * MIB
DEADLINE = 60.0
IN_A_HURRY = ("--settle", "0.05", "--poll", "0.05", "--max-wait", "0.1")
PLACE = ("--point-id", str(POINT), "--register-id", str(REGISTER))


@pytest.fixture
def door(site: Site) -> Door:
    return Door(site).open()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "chunks"
    path.mkdir()
    return path


def command(folder: Path, *arguments: str) -> list[str]:
    return [SLUICE, "agent", str(folder), "--device-id", str(DEVICE), *IN_A_HURRY, *arguments]


def environment(site: Site) -> dict[str, str]:
    return os.environ | {"SLUICE_BASE_URL": site.url, "SLUICE_DEVICE_TOKEN": TOKEN}


def run(site: Site, folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    variables = environment(site) | more
    return subprocess.run(
        command(folder, *arguments),
        env={name: value for name, value in variables.items() if value},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@contextmanager
def running(site: Site, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(folder, *PLACE, *arguments),
        env=environment(site),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def peak_memory(pid: int) -> int:
    """The most bytes a process ever had in memory, its program and libraries included."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks the Linux kernel")
def test_an_agent_fits_into_40_mib_however_large_and_many_its_chunks_are(
    door: Door, folder: Path
) -> None:
    for hour in range(4):
        chunk(folder, f"20260128T{hour:02}0000Z.ogg", os.urandom(10 * MIB))
    for number in range(2000):
        chunk(folder, f"{number}.ogg", b"x")
    with running(door.site, folder) as process:
        wait_until(lambda: sum(len(data) > MIB for data in door.contents) == 4)
        wait_until(lambda: len(door.chunks) > 100)
        assert peak_memory(process.pid) < MEMORY


def test_a_folder_is_watched_until_the_agent_is_told_to_stop(door: Door, folder: Path) -> None:
    with running(door.site, folder) as process:
        path = chunk(folder)
        wait_until(lambda: not path.exists())
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == ALL_DONE
    assert f"{path.name} uploaded" in out
    assert "Traceback" not in err
    assert len(door.chunks) == 1


def test_a_second_signal_stops_an_agent_in_the_middle_of_a_chunk(door: Door, folder: Path) -> None:
    path = chunk(folder)

    def before(_asked: Asked) -> Answer:
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        process.wait(DEADLINE)
        return Answer(503)

    door.before = before
    with running(door.site, folder) as process:
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == INTERRUPTED
    assert "finishing the chunk in flight" in err
    assert "Traceback" not in err
    assert path.exists()


def test_two_agents_never_watch_one_folder(door: Door, folder: Path) -> None:
    with running(door.site, folder):
        wait_until(lambda: (folder / ".sluice-agent.sqlite3").exists())
        second = run(door.site, folder, "--once", "--ledger", str(folder.parent / "other"))
    assert second.returncode == USAGE
    assert "another agent already watches" in second.stderr


def test_the_token_comes_from_many_places_and_shows_in_none(
    door: Door, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    unset = {"SLUICE_DEVICE_TOKEN": ""}
    ways = [
        run(door.site, folder, *PLACE, "--once"),
        run(door.site, folder, "--once", "--token", TOKEN, **unset),
        run(door.site, folder, "--once", "--token-file", str(file), **unset),
        run(door.site, folder, "--help"),
    ]
    assert [done.returncode for done in ways] == [ALL_DONE] * 4
    refused = [
        run(door.site, folder, "--once", SLUICE_DEVICE_TOKEN="the secret\nof others"),
        run(door.site, folder, "--once", **unset),
        run(door.site, folder, "--once", "--token-file", str(tmp_path / "absent"), **unset),
    ]
    assert [done.returncode for done in refused] == [USAGE] * 3
    shown = "".join(done.stdout + done.stderr for done in (*ways, *refused))
    assert TOKEN not in shown
    assert "secret" not in shown


def test_exit_codes_say_how_a_single_run_ended(door: Door, folder: Path) -> None:
    chunk(folder)
    for arguments, variables, code in [
        (("--codec", "a b"), {}, USAGE),
        (("--point-id", str(POINT)), {}, USAGE),
        (("--ledger", str(folder / "ledger")), {}, USAGE),
        (("--base-url", "ftp://here"), {}, USAGE),
        (("--device-id", str(POINT)), {}, USAGE),
        ((), {"SLUICE_DEVICE_TOKEN": "anothers-token"}, REFUSED),
        (("--base-url", "http://127.0.0.1:1", "--patience", "0.1"), {}, NETWORK),
        (("--base-url", "http://no..name", "--patience", "0.1"), {}, NETWORK),
        ((), {}, ALL_DONE),
    ]:
        done = run(door.site, folder, "--once", *arguments, **variables)
        assert done.returncode == code, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    assert len(door.chunks) == 1


def test_a_folder_that_cannot_be_looked_at_is_told_in_one_line(door: Door, folder: Path) -> None:
    for path in (folder / "absent", folder / ("x" * 5000)):
        done = run(door.site, path, "--once")
        assert (done.returncode, done.stderr.count("\n")) == (USAGE, 1)


def test_an_agent_loads_none_of_the_heavy_libraries() -> None:
    modules = ["typer", "pydantic", "httpx", "rich.console", "nats", "asyncio", "sluice_contracts"]
    code = (
        "import sys, sluice_cli.main, sluice_cli.agent.run;"
        f"sys.exit(repr([name for name in {modules} if name in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "''"
