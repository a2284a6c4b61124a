"""`sluice`: watching and running Sluice from the command line."""

import sys


def main() -> None:
    """Run the command that was asked for.

    The agent lives on small machines: the other commands take 60 MiB of memory before they do
    anything, most of it for libraries the agent never calls. So it goes past them.
    """
    if sys.argv[1:2] == ["agent"]:
        from sluice_cli.agent.run import main as run_agent

        sys.exit(run_agent(sys.argv[2:]))
    from sluice_cli.commands import run

    run()
