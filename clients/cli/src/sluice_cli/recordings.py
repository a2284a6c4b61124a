"""`sluice-client`: the recordings door on the command line, by flags only."""

import sys

from sluice_cli import process


def main() -> None:
    process.run(_load)


def _load() -> process.Program:
    from sluice_cli.recordings_run import run

    return lambda: run(sys.argv[1:])
