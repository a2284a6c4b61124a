"""The agent against a server that keeps its contract, and one that has its bad days."""

import json
from pathlib import Path

import pytest

from sluice_cli.agent.endings import (
    ALL_DONE,
    INTEGRITY,
    NETWORK,
    REFUSED,
    SOME_FAILED,
)

from .agent_door import (
    DEVICE,
    NAME,
    NAMES,
    POINT,
    REGISTER,
    Door,
    chunk,
    first,
    left_in,
    settings,
    uploads,
    wav,
    work,
)
from .web import Answer, Asked, Site, as_json, problem


@pytest.fixture
def door(site: Site) -> Door:
    return Door(site).open()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "chunks"
    path.mkdir()
    return path


def test_what_is_confirmed_is_deleted_oldest_first(
    door: Door, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in reversed(NAMES):
        chunk(folder, name, name.encode())
    assert work(settings(door.site, folder, as_json=True)) == ALL_DONE
    assert left_in(folder) == []
    assert door.contents == [name.encode() for name in NAMES]
    starts = [said["start_ts"] for said in door.fields]
    assert starts == sorted(starts)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["file"], line["status"]) for line in lines] == [
        (name, "uploaded") for name in NAMES
    ]
    assert {line["chunk_id"] for line in lines} == {str(chunk_id) for chunk_id in door.chunks}


def test_the_form_says_what_the_contract_asks_for(door: Door, folder: Path) -> None:
    wav(folder / "20260128T100000.5Z.wav", 2.0)
    assert work(settings(door.site, folder)) == ALL_DONE
    assert door.fields == [
        {
            "point_id": str(POINT),
            "register_id": str(REGISTER),
            "device_id": str(DEVICE),
            "start_ts": "2026-01-28T10:00:00.500000Z",
            "end_ts": "2026-01-28T10:00:02.500000Z",
            "codec": "pcm_s16le",
            "sample_rate": "16000",
            "channels": "2",
        }
    ]


def test_kept_files_are_sent_once_and_deleted_by_a_later_agent(door: Door, folder: Path) -> None:
    chunk(folder)
    for _ in range(2):
        assert work(settings(door.site, folder, keep=True)) == ALL_DONE
        assert (uploads(door.site), left_in(folder)) == (1, [NAME])
    assert work(settings(door.site, folder)) == ALL_DONE
    assert (uploads(door.site), left_in(folder)) == (1, [])


