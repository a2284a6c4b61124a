"""What the devkit does without any server."""

import io
import json
import signal
import socket
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from sluice_devkit import assets, environments, main, terminal
from sluice_devkit.credentials import Credentials
from sluice_devkit.folder import FolderInUseError, FolderLock
from sluice_devkit.ports import HOST, PortTakenError, free_ports, require_free
from sluice_devkit.processes import ChildProcess, ProcessFailedError, Program
from sluice_devkit.stack import Stack


@pytest.fixture
def credentials() -> Credentials:
    return Credentials.new()


@pytest.fixture
def addresses(credentials: Credentials) -> environments.Addresses:
    return environments.Addresses(
        nats_url="nats://127.0.0.1:1",
        database_urls={name: f"postgresql://{name}" for name in credentials.databases},
        s3=environments.S3Access("http://127.0.0.1:2", "access", "secret", "bucket"),
        ports=dict.fromkeys(environments.SERVICES, 3),
    )


def python(code: str, folder: Path) -> ChildProcess:
    command = (sys.executable, "-c", code)
    return ChildProcess(Program("python", command, environments.base_environment(), folder / "log"))


@pytest.mark.parametrize("service", environments.SERVICES)
def test_a_service_gets_its_own_secrets_and_no_others(
    service: str, addresses: environments.Addresses, credentials: Credentials
) -> None:
    given = environments.service_environment(service, addresses, credentials)

    foreign = {
        *(password for user, password in credentials.nats.items() if user != service),
        *(url for name, url in addresses.database_urls.items() if name != service),
        *(() if service == "gateway" else (credentials.token_secret,)),
        *(() if service == "storage" else (addresses.s3.secret_key,)),
        credentials.postgres,
    }
    assert given["SLUICE_NATS_PASSWORD"] == credentials.nats[service]
    assert not foreign.intersection(given.values())


def test_only_the_provisioning_of_the_catalog_knows_the_first_keys(
    addresses: environments.Addresses, credentials: Credentials
) -> None:
    knowing = [
        service
        for service in environments.SERVICES
        if "SLUICE_INITIAL_KEYS"
        in environments.provisioning_environment(service, addresses, credentials)
    ]
    assert knowing == ["catalog"]


def test_a_child_inherits_none_of_our_other_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_TOKEN_SECRET", "ours")
    assert "SLUICE_TOKEN_SECRET" not in environments.base_environment()


@pytest.mark.skipif(sys.platform != "linux", reason="another kernel has another scheduler")
def test_a_child_that_is_woken_does_not_stop_another_in_its_work(tmp_path: Path) -> None:
    child = python("import os; print(os.sched_getscheduler(0) == os.SCHED_BATCH)", tmp_path)
    child.start()
    assert child.wait(30) == 0
    assert (tmp_path / "log").read_text() == "True\n"


