"""The ledger and the folder: what an agent knows after a kill, on a full disk, beside another."""

import errno
import fcntl
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sluice_cli.agent.endings import AgentError
from sluice_cli.agent.entries import Entry, Stamp, State
from sluice_cli.agent.folder import FolderLock, FolderWatch
from sluice_cli.agent.ledger import Ledger
from sluice_cli.writers import is_being_written

from .agent_door import chunk, needs_leases

ENTRY = Entry(
    name="a.ogg",
    stamp=Stamp(5, 1_769_594_400_123_456_789),
    start_ts="2026-01-28T10:00:00.000000Z",
    end_ts="2026-01-28T10:01:00.000000Z",
    codec="opus",
    sample_rate=48_000,
    channels=1,
)


@pytest.fixture
def notices() -> list[str]:
    return []


@contextmanager
def opened(path: Path, notices: list[str]) -> Iterator[Ledger]:
    with closing(Ledger(path, notices.append)) as ledger:
        yield ledger


def test_what_was_saved_is_there_after_a_restart(tmp_path: Path, notices: list[str]) -> None:
    path = tmp_path / "ledger"
    full = replace(
        ENTRY,
        name="strange \udcff name.ogg",
        sha256="ab" * 32,
        state=State.ACCEPTED,
        chunk_id="c",
        attempts=3,
        next_try=12.5,
        accepted_at=11.5,
        last_error="no",
    )
    with opened(path, notices) as ledger:
        ledger.save(ENTRY, full)
        ledger.save(replace(ENTRY, attempts=1))
        ledger.remember("place", {"point_id": "p"})
    with opened(path, notices) as ledger:
        assert ledger.find("a.ogg") == replace(ENTRY, attempts=1)
        assert ledger.find(full.name) == full
        assert ledger.recall("place") == {"point_id": "p"}
        assert sorted(ledger.names((State.ACCEPTED, State.PENDING))) == ["a.ogg", full.name]
        ledger.remove("a.ogg")
        ledger.remember("place", None)
        assert (ledger.find("a.ogg"), ledger.recall("place")) == (None, None)
        assert ledger.count((State.ACCEPTED,)) == 1
    assert notices == []


def test_the_oldest_recording_whose_time_has_come_is_next(
    tmp_path: Path, notices: list[str]
) -> None:
    with opened(tmp_path / "ledger", notices) as ledger:
        older = replace(ENTRY, name="z.ogg", start_ts="2026-01-27T10:00:00.000000Z", next_try=50.0)
        ledger.save(ENTRY, older)
        assert ledger.due(State.PENDING, now=40.0, longest_delay_seconds=300.0) == ENTRY
        assert ledger.due(State.PENDING, now=50.0, longest_delay_seconds=300.0) == older
        assert ledger.due(State.REFUSED, now=50.0, longest_delay_seconds=300.0) is None


def test_a_time_of_a_clock_that_ran_ahead_does_not_hold_a_chunk_back(
    tmp_path: Path, notices: list[str]
) -> None:
    with opened(tmp_path / "ledger", notices) as ledger:
        ledger.save(late := replace(ENTRY, next_try=1e9))
        assert ledger.due(State.PENDING, now=1000.0, longest_delay_seconds=300.0) == late


@pytest.mark.parametrize("harm", ["overwritten", "no database", "another table"])
def test_a_broken_ledger_is_moved_aside(tmp_path: Path, notices: list[str], harm: str) -> None:
    path = tmp_path / "ledger"
    with opened(path, notices) as ledger:
        ledger.save(*(replace(ENTRY, name=f"{number}.ogg") for number in range(200)))
    if harm == "another table":
        with closing(sqlite3.connect(path)) as database:
            database.executescript(
                "drop table files; create table files (a, state, start_ts, name)"
            )
    else:
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096 if harm == "overwritten" else 0)
            file.write(b"\xff" * (size - file.tell()))
    with opened(path, notices) as ledger:
        assert ledger.count(tuple(State)) == 0
        ledger.save(ENTRY)
    (aside,) = tmp_path.glob("ledger.broken-*")
    assert aside.name in notices[0]


def test_a_ledger_belongs_to_one_agent(tmp_path: Path, notices: list[str]) -> None:
    path = tmp_path / "ledger"
    with opened(path, notices), pytest.raises(AgentError, match="another agent"):
        Ledger(path, notices.append)
    with opened(path, notices) as ledger:
        assert ledger.count(tuple(State)) == 0


