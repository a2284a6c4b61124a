"""The commands of `sluice` that people and operators run."""

import asyncio
import re
import sys
from datetime import timedelta
from typing import Annotated

import typer
from nats.aio.client import Client as Connection

from sluice_cli import dlq, operators
from sluice_cli.arguments import DEFAULT_BASE_URL, checked_key, checked_url
from sluice_cli.client import Client
from sluice_cli.failures import ALL_DONE, INTERRUPTED, CommandError
from sluice_cli.operators import Json, Password, PasswordFile, Url, User
from sluice_cli.printing import printable
from sluice_cli.reconcile import Reconciler, reconcile
from sluice_cli.reporting import Report
from sluice_cli.upload.command import upload
from sluice_cli.watch import Watch, checked_names

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Watch and run Sluice. Exit codes: 0 all done, 1 some failed or differ, 2 usage, "
    "3 refused, 4 network, 5 integrity, 130 interrupted.",
)
app.add_typer(dlq.app, name="dlq")
app.command()(upload)

_UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=36_500)


def run() -> None:
    try:
        app()
    except CommandError as error:
        print(f"sluice: {printable(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)


def duration(text: str) -> timedelta:
    """A length of time such as `90`, `90s`, `15m`, `1h` or `2d`."""
    match = re.fullmatch(r"(\d{1,6})([smhd]?)", text)
    length = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta.max
    # A moment longer ago than all years there are could not be told.
    if length > _LONGEST:
        raise typer.BadParameter("give a length of time such as 90s, 15m, 1h or 2d")
    return length


@app.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
def agent(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Send the chunks a recorder writes into a folder, and delete what has arrived."""
    # Shown here and run by `main`, which goes past typer; this is for those who call `app`.
    from sluice_cli.agent.run import main as run_agent

    raise typer.Exit(run_agent(arguments or []))


@app.command()
def watch(
    api_key: Annotated[str, typer.Option(envvar="SLUICE_API_KEY", help="The API key.")],
    base_url: Annotated[
        str, typer.Option(envvar="SLUICE_BASE_URL", help="The server.")
    ] = DEFAULT_BASE_URL,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only this type of event, or this kind; may be repeated."),
    ] = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="Only about this id; may be repeated.")
    ] = None,
    after: Annotated[
        int | None, typer.Option(min=0, help="Begin behind this sequence; 0 shows everything.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show what there is, then end.")] = False,
    as_json: Json = False,
) -> None:
    """Print every status change as it happens, until Ctrl-C, which ends it with exit code 0."""
    report = Report(as_json=as_json)
    url, key = checked_url(base_url), checked_key(api_key)
    wanted_types, wanted_ids = checked_names(types or []), checked_names(ids or [])

    async def work() -> None:
        async with Client(url, key, report.notice) as client:
            watching = Watch(client, report, wanted_types, wanted_ids)
            if once:
                await watching.once(after or 0)
            else:
                await watching.forever(after)

    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        # It is how a watch ends, not a failure of it; what was to be shown once is cut short.
        raise typer.Exit(INTERRUPTED if once else ALL_DONE) from None


@app.command("reconcile")
def compare(
    url: Url,
    user: User = "operator",
    password: Password = None,
    password_file: PasswordFile = None,
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="Leave younger objects alone.")
    ] = "1h",
    apply: Annotated[bool, typer.Option("--apply", help="Repair what differs.")] = False,
    as_json: Json = False,
) -> None:
    """Compare the object store with the catalog; changes nothing without --apply."""

    settling = duration(older_than)

    async def work(connection: Connection, report: Report) -> int:
        return await reconcile(Reconciler(connection, apply=apply, older_than=settling), report)

    where = operators.address(url, user, password, password_file)
    operators.operate(where, as_json=as_json, work=work)