def test_credentials_are_made_once_and_private(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    first = Credentials.kept_in(file)
    assert Credentials.kept_in(file) == first
    assert file.stat().st_mode & 0o777 == 0o600


def test_credentials_from_before_a_user_existed_gain_that_user(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    first = Credentials.kept_in(file)
    kept = json.loads(file.read_text())
    del kept["nats"]["operator"]
    file.write_text(json.dumps(kept))

    assert set(Credentials.kept_in(file).nats) == set(first.nats)


def test_a_folder_is_held_once(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.take()
    with pytest.raises(FolderInUseError, match="in use by another stack"):
        second.take()
    first.release()
    second.take()
    second.release()


@pytest.mark.parametrize("place", ["file", "file/data", "/proc/data"])
def test_a_place_that_cannot_hold_data_is_told_so(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert main.main(["up", "--data", str(tmp_path / place)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"sluice-dev: {tmp_path / place} cannot hold data: ")
    assert told.count("\n") == 1


def test_free_ports_differ_and_can_be_listened_on() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert [require_free(port) for port in ports] == ports


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that end with their process")
def test_another_process_is_given_other_ports() -> None:
    ask = "from sluice_devkit.ports import free_ports; print(*free_ports(500))"
    ours = free_ports(500)
    theirs = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True).stdout
    assert not {int(port) for port in theirs.split()} & set(ours)


def test_a_port_somebody_listens_on_is_refused() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)):
            require_free(port)


@pytest.mark.parametrize("port", ["-1", "0", "65536", "80000", "http"])
def test_a_port_that_cannot_be_is_refused_with_those_that_can(
    port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    assert main.main(["up", f"--port={port}", "--data", str(data)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"sluice-dev: {port} is no port; choose one from 1 to 65535"
    ]
    assert not data.exists()


@pytest.mark.parametrize("option", [["up", "--data"], ["bench", "--out"]])
def test_a_place_may_begin_with_the_home_folder(
    option: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The Makefile quotes what it hands on, so that no shell sees the ~ any more.
    monkeypatch.setenv("HOME", "/home/ada")
    asked = main.parser().parse_args([*option, "~/sluice"])
    assert getattr(asked, option[1].removeprefix("--")) == Path("/home/ada/sluice")


async def test_a_stack_whose_port_is_taken_leaves_no_new_folder(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as listener:
        stack = Stack(tmp_path / "data", listener.getsockname()[1])
        with pytest.raises(PortTakenError):
            await stack.__aenter__()
    assert not stack.data.exists()


async def test_a_stack_in_a_folder_of_another_names_the_folder_before_the_port(
    tmp_path: Path,
) -> None:
    other = FolderLock(tmp_path)
    other.take()
    with socket.create_server((HOST, 0)) as listener:
        stack = Stack(tmp_path, listener.getsockname()[1])
        with pytest.raises(FolderInUseError):
            await stack.__aenter__()
    other.release()


def test_prefixes_line_up_and_colour_is_optional() -> None:
    assert terminal.prefixed("nats", "ready", colour=False) == "nats     | ready"
    assert terminal.prefixed("gateway", "ready", colour=False) == "gateway  | ready"
    assert terminal.prefixed("nats", "ready", colour=True) == "\x1b[34mnats     |\x1b[0m ready"


def test_no_color_wins_over_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert terminal.wants_colour(Terminal(), {})
    assert not terminal.wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not terminal.wants_colour(io.StringIO(), {})


def test_speech_is_a_wav_file_of_the_length_asked_for() -> None:
    made = assets.speech(2.5, seed=3)
    with wave.open(io.BytesIO(made)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth()) == (1, 2)
        assert reader.getframerate() == assets.SAMPLE_RATE
        assert reader.getnframes() == 2.5 * assets.SAMPLE_RATE
        assert any(reader.readframes(reader.getnframes()))
    assert made == assets.speech(2.5, seed=3)


def test_demo_calls_come_with_metadata_that_is_true(tmp_path: Path) -> None:
    for call in assets.write_demo_calls(tmp_path):
        with wave.open(str(call.audio)) as reader:
            seconds = reader.getnframes() / reader.getframerate()
        assert json.loads(call.metadata.read_text())["duration_seconds"] == seconds


def test_output_is_kept_in_the_log_and_quoted_when_the_process_failed(tmp_path: Path) -> None:
    process = python("import sys; print('last words'); sys.exit(3)", tmp_path)
    process.start()
    assert process.wait(10) == 3
    assert (tmp_path / "log").read_text() == "last words\n"
    assert process.describe_end() == "python ended with exit code 3\n  last words"


def test_a_process_that_ignores_the_stop_signal_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    process = python(code, tmp_path)
    process.start()
    process.stop(seconds=0.5)
    # Before Python could ignore the signal, it would have died of it.
    assert process.exit_code in {-signal.SIGKILL, -signal.SIGTERM}


def test_a_running_process_is_not_started_again(tmp_path: Path) -> None:
    process = python("import time; time.sleep(60)", tmp_path)
    process.start()
    with pytest.raises(ProcessFailedError, match="already running"):
        process.start()
    process.kill()
    assert not process.running
    process.start()
    process.kill()
