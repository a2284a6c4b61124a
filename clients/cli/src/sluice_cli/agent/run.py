"""One agent as a process: it takes the folder, works, and lets go."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from sluice_cli.agent.endings import INTEGRITY, INTERRUPTED, AgentError
from sluice_cli.agent.folder import FolderLock
from sluice_cli.agent.ledger import Ledger
from sluice_cli.agent.loop import Agent
from sluice_cli.agent.options import parse
from sluice_cli.agent.report import Report
from sluice_cli.agent.server import Server
from sluice_cli.agent.settings import Settings
from sluice_cli.agent.stopping import Stopping


def main(arguments: Sequence[str]) -> int:
    """The exit code of one call of `sluice agent`."""
    try:
        return run(parse(arguments, os.environ))
    except AgentError as error:
        Report(as_json=False).notice(str(error))
        return error.exit_code


def run(settings: Settings) -> int:
    """The exit code of an agent that was asked to stop or, with `once`, came to an end.

    Raises:
        AgentError: it cannot work like this.
    """
    report = Report(as_json=settings.as_json)
    server = Server(settings.base_url, settings.token, settings.silence_seconds)
    lock = FolderLock(settings.folder)
    try:
        stop = Stopping()
        stop.listen()
        with closing(Ledger(settings.ledger, report.notice)) as ledger:
            return Agent(settings, ledger, server, report, stop).run()
    except KeyboardInterrupt:
        return INTERRUPTED
    except sqlite3.Error as error:
        raise AgentError(f"the ledger failed: {error}; start again", INTEGRITY) from error
    finally:
        lock.release()
