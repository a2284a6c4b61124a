"""One call of `sluice-client`, from its flags to its exit code."""

import asyncio
import os
import sys

from sluice_cli import interrupts
from sluice_cli.arguments import Options, parse
from sluice_cli.client import Client
from sluice_cli.failures import USAGE, CommandError, UsageError
from sluice_cli.operations import Session, perform
from sluice_cli.printing import printable
from sluice_cli.reporting import Report


def run(arguments: list[str]) -> int:
    """The exit code of one call of the command."""
    try:
        options = parse(arguments, os.environ)
    except UsageError as error:
        print(f"sluice-client: {printable(str(error))}", file=sys.stderr)
        return USAGE
    report = Report(as_json=options.as_json)

    async def work(stopping: asyncio.Event) -> int:
        return await _perform(options, report, stopping)

    return interrupts.run(work, report.notice)


async def _perform(options: Options, report: Report, stopping: asyncio.Event) -> int:
    async with Client(options.base_url, options.api_key, report.notice, options.timeout) as client:
        try:
            return await perform(Session(options, client, report, stopping))
        except CommandError as error:
            report.notice(f"sluice-client: {error}")
            return error.exit_code
