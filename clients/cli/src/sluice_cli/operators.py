"""What the operator commands share: who they are, their report, how they end."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import nats.errors
import typer
from nats.aio.client import Client as Connection

from sluice_cli.arguments import looking_at
from sluice_cli.failures import INTERRUPTED, NetworkError, UsageError
from sluice_cli.reporting import Report
from sluice_cli.rpc import Address, connected

Url = Annotated[str, typer.Option("--nats-url", envvar="SLUICE_NATS_URL", help="Address of NATS.")]
User = Annotated[str, typer.Option("--nats-user", envvar="SLUICE_NATS_USER", help="Who asks.")]
Password = Annotated[
    str | None,
    typer.Option("--nats-password", envvar="SLUICE_NATS_PASSWORD", help="The user's password."),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--nats-password-file",
        envvar="SLUICE_NATS_PASSWORD_FILE",
        help="A file that holds the password.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Results as JSON lines.")]

Work = Callable[[Connection, Report], Awaitable[int]]


def address(url: str, user: str, password: str | None, password_file: Path | None) -> Address:
    """Where to connect, with the password from whichever place has it."""
    if password is None and password_file is not None:
        try:
            with looking_at(password_file):
                password = password_file.read_text("utf-8").rstrip("\r\n")
        except UnicodeError as error:
            raise UsageError(f"{password_file} holds no text in UTF-8") from error
    return Address(url=url, user=user, password=password)


def operate(where: Address, *, as_json: bool, work: Work) -> None:
    """Run `work` on a connection and exit with its code."""
    report = Report(as_json=as_json)

    async def connect_and_work() -> int:
        async with connected(where, report.notice) as connection:
            try:
                return await work(connection, report)
            except (nats.errors.Error, TimeoutError) as error:
                told = str(error) or type(error).__name__
                raise NetworkError(f"NATS did not answer: {told}") from error

    try:
        code = asyncio.run(connect_and_work())
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)
