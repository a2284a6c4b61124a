"""`sluice`: watching and running Sluice from the command line."""

import sys

from sluice_cli import process


def main() -> None:
    """Run the command that was asked for."""
    process.run(_load)


def _load() -> process.Program:
    """The agent lives on small machines: the other commands take 60 MiB of memory before they do
    anything, most of it for libraries the agent never calls. So it goes past them.
    """
    if sys.argv[1:2] == ["agent"]:
        from sluice_cli.agent.run import main as run_agent

        return lambda: run_agent(sys.argv[2:])
    from sluice_cli.commands import run

    return run