def test_a_ledger_in_a_place_that_does_not_exist_is_a_usage_error(
    tmp_path: Path, notices: list[str]
) -> None:
    with pytest.raises(AgentError, match="cannot open"):
        Ledger(tmp_path / "absent" / "ledger", notices.append)


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_sends_the_ledger_into_memory_and_back(
    tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger"
    with opened(path, notices) as ledger:
        ledger.save(ENTRY)
        more = [replace(ENTRY, name=f"{number}.ogg") for number in range(500)]
        with full_disk(os.path.getsize(f"{path}-wal")):
            ledger.save(*more)
            ledger.save(replace(ENTRY, attempts=1))
            assert ledger.count((State.PENDING,)) == 501
            assert "going on in memory" in notices[-1]
        monkeypatch.setattr("sluice_cli.agent.ledger._RETURN_SECONDS", 0.0)
    assert "on the disk again" in notices[-1]
    with opened(path, notices) as ledger:
        assert ledger.count((State.PENDING,)) == 501
        assert ledger.find("a.ogg") == replace(ENTRY, attempts=1)


def test_an_agent_can_start_on_a_full_disk(tmp_path: Path, notices: list[str]) -> None:
    with full_disk(0), opened(tmp_path / "ledger", notices) as ledger:
        ledger.save(ENTRY)
        assert ledger.find("a.ogg") == ENTRY
    assert "going on in memory" in notices[0]


def test_a_second_agent_is_kept_out_of_a_folder(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(AgentError, match="already watches"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_file_is_told_once_it_has_not_changed_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_cli.agent.folder.is_being_written", lambda _path: False)
    clock = Clock()
    watch = FolderWatch(tmp_path, 2.0, 30.0, clock)
    path = chunk(tmp_path, "a.ogg", b"begin")
    assert not watch.has_settled
    assert watch.newly_finished() == []
    clock.now += 1.9
    path.write_bytes(b"begin and more")
    assert watch.newly_finished() == []
    clock.now += 1.9
    assert watch.newly_finished() == []
    clock.now += 0.1
    assert watch.newly_finished() == [("a.ogg", Stamp.of(path.stat()))]
    assert watch.has_settled
    assert watch.newly_finished() == []

    path.write_bytes(b"another")
    watch.newly_finished()
    clock.now += 2.0
    assert watch.newly_finished() == [("a.ogg", Stamp.of(path.stat()))]
    watch.forget("a.ogg")
    watch.newly_finished()
    assert not watch.has_settled
    clock.now += 2.0
    assert [name for name, _ in watch.newly_finished()] == ["a.ogg"]


@needs_leases
def test_a_file_somebody_writes_to_is_not_finished(tmp_path: Path) -> None:
    """However long it stays as it is: what the writer holds back is in no file."""
    clock = Clock()
    watch = FolderWatch(tmp_path, 2.0, 30.0, clock)
    path = chunk(tmp_path, "a.ogg", b"begin")
    with path.open("ab") as recorder:
        for _ in range(4):
            assert watch.newly_finished() == []
            clock.now += 60.0
        assert watch.has_settled, "a single run does not wait for the recorder"
        recorder.write(b"the rest")
    watch.newly_finished()
    clock.now += 2.0
    assert watch.newly_finished() == [("a.ogg", Stamp.of(path.stat()))]


def test_where_nobody_can_tell_who_writes_a_file_settles_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_cli.agent.folder.is_being_written", lambda _path: None)
    clock = Clock()
    watch = FolderWatch(tmp_path, 2.0, 30.0, clock)
    chunk(tmp_path, "a.ogg")
    for wait in (2.0, 27.9):
        assert watch.newly_finished() == []
        clock.now += wait
        assert watch.newly_finished() == []
    assert not watch.has_settled
    clock.now += 0.1
    assert [name for name, _ in watch.newly_finished()] == ["a.ogg"]
    assert watch.has_settled


@needs_leases
def test_the_system_tells_who_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = chunk(tmp_path, "a.ogg")
    with path.open("rb"):
        assert is_being_written(path) is False
    with path.open("ab"):
        assert is_being_written(path) is True

    def no_leases(_descriptor: int, command: int, _argument: int) -> int:
        raise OSError(errno.EINVAL if command == fcntl.F_SETLEASE else errno.EPERM, "no")

    monkeypatch.setattr("fcntl.fcntl", no_leases)
    assert is_being_written(path) is None


def test_drafts_hidden_and_empty_files_folders_and_links_are_no_chunks(tmp_path: Path) -> None:
    for name in (".hidden.ogg", "a.ogg.part", "b.TMP"):
        chunk(tmp_path, name)
    chunk(tmp_path, "empty.ogg", b"")
    (tmp_path / "folder.ogg").mkdir()
    (tmp_path / "link.ogg").symlink_to(tmp_path / ".hidden.ogg")
    assert FolderWatch(tmp_path, 0.0, 0.0).newly_finished() == []
