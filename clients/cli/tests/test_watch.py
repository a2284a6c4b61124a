"""`sluice watch` against a server that has a log."""

import json
import os
import signal
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sluice_cli import commands
from sluice_cli.client import Client
from sluice_cli.failures import ALL_DONE, INTERRUPTED, RefusedError
from sluice_cli.reporting import Report
from sluice_cli.watch import Watch

from .web import NOW, Answer, Asked, Site, as_json, problem

LAST = 250


def entry(sequence: int) -> dict[str, Any]:
    change = {
        "tenant": "t",
        "kind": "recording",
        "id": "rec_12345678",
        "sequence": 2,
        "previous": "processing",
        "status": "failed",
        "reason": "no\nsound",
        "actor": "worker",
        "changed_at": NOW,
    }
    about = {"sequence": sequence, "id": f"e{sequence}", "type": "t", "subject": "rec_12345678"}
    return about | {"time": NOW, "data": change}


def log(asked: Asked) -> Answer:
    """The log as a list; as a stream it refuses, which is how these tests end a watch."""
    if asked.headers["accept"] == "text/event-stream":
        return problem(403, f"began-after-{asked.headers['last-event-id']}")
    query = parse_qs(urlsplit(asked.path).query)
    after = int(query["after"][0])
    end = min(after + int(query["limit"][0]), LAST)
    items = [entry(sequence) for sequence in range(after + 1, end + 1)]
    return as_json({"items": items, "next_after": end, "last_sequence": LAST})


def watch(client: Client, *, as_json: bool = False) -> Watch:
    return Watch(client, Report(as_json=as_json), [], [])


async def test_one_line_for_each_change(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.decide = log
    async with Client(site.url, "k", print) as client:
        await watch(client).once(LAST - 1)
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-24T10:00:00.000+00:00 recording rec_12345678 processing → failed (no\\nsound)"
    ]


async def test_a_log_longer_than_a_page_is_shown_whole(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.decide = log
    async with Client(site.url, "k", print) as client:
        await watch(client, as_json=True).once(0)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == list(range(1, LAST + 1))


@pytest.mark.parametrize(("after", "begins"), [(None, LAST), (0, 0), (7, 7)])
async def test_a_watch_begins_now_or_where_it_is_told(
    site: Site, after: int | None, begins: int
) -> None:
    site.decide = log
    async with Client(site.url, "k", print) as client:
        with pytest.raises(RefusedError, match=f"began-after-{begins}"):
            await watch(client).forever(after)


@pytest.mark.parametrize(("options", "code"), [((), ALL_DONE), (("--once",), INTERRUPTED)])
def test_ctrl_c_is_how_a_watch_ends_unless_it_was_to_show_everything(
    site: Site, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int
) -> None:
    def interrupt(asked: Asked) -> Answer:
        os.kill(os.getpid(), signal.SIGINT)
        return log(asked)

    site.decide = interrupt
    given = ["--base-url", site.url, "--api-key", "k"]
    # Tests that run in the background ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(sys, "argv", ["sluice", "watch", *given, *options])
        with pytest.raises(SystemExit) as ended:
            commands.run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (ended.value.code or 0) == code
