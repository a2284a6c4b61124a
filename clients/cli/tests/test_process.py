"""The commands as processes: who reads them may leave, and Ctrl-C may come at any moment."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from sluice_cli.failures import ALL_DONE, INTERRUPTED, SOME_FAILED

from .agent_door import DEVICE, NAMES, POINT, REGISTER, TOKEN, Door, chunk, left_in
from .recordings_door import Sluice
from .web import NOW, Answer, Asked, Site

DEADLINE = 60.0
NAME = "поле ü 😀.wav"
DEMO = ["sluice-client", "--operation", "demo", "--files", NAME, "--meta", "meta.json"]
PLACE = ["--point-id", str(POINT), "--register-id", str(REGISTER)]
AGENT = ["sluice", "agent", ".", "--once", "--settle", "0.05", "--device-id", str(DEVICE), *PLACE]
DROP = ["sluice", "dlq", "drop", "1"]


def environment(site: Site, **more: str) -> dict[str, str]:
    mine = {
        # With a buffer, as everybody has it: some of what is written fails at the very end.
        "PYTHONUNBUFFERED": "",
        "SLUICE_BASE_URL": site.url,
        "SLUICE_API_KEY": "test_12345",
        "SLUICE_DEVICE_TOKEN": TOKEN,
        "SLUICE_NATS_URL": "nats://127.0.0.1:1",
    }
    return os.environ | mine | more


@contextmanager
def started(
    command: Sequence[str], variables: Mapping[str, str], stdout: IO[bytes] | int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [Path(sys.executable).with_name(command[0]), *command[1:]],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        # Tests that run in the background ignore interrupts, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[bytes]) -> tuple[bytes, str]:
    """What it wrote until it ended; never a traceback, nor a complaint of the interpreter."""
    out, err = process.communicate(timeout=DEADLINE)
    for word in ("Traceback", "Exception ignored", "never retrieved"):
        assert word not in err.decode(), err.decode()
    return out or b"", err.decode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_bytes(b"sound")
    (tmp_path / "meta.json").write_text("{}")
    return tmp_path


@pytest.fixture
def full() -> Iterator[IO[bytes]]:
    """A disk without room."""
    with Path("/dev/full").open("wb", buffering=0) as disk:
        yield disk


@pytest.fixture
def unread() -> Iterator[IO[bytes]]:
    """A pipe nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        yield pipe


