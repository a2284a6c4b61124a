"""The child that reads: what it may do, and what becomes of it and of the file it had."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

import pytest

from sluice_runtime.errors import Unavailable
from sluice_storage.inspector.ports import Finding
from sluice_storage.inspector.readers import Reader, Readers

from .media_files import samples_of, wav

SECOND = wav(samples_of(16_000))
PATIENCE = 30.0

# The real child, with one thing about it replaced.
CHILD = "import sluice_storage.inspector.child as child; {}; child.main()"
READY_THEN = "import socket, time; it = socket.socket(fileno=0); it.sendall(b'ready\\n'); {}"


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-c", code)


@asynccontextmanager
async def reader(
    code: str | None = None, *, timeout_seconds: float = PATIENCE, files_per_child: int = 200
) -> AsyncIterator[Reader]:
    given = {} if code is None else {"command": python(code)}
    made = Reader(timeout_seconds, files_per_child=files_per_child, **given)
    try:
        yield made
    finally:
        await made.close()


@contextmanager
def file_of(data: bytes) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file


@contextmanager
def hours_of_silence() -> Iterator[IO[bytes]]:
    """A file that takes a child long to hear, and the disk next to nothing."""
    with file_of(wav(b"")) as file:
        file.truncate(2 * 1024**3)
        yield file


async def look(made: Reader, data: bytes = SECOND) -> Finding:
    with file_of(data) as file:
        return await made.read(file)


def is_gone(pid: int) -> bool:
    """A zombie counts: it only waits for whoever is to bury it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


async def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.01)


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_one_child_reads_many_files_and_then_makes_room_for_a_fresh_one() -> None:
    async with reader(files_per_child=3) as made:
        pids = []
        for _ in range(3):
            assert made.pid == (pids[-1] if pids else None)
            reading = asyncio.create_task(look(made))
            await eventually(lambda: made.pid is not None)
            pids.append(made.pid)
            assert (await reading).readable
        assert len(set(pids)) == 1
        assert made.pid is None
        assert is_gone(pids[0] or 0)
        assert (await look(made)).readable
        assert made.pid not in (None, pids[0])


async def test_a_child_killed_in_the_middle_costs_that_file_and_no_other() -> None:
    async with reader() as made:
        await look(made)
        child = made.pid
        assert child is not None
        with hours_of_silence() as file:
            before = processor_seconds(child)
            reading = asyncio.create_task(made.read(file))
            await eventually(lambda: processor_seconds(child) > before + 0.05)
            os.kill(child, signal.SIGKILL)
            assert await reading == Finding(readable=False, reason="crashed")
        assert (await look(made)).readable
        assert made.pid != child


async def test_a_child_that_hangs_is_killed_when_its_time_is_over() -> None:
    async with reader(READY_THEN.format("time.sleep(600)"), timeout_seconds=0.2) as made:
        reading = asyncio.create_task(look(made))
        await eventually(lambda: made.pid is not None)
        child = made.pid
        assert child is not None
        assert await reading == Finding(readable=False, reason="timed-out")
        assert is_gone(child)


@pytest.mark.parametrize(
    "answer", ["b'what?\\n'", "b'{}\\n'", "b'x' * 1_000_000", "b''"], ids=lambda one: one[:9]
)
async def test_a_child_that_talks_nonsense_is_taken_for_crashed(answer: str) -> None:
    async with reader(READY_THEN.format(f"it.recv(1); it.sendall({answer})")) as made:
        assert await look(made) == Finding(readable=False, reason="crashed")


async def test_a_decoder_that_never_stops_is_ended_by_its_processor_time() -> None:
    endless = "child.CPU_SECONDS = 0; child.examine = lambda _: [0 for _ in iter(int, 1)]"
    async with reader(CHILD.format(endless)) as made:
        assert await look(made) == Finding(readable=False, reason="timed-out")


async def test_each_file_has_processor_time_of_its_own() -> None:
    spend = "import time; child.CPU_SECONDS = 1; real = child.read_media"
    spend += (
        "; child.read_media = lambda *a: [time.process_time() for _ in range(10**6)] and real(*a)"
    )
    async with reader(CHILD.format(spend)) as made:
        await look(made)
        child = made.pid
        assert child is not None
        while processor_seconds(child) < 2.5:
            assert (await look(made)).readable
        assert made.pid == child