def test_what_one_server_has_is_sent_to_another_before_it_is_deleted(
    door: Door, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk(folder)
    assert work(settings(door.site, folder, keep=True)) == ALL_DONE
    elsewhere = f"{door.site.url}/elsewhere"
    told = settings(door.site, folder, base_url=elsewhere, patience_seconds=0.1)
    assert work(told) == NETWORK
    assert left_in(folder) == [NAME]
    assert "is another one" in capsys.readouterr().err
    sent = uploads(door.site)
    assert work(settings(door.site, folder)) == ALL_DONE
    assert (uploads(door.site), left_in(folder)) == (sent + 1, [])


@pytest.mark.parametrize(
    "answer",
    [
        problem(503, "unavailable", retryable=True, Retry_After="1"),
        problem(429, "too-many", retryable=True, Retry_After="Sat, 28 Nov 2026 10:00:00 GMT"),
        problem(500, "bug"),
        problem(409, "in-progress", retryable=True),
        problem(422, "busy", retryable=True),
        Answer(302, headers={"Location": "http://192.0.2.1/"}),
        Answer(413, b"<html>413 Request Entity Too Large</html>"),
        Answer(400, b"{}"),
        Answer(500, b"[" * 50_000),
        as_json({"detail": "half a pair: \ud800"}, 500),
        Answer(hang_up=True),
        Answer(200, b"<html>Welcome to our hotel</html>"),
        Answer(200, b'{"status": "ok"'),
        as_json({"status": "ok", "chunk_id": "no-uuid"}),
        as_json({"status": "accepted", "chunk_id": str(DEVICE)}),
        as_json([1]),
    ],
)  # fmt: skip
def test_trouble_ends_and_repeats_are_the_same_to_the_letter(
    door: Door, folder: Path, answer: Answer
) -> None:
    door.before = first(3, answer)
    path = chunk(folder, "a.ogg", b"sound" * 50_000)
    assert work(settings(door.site, folder)) == ALL_DONE
    assert not path.exists()
    assert (uploads(door.site), len(door.chunks)) == (4, 1)
    assert len({asked.body for asked in door.site.asked}) == 1


def test_one_file_in_trouble_does_not_hold_the_others_back(
    door: Door, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the waits turn out: it is the oldest, and due again and again."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    for name in NAMES:
        chunk(folder, name, name.encode())

    def before(asked: Asked) -> Answer | None:
        return problem(500, "bug") if NAMES[0].encode() in asked.body else None

    door.before = before
    told = settings(door.site, folder, longest_wait_seconds=0.5, patience_seconds=4.0)
    assert work(told) == NETWORK
    assert left_in(folder) == NAMES[:1]
    assert len(door.chunks) == len(NAMES) - 1


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refused_file_stays_and_is_not_sent_again_until_it_changes(
    door: Door, folder: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    door.before = first(1, problem(status, "bad-chunk"))
    for name in NAMES[:2]:
        chunk(folder, name)
    assert work(settings(door.site, folder, as_json=True)) == SOME_FAILED
    assert left_in(folder) == NAMES[:1]
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (line["status"], line["code"]) == ("refused", "bad-chunk")

    assert work(settings(door.site, folder)) == SOME_FAILED
    assert uploads(door.site) == 2
    assert "1 files were refused earlier" in capsys.readouterr().err

    chunk(folder, NAMES[0], b"another sound")
    assert work(settings(door.site, folder)) == ALL_DONE
    assert left_in(folder) == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_device_that_is_not_let_in_keeps_everything(
    door: Door, folder: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    door.before = lambda _asked: problem(status, "device-disabled")
    chunk(folder)
    assert work(settings(door.site, folder)) == REFUSED
    assert left_in(folder) == [NAME]
    assert "about device-disabled" in capsys.readouterr().err

    door.before = lambda _asked: None
    assert work(settings(door.site, folder)) == ALL_DONE


def test_nobody_there_ends_a_single_run_with_4(site: Site, folder: Path) -> None:
    chunk(folder)
    told = settings(site, folder, base_url="http://127.0.0.1:1", patience_seconds=0.1)
    assert work(told) == NETWORK
    assert left_in(folder) == [NAME]


def accepted(door: Door, chunk_id: str) -> Answer:
    return as_json({"status": "accepted", "chunk_id": chunk_id}, 202, Location="/elsewhere")


def test_an_accepted_file_stays_until_it_is_confirmed(door: Door, folder: Path) -> None:
    path = chunk(folder)
    asked_for: list[bool] = []

    def before(asked: Asked) -> Answer | None:
        if asked.method == "POST":
            chunk_id = door.take(asked)
            return accepted(door, str(chunk_id))
        asked_for.append(path.exists())
        return problem(404, "chunk-not-found") if len(asked_for) < 3 else None

    door.before = before
    assert work(settings(door.site, folder)) == ALL_DONE
    assert asked_for == [True, True, True]
    assert (uploads(door.site), path.exists()) == (1, False)


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_server_that_cannot_confirm_still_gets_every_chunk(
    door: Door, folder: Path, status: int
) -> None:
    for name in NAMES:
        chunk(folder, name)

    def before(asked: Asked) -> Answer | None:
        if asked.method == "POST":
            return accepted(door, str(door.take(asked)))
        return problem(status, "unavailable") if len(door.chunks) < len(NAMES) else None

    door.before = before
    assert work(settings(door.site, folder)) == ALL_DONE
    assert (uploads(door.site), left_in(folder)) == (len(NAMES), [])


def test_an_accepted_file_that_stays_unknown_is_sent_again(
    door: Door, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_cli.agent.loop._UNKNOWN_SECONDS", 0.05)
    path = chunk(folder)
    door.before = first(1, accepted(door, str(DEVICE)))
    assert work(settings(door.site, folder)) == ALL_DONE
    assert (uploads(door.site), len(door.chunks), path.exists()) == (2, 1, False)


def test_a_confirmation_of_other_bytes_deletes_nothing(door: Door, folder: Path) -> None:
    chunk(folder)

    def before(asked: Asked) -> Answer | None:
        if asked.method == "POST":
            return accepted(door, str(DEVICE))
        return as_json({"chunk_id": str(DEVICE), "sha256": "00" * 32})

    door.before = before
    assert work(settings(door.site, folder, patience_seconds=0.3)) == INTEGRITY
    assert left_in(folder) == [NAME]
