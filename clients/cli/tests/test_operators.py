"""The operator commands when NATS says no: one clear line, and the exit code for a refusal."""

import io
import sys

import pytest
from nats.aio.client import Client as Connection

from sluice_cli import commands, operators
from sluice_cli.failures import ALL_DONE, NETWORK, REFUSED, SOME_FAILED, RefusedError
from sluice_cli.reporting import Report
from sluice_cli.rpc import Address

from .nats_server import nats_server

PASSWORD = "right"


def exit_code(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["sluice", *arguments])
    with pytest.raises(SystemExit) as ended:
        commands.run()
    return ended.value.code


@pytest.mark.parametrize("command", [["dlq", "ls"], ["reconcile"]])
def test_a_wrong_password_is_a_refusal_told_once(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with nats_server(PASSWORD) as server:
        given = ["--nats-url", server.url, "--nats-password", "wrong"]
        code = exit_code(monkeypatch, *command, *given)
    assert code == REFUSED
    assert capsys.readouterr().err.splitlines() == [
        "sluice: NATS does not let operator in with this password (unauthorized)"
    ]
    assert server.attempts == 1


@pytest.mark.parametrize(
    ("answer", "expected"), [("y\n", NETWORK), ("no\n", SOME_FAILED), ("", SOME_FAILED)]
)
def test_letters_are_dropped_after_a_yes_only(
    answer: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    nobody = ["--nats-url", "nats://127.0.0.1:1"]
    assert exit_code(monkeypatch, "dlq", "drop", "1", *nobody) == expected


def test_no_password_is_a_refusal_that_says_where_to_put_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with nats_server(PASSWORD) as server:
        code = exit_code(monkeypatch, "dlq", "ls", "--nats-url", server.url)
    assert code == REFUSED
    assert capsys.readouterr().err.splitlines() == [
        "sluice: NATS lets nobody in without the right password; set SLUICE_NATS_PASSWORD "
        "(unauthorized)"
    ]


def test_a_user_without_the_rights_is_refused() -> None:
    async def work(connection: Connection, _report: Report) -> int:
        await connection.request("subject", b"", timeout=0.3)
        return ALL_DONE

    with nats_server(PASSWORD) as server:
        where = Address(url=server.url, user="worker", password=PASSWORD)
        with pytest.raises(RefusedError, match=r"NATS does not let worker do this \(forbidden\)"):
            operators.operate(where, as_json=False, work=work)


def test_one_of_several_servers_is_enough(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with nats_server(PASSWORD) as server:
        several = f"nats://127.0.0.1:1,{server.url}"
        given = ["--nats-url", several, "--nats-password", "wrong"]
        assert exit_code(monkeypatch, "dlq", "ls", *given) == REFUSED
    assert server.attempts == 1
    assert "in with this password" in capsys.readouterr().err


def test_an_address_that_is_none_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "dlq", "ls", "--nats-url", "nats://x:y") == NETWORK
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("sluice: cannot connect to NATS")
