"""`sluice dlq`: look at dead letters, replay them, drop them."""

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Annotated

import typer
from nats.aio.client import Client as Connection
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sluice_cli import operators
from sluice_cli.failures import ALL_DONE, CommandError, UsageError, combined
from sluice_cli.letters import DeadLetter, LetterRow, Letters, LetterView
from sluice_cli.operators import Json, Password, PasswordFile, Url, User
from sluice_cli.printing import printable
from sluice_cli.reporting import Report, on_terminal

app = typer.Typer(no_args_is_help=True, help="Messages that a service could not handle.")

# What comes after a sequence has to fit into 64 bits as well.
_LAST = 2**63 - 1

Sequence = Annotated[int, typer.Argument(min=1, max=_LAST, metavar="SEQ", help="As shown by ls.")]
OneOf = Annotated[
    int | None, typer.Argument(min=1, max=_LAST, metavar="[SEQ]", help="As shown by ls.")
]
All = Annotated[bool, typer.Option("--all", help="Every letter there is now.")]

Action = Callable[[Letters, DeadLetter], Awaitable[None]]


@app.command("ls")
def list_letters(
    url: Url,
    user: User = "operator",
    password: Password = None,
    password_file: PasswordFile = None,
    after: Annotated[int, typer.Option(min=0, max=_LAST, help="Go on behind this sequence.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 200,
    as_json: Json = False,
) -> None:
    """List dead letters, oldest first."""

    async def work(connection: Connection, report: Report) -> int:
        letters = Letters(connection.jetstream())
        rows: list[LetterRow] = []
        async for letter in letters.between(after + 1, await letters.last_sequence()):
            if len(rows) == limit:
                report.notice(f"there are more; go on with --after {rows[-1].sequence}")
                break
            rows.append(LetterRow.of(letter))
        _show(rows, report)
        return ALL_DONE

    where = operators.address(url, user, password, password_file)
    operators.operate(where, as_json=as_json, work=work)


@app.command()
def show(
    sequence: Sequence,
    url: Url,
    user: User = "operator",
    password: Password = None,
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Show the headers and the body of one dead letter."""

    async def work(connection: Connection, report: Report) -> int:
        report.result(LetterView.of(await Letters(connection.jetstream()).get(sequence)))
        return ALL_DONE

    where = operators.address(url, user, password, password_file)
    operators.operate(where, as_json=as_json, work=work)


@app.command()
def replay(
    url: Url,
    sequence: OneOf = None,
    everything: All = False,
    user: User = "operator",
    password: Password = None,
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Send dead letters to their original subject again, and forget them."""
    _check_choice(sequence, everything)

    async def work(connection: Connection, report: Report) -> int:
        letters = Letters(connection.jetstream())
        return await _for_each(letters, sequence, report, "replayed", Letters.replay)

    where = operators.address(url, user, password, password_file)
    operators.operate(where, as_json=as_json, work=work)


@app.command()
def drop(
    url: Url,
    sequence: OneOf = None,
    everything: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    user: User = "operator",
    password: Password = None,
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Delete dead letters for good."""
    _check_choice(sequence, everything)
    if not yes:
        _ask(f"dead letter {sequence}" if sequence else "every dead letter")

    async def remove(letters: Letters, letter: DeadLetter) -> None:
        await letters.drop(letter.sequence)

    async def work(connection: Connection, report: Report) -> int:
        letters = Letters(connection.jetstream())
        return await _for_each(letters, sequence, report, "dropped", remove)

    where = operators.address(url, user, password, password_file)
    operators.operate(where, as_json=as_json, work=work)


def _ask(what: str) -> None:
    """Go on after a yes only. typer's own question takes Ctrl-C for a no."""
    print(f"Delete {what} for good? [y/N]: ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline() if sys.stdin else ""
    if answer.strip().lower() not in ("y", "yes"):
        raise typer.Abort


def _check_choice(sequence: int | None, everything: bool) -> None:
    if (sequence is None) is not everything:
        raise UsageError("give one sequence or --all")


async def _for_each(
    letters: Letters, sequence: int | None, report: Report, done: str, action: Action
) -> int:
    """Do `action` to one letter, or to all there are now; a failure stops none of the others."""
    if sequence is not None:
        letter = await letters.get(sequence)
        await action(letters, letter)
        _tell(report, letter, done)
        return ALL_DONE
    codes = []
    # A replayed letter that fails again is parked anew, behind this end.
    async for letter in letters.between(1, await letters.last_sequence()):
        try:
            await action(letters, letter)
        except CommandError as error:
            report.notice(f"{letter.sequence}: {error}")
            codes.append(error.exit_code)
        else:
            _tell(report, letter, done)
            codes.append(ALL_DONE)
    return combined(codes)


def _tell(report: Report, letter: DeadLetter, done: str) -> None:
    row = LetterRow.of(letter)
    if report.as_json:
        report.result(row)
    report.line(f"{done} {row.sequence} {row.subject} ({row.consumer})")


def _show(rows: list[LetterRow], report: Report) -> None:
    if report.as_json:
        for row in rows:
            report.result(row)
        return
    if not rows:
        report.line("no dead letters")
        return
    lines = [
        (str(row.sequence), _moment(row), row.reason, row.consumer, row.subject, row.error)
        for row in rows
    ]
    if not on_terminal():
        for line in lines:
            report.line(" ".join(line))
        return
    table = Table(box=None)
    for heading in ("seq", "parked at", "reason", "consumer"):
        table.add_column(heading, no_wrap=True)
    for heading in ("subject", "error"):
        table.add_column(heading, overflow="fold")
    for line in lines:
        table.add_row(*(Text(printable(cell)) for cell in line))
    Console(highlight=False).print(table)


def _moment(row: LetterRow) -> str:
    return row.parked_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