class TestStreams:
    def test_a_reader_that_left_stops_no_work(
        self, site: Site, folder: Path, unread: IO[bytes]
    ) -> None:
        sluice = Sluice(site)
        with started(DEMO, environment(site), unread) as process:
            ended(process)
        assert process.returncode == ALL_DONE
        assert len(sluice.registered) == 1

    def test_results_that_cannot_be_written_are_a_failure_of_work_that_is_done(
        self, site: Site, folder: Path, full: IO[bytes]
    ) -> None:
        sluice = Sluice(site)
        with started(DEMO, environment(site), full) as process:
            _, err = ended(process)
        assert process.returncode == SOME_FAILED
        assert err.endswith("cannot write the results: No space left on device\n")
        assert len(sluice.registered) == 1

    def test_complaints_that_cannot_be_written_stop_no_work(self, site: Site, folder: Path) -> None:
        sluice = Sluice(site)
        shell = 'exec "$@" 2> /dev/full'
        command = ["bash", "-c", shell, "bash", str(Path(sys.executable).with_name(DEMO[0]))]
        done = subprocess.run(
            [*command, *DEMO[1:]], env=environment(site), capture_output=True, check=False
        )
        assert done.returncode == ALL_DONE
        assert len(sluice.registered) == 1

    def test_streams_may_be_closed_from_the_beginning(self, site: Site, folder: Path) -> None:
        Sluice(site)
        poll = ["--operation", "poll", "--batch-id", "rb_12345678"]
        program = str(Path(sys.executable).with_name("sluice-client"))
        for closed in (">&-", "2>&-", ">&- 2>&-"):
            shell = ["bash", "-c", f'exec "$@" {closed}', "bash", program, *poll]
            done = subprocess.run(shell, env=environment(site), capture_output=True, check=False)
            assert (done.returncode, done.stderr) == (ALL_DONE, b"")

    @pytest.mark.parametrize("command", ["sluice", "sluice-client"])
    def test_help_may_go_unread(self, command: str, site: Site, unread: IO[bytes]) -> None:
        with started([command, "--help"], environment(site), unread) as process:
            assert ended(process) == (b"", "")
        assert process.returncode == ALL_DONE

    def test_an_agent_nobody_listens_to_ends_as_any_other(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unread: IO[bytes]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        door = Door(site).open()
        chunk(tmp_path, NAMES[0])
        with started(AGENT, environment(site), unread) as process:
            ended(process)
        assert (process.returncode, left_in(tmp_path)) == (ALL_DONE, [])
        assert len(door.chunks) == 1

    def test_a_watch_ends_with_its_reader(self, site: Site) -> None:
        def log(asked: Asked) -> Answer:
            """One more entry for each connection."""
            number = int(asked.headers["last-event-id"]) + 1
            change = {"tenant": "t", "kind": "batch", "id": "rb_12345678", "sequence": 1}
            change |= {"previous": None, "status": "open", "actor": "a", "changed_at": NOW}
            entry = {"sequence": number, "id": "e", "type": "t", "subject": "rb_12345678"}
            data = json.dumps(entry | {"time": NOW, "data": change})
            body = f"id: {number}\ndata: {data}\n\n".encode()
            return Answer(200, body, {"Content-Type": "text/event-stream"})

        site.decide = log
        command = ["sluice", "watch", "--after", "0", "--json"]
        with started(command, environment(site)) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["sequence"] == 1
            process.stdout.close()
            process.stdout = None
            ended(process)
        assert process.returncode == ALL_DONE


class TestLetters:
    @pytest.mark.parametrize("flags", [[], ["--json"]])
    def test_a_name_an_encoding_cannot_say_is_written_as_escapes(
        self, site: Site, folder: Path, flags: list[str]
    ) -> None:
        Sluice(site)
        with started([*DEMO, *flags], environment(site, PYTHONIOENCODING="ascii")) as process:
            out, err = ended(process)
        assert process.returncode == ALL_DONE, err
        if flags:
            files = [json.loads(line).get("file") for line in out.splitlines()]
            assert NAME in files
        else:
            assert rb"uploaded \u043f\u043e\u043b\u0435 \xfc \U0001f600.wav" in out

    def test_the_help_of_the_agent_needs_no_letters_but_ascii(self, site: Site) -> None:
        variables = environment(site, PYTHONIOENCODING="ascii")
        with started(["sluice", "agent", "--help"], variables) as process:
            out, _ = ended(process)
        assert (process.returncode, b"Exit codes" in out) == (ALL_DONE, True)


class TestInterrupts:
    @pytest.mark.parametrize(
        ("command", "module"), [(DEMO, "httpx"), (DROP, "typer"), (AGENT, "sqlite3")]
    )
    def test_one_that_comes_while_the_program_is_loaded_ends_it_quietly(
        self, site: Site, tmp_path: Path, command: list[str], module: str
    ) -> None:
        """A library of that name that never finishes loading stands for a slow disk."""
        slow = 'import time\nprint("loading", flush=True)\ntime.sleep(3600)\n'
        (tmp_path / f"{module}.py").write_text(slow)
        with started(command, environment(site, PYTHONPATH=str(tmp_path))) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"loading\n"
            process.send_signal(signal.SIGINT)
            _, err = ended(process)
        assert (process.returncode, err) == (INTERRUPTED, "")

    @pytest.mark.parametrize(
        "command",
        [
            [*DEMO[:-1], "pipe"],
            ["sluice", "dlq", "ls", "--nats-password-file", "pipe"],
            [*AGENT, "--token-file", "pipe"],
        ],
    )
    def test_one_that_comes_while_arguments_are_read_ends_it_quietly(
        self, site: Site, folder: Path, command: list[str]
    ) -> None:
        os.mkfifo(folder / "pipe")
        # The pipe is opened once the command reads it, and then it says nothing.
        with started(command, environment(site)) as process, (folder / "pipe").open("wb"):
            process.send_signal(signal.SIGINT)
            _, err = ended(process)
        assert (process.returncode, err) == (INTERRUPTED, "")

    def test_one_at_a_question_is_no_answer(self, site: Site) -> None:
        with started(DROP, environment(site)) as process:
            assert process.stderr is not None
            assert process.stderr.read(1) == b"D"
            process.send_signal(signal.SIGINT)
            ended(process)
        assert process.returncode == INTERRUPTED
