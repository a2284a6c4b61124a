"""Which files are found, when they are finished, and what is remembered of them."""

import asyncio
import hashlib
import os
from contextlib import closing
from pathlib import Path

import pytest

from sluice_cli.failures import USAGE, IntegrityError, UsageError
from sluice_cli.upload.files import Reader, find, look_at
from sluice_cli.upload.filing import unseen
from sluice_cli.upload.ledger import Ledger, default_path
from sluice_cli.upload.watching import Watched
from sluice_cli.writers import is_being_written


def write(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def fail(error: OSError) -> None:
    raise error


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that cannot be looked into; permissions would not stop root."""
    folder = write(tmp_path / "b/closed/1.wav").parent
    scandir = os.scandir

    def refusing(path: str) -> object:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refusing)
    return folder


class TestFinding:
    def test_a_folder_that_cannot_be_read_is_told_and_the_others_are_searched(
        self, tmp_path: Path, closed: Path
    ) -> None:
        write(tmp_path / "b/2.wav")
        told: list[OSError] = []
        assert [source.shown for source in find([tmp_path], told.append)] == ["b/2.wav"]
        (error,) = told
        outcome = unseen(error)
        assert (outcome.file, outcome.status) == (str(closed), "failed")
        assert outcome.exit_code == USAGE
        assert outcome.detail is not None
        assert "Permission denied" in outcome.detail

    def test_folders_are_searched_to_the_bottom(self, tmp_path: Path) -> None:
        for name in ("b/deep/1.wav", "b/2.wav", "a.wav", ".hidden/3.wav", "b/.4.wav"):
            write(tmp_path / name)
        found = [source.shown for source in find([tmp_path], fail)]
        assert found == ["a.wav", "b/2.wav", "b/deep/1.wav"]

    def test_what_is_named_twice_is_found_once(self, tmp_path: Path) -> None:
        write(tmp_path / "b/1.wav")
        named = [tmp_path, tmp_path / "b", tmp_path / "b/1.wav"]
        assert [source.shown for source in find(named, fail)] == ["b/1.wav"]

    def test_what_is_named_is_taken_even_if_hidden(self, tmp_path: Path) -> None:
        hidden = write(tmp_path / ".hidden.wav")
        assert [source.path for source in find([hidden], fail)] == [hidden]

    def test_what_is_not_there_is_a_mistake(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no file or folder"):
            list(find([tmp_path / "nothing"], fail))

    def test_a_name_that_is_no_text_can_be_sent(self, tmp_path: Path) -> None:
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.wav"))
        try:
            write(path)
        except OSError:
            pytest.skip("this file system takes text alone")
        (source,) = find([tmp_path], fail)
        assert source.filename == "a\ufffd.wav"
        with closing(Ledger(tmp_path / "ledger.db", "http://s", None)) as ledger:
            ledger.begin(source)
            assert ledger.find(source) is not None


async def test_a_reader_knows_the_digest_of_what_it_passed(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    with closing(Reader(look_at(write(tmp_path / "a", data)))) as reader:
        assert await reader.read(10) == data[:10]
        await reader.skip(2_000_000)
        rest = [piece async for piece in reader.pieces(999_990)]
        assert b"".join(rest) == data[2_000_010:]
        assert reader.sha256() == hashlib.sha256(data).hexdigest()
        with pytest.raises(IntegrityError, match="shorter"):
            await reader.read(1)


class TestLedger:
    def test_a_file_is_known_until_it_changes(self, tmp_path: Path) -> None:
        path, where = write(tmp_path / "a"), tmp_path / "deep" / "ledger.db"
        source = look_at(path)
        with closing(Ledger(where, "http://s", None)) as ledger:
            assert ledger.find(source) is None
            begun = ledger.begin(source)
            assert ledger.find(source) == begun
            ledger.began(source, "the key of another run", "upl_2")
            assert ledger.find(source) == begun
            ledger.began(source, begun.idempotency_key, "upl_1")
        with closing(Ledger(where, "http://s", None)) as ledger:
            found = ledger.find(source)
            assert found is not None
            assert (found.idempotency_key, found.upload_id) == (begun.idempotency_key, "upl_1")
            write(path, b"longer")
            assert ledger.find(look_at(path)) is None
            ledger.forget(source)
            assert ledger.find(source) is None

    def test_servers_and_batches_are_kept_apart(self, tmp_path: Path) -> None:
        source, where = look_at(write(tmp_path / "a")), tmp_path / "ledger.db"
        with closing(Ledger(where, "http://s", None)) as ledger:
            ledger.begin(source)
        for server, batch_id in (("http://t", None), ("http://s", "rb_00000001")):
            with closing(Ledger(where, server, batch_id)) as ledger:
                assert ledger.find(source) is None

    def test_what_is_no_ledger_is_left_alone(self, tmp_path: Path) -> None:
        path = write(tmp_path / "notes.txt", b"not a database, but long enough to be taken for one")
        with pytest.raises(UsageError, match="cannot use the ledger"):
            Ledger(path, "http://s", None)
        assert path.read_bytes().startswith(b"not a database")

    def test_it_lies_where_state_belongs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", "/state")
        assert default_path() == Path("/state/sluice/uploads.db")
        monkeypatch.delenv("XDG_STATE_HOME")
        monkeypatch.setenv("HOME", "/home/me")
        assert default_path() == Path("/home/me/.local/state/sluice/uploads.db")


class TestWatching:
    async def test_a_file_is_finished_once_nobody_writes_to_it(self, tmp_path: Path) -> None:
        write(tmp_path / "a.wav", b"a")
        write(tmp_path / "b.wav.part", b"b")
        write(tmp_path / "empty.wav", b"")
        stopping = asyncio.Event()
        async with asyncio.timeout(30):
            finished = Watched(tmp_path, 0.1, print).finished(stopping)
            assert (await anext(finished)).shown == "a.wav"
            (tmp_path / "b.wav.part").rename(tmp_path / "b.wav")
            assert (await anext(finished)).shown == "b.wav"
            write(tmp_path / "a.wav", b"other")
            assert (await anext(finished)).size_bytes == 5
            stopping.set()
            assert [source async for source in finished] == []

    @pytest.mark.skipif(
        is_being_written(Path(__file__)) is None, reason="nobody can tell who writes to a file here"
    )
    async def test_a_file_that_somebody_still_writes_to_is_left_alone(self, tmp_path: Path) -> None:
        stopping = asyncio.Event()
        async with asyncio.timeout(30):
            finished = Watched(tmp_path, 0.1, print).finished(stopping)
            with (tmp_path / "a.wav").open("wb", buffering=0) as held:
                held.write(b"half")
                write(tmp_path / "b.wav")
                assert (await anext(finished)).shown == "b.wav"
                # Long after it could have been taken as well.
                write(tmp_path / "c.wav")
                assert (await anext(finished)).shown == "c.wav"
                held.write(b" and half")
            assert (await anext(finished)).size_bytes == 13
