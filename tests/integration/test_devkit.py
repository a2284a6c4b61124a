"""The devkit on real servers: data survives a kill, and no process outlives its owner."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nats
import psutil
import psycopg
import pytest
from minio import Minio

from sluice_devkit.folder import FolderInUseError
from sluice_devkit.http import plain_client
from sluice_devkit.ports import HOST, free_ports
from sluice_devkit.postgres import PostgresServer, admin_url, database_url, ensure_database
from sluice_devkit.processes import is_gone
from sluice_devkit.servers import NatsServer, ObjectServer, SupervisedServer
from sluice_devkit.stack import Stack

ACCESS, SECRET = "access-of-a-test", "secret-of-a-test"


def revive(server: SupervisedServer) -> None:
    server.kill()
    assert not server.running
    server.start()
    server.wait_ready()


@contextmanager
def running(server: SupervisedServer) -> Iterator[None]:
    server.start()
    server.wait_ready()
    try:
        yield
    finally:
        server.stop()


def test_postgres_keeps_committed_rows_when_killed(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    server = PostgresServer(tmp_path / "data", port, password=SECRET, log=tmp_path / "log")
    url = database_url(port, "catalog", "catalog", SECRET)
    with running(server):
        ensure_database(admin_url(port, SECRET), "catalog", SECRET)
        with psycopg.connect(url) as connection:
            connection.execute("create table kept as select 42 as answer")
        revive(server)
        ensure_database(admin_url(port, SECRET), "catalog", SECRET)
        with psycopg.connect(url) as connection:
            assert connection.execute("select answer from kept").fetchone() == (42,)
            assert connection.execute("show fsync").fetchone() == ("on",)


async def test_nats_keeps_acknowledged_messages_when_killed(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    store = tmp_path / "data" / "store"
    text = f'listen: "{HOST}:{port}"\njetstream {{ store_dir: "{store}", sync_interval: always }}\n'
    server = NatsServer(tmp_path / "data", port, text, log=tmp_path / "log")
    with running(server):
        connection = await nats.connect(f"nats://{HOST}:{port}")
        await connection.jetstream().add_stream(name="KEPT", subjects=["kept"])
        await connection.jetstream().publish("kept", b"42")
        await connection.close()
        revive(server)
        connection = await nats.connect(f"nats://{HOST}:{port}")
        message = await connection.jetstream().get_msg("KEPT", seq=1)
        await connection.close()
    assert message.data == b"42"


def test_objects_are_there_at_once_and_when_killed(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    server = ObjectServer(
        tmp_path / "data", port, access_key=ACCESS, secret_key=SECRET, log=tmp_path / "log"
    )
    store = Minio(f"{HOST}:{port}", ACCESS, SECRET, secure=False, region="us-east-1")
    with running(server):
        store.make_bucket("kept")
        store.put_object("kept", "a/b", io.BytesIO(b"42"), 2)
        assert store.stat_object("kept", "a/b").size == 2
        assert [found.object_name for found in store.list_objects("kept", recursive=True)] == [
            "a/b"
        ]
        revive(server)
        assert store.get_object("kept", "a/b").read() == b"42"


@pytest.mark.parametrize("name", ["gateway", "storage", "catalog", "notifier"])
async def test_a_killed_service_comes_back_on_its_port(stack: Stack, name: str) -> None:
    await stack.kill(name)
    assert name not in stack.pids
    await stack.start(name)
    await stack.wait_ready(name)
    async with plain_client() as http:
        answer = await http.get(f"{stack.service_url(name)}/livez")
    assert answer.is_success


async def test_a_folder_takes_one_stack(stack: Stack) -> None:
    with pytest.raises(FolderInUseError):
        await Stack(stack.data).__aenter__()


class Up:
    """`sluice-dev up` as a user runs it."""

    def __init__(self, data: Path) -> None:
        self.port = free_ports(1)[0]
        self.errors = data / "errors"
        program = str(Path(sys.executable).with_name("sluice-dev"))
        self.process = subprocess.Popen(
            [program, "up", "--port", str(self.port), "--data", str(data / "sluice")],
            stdout=subprocess.PIPE,
            stderr=self.errors.open("w"),
            text=True,
        )

    def first_line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[[], Up]]:
    made: list[Up] = []

    def make() -> Up:
        made.append(Up(tmp_path))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.end(signal.SIGTERM)
        if one.process.stdout:
            one.process.stdout.close()


def wait_until_gone(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + 10
    while not all(is_gone(process) for process in processes):
        assert time.monotonic() < deadline, [process.cmdline() for process in processes]
        time.sleep(0.05)


def test_nothing_outlives_a_stack_that_is_killed_and_the_next_one_starts(
    up: Callable[[], Up],
) -> None:
    first = up()
    assert first.first_line() == f"ready http://{HOST}:{first.port}"
    descendants = first.descendants()
    assert len(descendants) >= 7
    first.end(signal.SIGKILL)
    wait_until_gone(descendants)

    second = up()
    assert second.first_line() == f"ready http://{HOST}:{second.port}"
    descendants = second.descendants()
    assert second.end(signal.SIGTERM) == 0
    wait_until_gone(descendants)


def test_a_stack_ends_when_a_member_does_and_says_which(up: Callable[[], Up]) -> None:
    one = up()
    assert one.first_line().startswith("ready ")
    descendants = one.descendants()
    notifier = next(child for child in descendants if "sluice_notifier" in child.cmdline())
    os.kill(notifier.pid, signal.SIGKILL)
    assert one.process.wait(30) == 1
    assert "notifier ended with exit code -9" in one.errors.read_text()
    wait_until_gone(descendants)


def test_a_stack_can_be_stopped_while_it_starts(up: Callable[[], Up]) -> None:
    one = up()
    while not (descendants := one.descendants()):
        time.sleep(0.01)
    assert one.end(signal.SIGINT) == 0
    wait_until_gone(descendants)
