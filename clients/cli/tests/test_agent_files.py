"""What becomes of files that change, vanish or cannot be placed, and where a device stands."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sluice_cli.agent.audio import Sound
from sluice_cli.agent.endings import (
    ALL_DONE,
    INTERRUPTED,
    NETWORK,
    REFUSED,
    SOME_FAILED,
    AgentError,
)
from sluice_cli.agent.stopping import Stopping

from .agent_door import (
    NAME,
    NAMES,
    POINT,
    Door,
    chunk,
    first,
    left_in,
    needs_leases,
    settings,
    uploads,
    work,
    written_at,
)
from .web import Answer, Asked, Site, problem


@pytest.fixture
def door(site: Site) -> Door:
    return Door(site).open()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "chunks"
    path.mkdir()
    return path


def test_a_file_that_changes_while_it_is_sent_is_another_chunk(door: Door, folder: Path) -> None:
    path = chunk(folder, data=b"first")

    def before(asked: Asked) -> None:
        if asked.method == "POST" and not door.chunks:
            path.write_bytes(b"second, and longer")

    door.before = before
    assert work(settings(door.site, folder)) == ALL_DONE
    assert door.contents == [b"first", b"second, and longer"]
    assert not path.exists()


def test_bytes_that_change_unseen_are_never_completed(door: Door, folder: Path) -> None:
    """As a dying flash card changes them: same size, same time."""
    path = chunk(folder, data=b"first")

    def before(asked: Asked) -> Answer | None:
        if uploads(door.site) > 1:
            return None
        times = path.stat()
        path.write_bytes(b"other")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        return problem(503, "unavailable")

    door.before = before
    assert work(settings(door.site, folder)) == ALL_DONE
    assert door.contents == [b"other"]


def test_a_file_that_is_taken_away_is_no_failure(door: Door, folder: Path) -> None:
    path = chunk(folder)

    def before(asked: Asked) -> Answer:
        path.unlink(missing_ok=True)
        return problem(503, "unavailable")

    door.before = before
    assert work(settings(door.site, folder)) == ALL_DONE
    assert door.chunks == {}


def test_the_server_is_asked_once_where_the_device_stands(door: Door, folder: Path) -> None:
    for name in NAMES[:2]:
        chunk(folder, name)
    assert work(settings(door.site, folder, place=None)) == ALL_DONE
    chunk(folder, NAMES[2])
    assert work(settings(door.site, folder, place=None)) == ALL_DONE
    assert [asked.path for asked in door.site.asked].count("/api/v1/devices/me") == 1
    assert {said["point_id"] for said in door.fields} == {str(POINT)}


def test_a_device_that_moved_is_asked_for_anew(door: Door, folder: Path) -> None:
    chunk(folder, NAMES[0])
    assert work(settings(door.site, folder, place=None)) == ALL_DONE
    chunk(folder, NAMES[1])
    door.before = first(1, problem(403, "wrong-place"))
    assert work(settings(door.site, folder, place=None)) == REFUSED
    assert work(settings(door.site, folder, place=None)) == ALL_DONE
    assert [asked.path for asked in door.site.asked].count("/api/v1/devices/me") == 2


def test_the_token_of_another_device_is_a_usage_error(door: Door, folder: Path) -> None:
    chunk(folder)
    with pytest.raises(AgentError, match="the token is that of device"):
        work(settings(door.site, folder, place=None, device_id=POINT))


def test_a_server_that_does_not_tell_places_is_named_as_the_reason(
    door: Door, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk(folder)
    door.before = lambda _asked: problem(404, "not-found")
    told = settings(door.site, folder, place=None, patience_seconds=0.1)
    assert work(told) == NETWORK
    assert "give --point-id" in capsys.readouterr().err


def test_a_chunk_from_before_the_clock_was_set_waits(door: Door, folder: Path) -> None:
    written_at(chunk(folder, "a.ogg"), datetime(1970, 1, 1, 1, tzinfo=UTC))
    written_at(chunk(folder), datetime(1970, 1, 1, 1, tzinfo=UTC))
    assert work(settings(door.site, folder)) == SOME_FAILED
    assert left_in(folder) == ["a.ogg"]

    written_at(folder / "a.ogg", datetime.now(UTC) - timedelta(hours=1))
    assert work(settings(door.site, folder)) == ALL_DONE


def test_a_lost_ledger_makes_no_second_chunk(door: Door, folder: Path) -> None:
    chunk(folder, "a.ogg")
    for _ in range(2):
        assert work(settings(door.site, folder, keep=True)) == ALL_DONE
        for part in folder.glob(".ledger*"):
            part.unlink()
    assert (uploads(door.site), len(door.chunks)) == (2, 1)


def test_files_that_are_no_chunks_are_left_alone(
    door: Door, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk(folder, "recorder.log")
    assert work(settings(door.site, folder)) == ALL_DONE
    assert left_in(folder) == ["recorder.log"]
    assert capsys.readouterr().err.count("recorder.log is left alone") == 1


def test_an_agent_asked_to_stop_finishes_its_chunk_and_begins_none(
    door: Door, folder: Path
) -> None:
    for name in NAMES:
        chunk(folder, name)
    stop = Stopping()

    def before(asked: Asked) -> None:
        stop.request()

    door.before = before
    assert work(settings(door.site, folder), stop) == INTERRUPTED
    assert (len(door.fields), left_in(folder)) == (1, NAMES[1:])


@needs_leases
def test_a_file_that_is_opened_for_writing_once_it_was_sent_stays(
    door: Door, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = chunk(folder)
    opened = []

    def before(_asked: Asked) -> None:
        opened.append(path.open("ab"))

    door.before = before
    assert work(settings(door.site, folder, patience_seconds=0.1)) == SOME_FAILED
    assert "somebody writes to it" in capsys.readouterr().err
    (recorder,) = opened
    recorder.write(b"more")
    recorder.close()
    door.before = lambda _asked: None
    assert path.exists()
    assert work(settings(door.site, folder)) == ALL_DONE
    assert (uploads(door.site), left_in(folder)) == (2, [])


def test_an_unreadable_file_is_told_and_kept(
    door: Door, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a card with a broken block; permissions would not stop root."""
    chunk(folder, NAMES[0])
    chunk(folder, NAMES[1])

    def broken(path: Path) -> Sound:
        if path.name == NAMES[0]:
            raise OSError(5, "Input/output error")
        return Sound()

    monkeypatch.setattr("sluice_cli.agent.chunks.read_sound", broken)
    assert work(settings(door.site, folder)) == SOME_FAILED
    assert left_in(folder) == NAMES[:1]
    assert capsys.readouterr().err.count(f"cannot read {NAMES[0]}") == 1


def test_a_file_that_cannot_be_deleted_is_told_and_not_sent_again(
    door: Door, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a card that has become read-only; permissions would not stop root."""
    chunk(folder)

    def read_only(_path: Path) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as card:
        card.setattr(Path, "unlink", read_only)
        assert work(settings(door.site, folder, patience_seconds=0.1)) == SOME_FAILED
    assert left_in(folder) == [NAME]
    assert "cannot delete" in capsys.readouterr().err
    assert work(settings(door.site, folder)) == ALL_DONE
    assert (uploads(door.site), left_in(folder)) == (1, [])