async def test_a_file_that_wants_too_much_memory_gets_none_and_costs_the_child() -> None:
    greedy = "child.read_media = lambda *_: bytearray(child.MEMORY_BYTES)"
    async with reader(CHILD.format(greedy)) as made:
        assert await look(made) == Finding(readable=False, reason="out-of-memory")
        assert made.pid is None


async def test_sound_that_takes_too_long_to_hear_keeps_the_duration_its_file_claims() -> None:
    async with reader(CHILD.format("child._DECODING_SECONDS = 0.0")) as made:
        media = (await look(made, wav(samples_of(16_000) * 200))).media
        assert media is not None
        assert media.peaks == ()
        assert media.duration_seconds == pytest.approx(200.0)


FORBIDDEN = {
    "write a file": "os.write(os.open(FOLDER + '/written', os.O_WRONLY | os.O_CREAT), b'x')",
    "write to its file": "os.write(descriptor, b'x')",
    "start a process": "os.fork() or os._exit(0)",
    "open many files": "[os.open('/dev/null', os.O_RDONLY) for _ in range(64)]",
    "reach the network": "socket.create_connection(('127.0.0.1', PORT), 2)",
}


def attempts(port: int, folder: Path) -> str:
    """A child that tries each of these and answers with what it could do."""
    lines = ["import os, socket", f"PORT, FOLDER = {port}, {str(folder)!r}"]
    lines += ["def tried(descriptor, _):", " done = []"]
    for name, attempt in FORBIDDEN.items():
        lines += [" try:", f"  {attempt}", f"  done.append({name!r})", " except OSError: pass"]
    lines += [" done += [name for name in os.environ if name != 'LC_CTYPE']"]
    lines += [" return {'codec': ','.join(done)}"]
    source = "\n".join(lines)
    return CHILD.format(f"exec({source!r}, globals()); child.read_media = tried")


async def test_the_child_may_do_nothing_but_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLUICE_NATS_PASSWORD", "ours")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, reader(attempts(port, tmp_path)) as made:
        media = (await look(made)).media
    assert media is not None
    could = set(filter(None, (media.codec or "").split(",")))
    # A container may forbid a network of one's own, and root may always start processes.
    assert could <= {"reach the network", "start a process"}


@pytest.mark.parametrize("command", [python("raise SystemExit(1)"), ("/no/such/program",)])
async def test_a_child_that_does_not_start_says_nothing_about_the_file(
    command: tuple[str, ...],
) -> None:
    made = Reader(PATIENCE, command=command)
    with pytest.raises(Unavailable):
        await look(made)
    assert made.pid is None


async def test_nobody_takes_the_answer_to_a_question_that_was_given_up() -> None:
    async with reader() as made:
        await look(made)
        with hours_of_silence() as file:
            reading = asyncio.create_task(made.read(file))
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        media = (await look(made)).media
        assert media is not None
        assert media.duration_seconds == pytest.approx(1.0)


async def test_closing_in_the_middle_leaves_no_process_and_no_verdict() -> None:
    readers = Readers(2, PATIENCE)
    with hours_of_silence() as file:
        reading = asyncio.create_task(readers.read(file))
        await eventually(lambda: bool(children_of(os.getpid())))
        (child,) = children_of(os.getpid())
        await readers.close()
        with pytest.raises(Unavailable):
            await reading
    assert is_gone(child)


def children_of(pid: int) -> list[int]:
    """Those that read files."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {int(one): Path(f"/proc/{one}/cmdline").read_bytes() for one in listed}
    return [one for one, command in commands.items() if b"inspector.child" in command]


PARENT = """
import asyncio, tempfile
from sluice_storage.inspector.readers import Reader

async def main():
    reader, file = Reader(600), tempfile.TemporaryFile()
    file.write({head!r})
    file.truncate(2 * 1024**3)
    reading = asyncio.create_task(reader.read(file))
    while reader.pid is None:
        await asyncio.sleep(0.01)
    print(reader.pid, flush=True)
    await reading

asyncio.run(main())
"""


async def test_the_child_dies_with_a_parent_that_was_killed() -> None:
    parent = await asyncio.create_subprocess_exec(
        *python(PARENT.format(head=wav(b""))), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert not is_gone(child)
    parent.kill()
    await parent.wait()
    await eventually(lambda: is_gone(child))
