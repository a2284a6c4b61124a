"""What `sluice` is asked and cannot do: one line that says why, before anything is sent."""

import sys
from pathlib import Path

import pytest

from sluice_cli import commands
from sluice_cli.failures import USAGE

from .web import Site

NATS = ["--nats-url", "nats://127.0.0.1:1"]
LONG = "x" * 5000


@pytest.fixture(autouse=True)
def _calling(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLUICE_BASE_URL", site.url)
    monkeypatch.setenv("SLUICE_API_KEY", "test_12345")
    (tmp_path / "a.wav").write_bytes(b"sound")
    (tmp_path / "no-text").write_bytes(b"\xff\xfe")


def refused(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> bool:
    monkeypatch.setattr(sys, "argv", ["sluice", *arguments])
    with pytest.raises(SystemExit) as ended:
        commands.run()
    return ended.value.code == USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ["upload", "a.wav", "--batch-id", "x" * 65],
        ["upload", "a.wav", "--batch-id", ""],
        ["upload", "a.wav", "--batch-id", "rb_\udcff"],
        ["upload", "a.wav", "--api-key", ""],
        ["upload", "a.wav", "--base-url", "http://localhost:none"],
        ["upload", LONG],
        ["upload", "--watch", LONG],
        ["watch", "--api-key", " k"],
        ["watch", "--base-url", "http://localhost?x=1"],
        ["watch", "--id", "\udcff"],
        ["watch", "--id", "x" * 70_000],
        ["watch", "--type", "\udcff"],
        ["watch", "--once", "--type", "x" * 70_000],
        ["reconcile", *NATS, "--older-than", "999999d"],
        ["dlq", "ls", *NATS, "--nats-password-file", "no-text"],
        ["dlq", "show", "9" * 30, *NATS],
        ["dlq", "drop", "--yes", "9" * 30, *NATS],
        ["dlq", "ls", "--after", "9" * 30, *NATS],
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    assert refused(monkeypatch, *arguments)
    assert capsys.readouterr().err
    assert site.asked == []


def test_who_has_no_home_is_asked_for_a_ledger(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container that runs as a user nobody heard of."""

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert refused(monkeypatch, "upload", "a.wav")
    assert "--ledger" in capsys.readouterr().err
