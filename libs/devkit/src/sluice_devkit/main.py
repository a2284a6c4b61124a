"""The `sluice-dev` command."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from sluice_devkit.demo import demo
from sluice_devkit.folder import FolderInUseError
from sluice_devkit.ports import PortTakenError
from sluice_devkit.processes import ProcessFailedError
from sluice_devkit.up import up


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="sluice-dev", description="Run Sluice on this machine.")
    verbs = root.add_subparsers(dest="verb", required=True)
    running = verbs.add_parser("up", help="run servers and services until Ctrl-C")
    running.add_argument("--port", type=int, default=8000, help="of the gateway (%(default)s)")
    running.add_argument(
        "--data", type=Path, default=Path(".sluice"), help="where everything is kept (%(default)s)"
    )
    verbs.add_parser("demo", help="start a stack of its own and drive the clients through it")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when all went well, 1 when not, 2 for wrong usage."""
    asked = parser().parse_args(arguments)
    task = up(asked.data, asked.port) if asked.verb == "up" else demo()
    try:
        return asyncio.run(task)
    except (FolderInUseError, PortTakenError, ProcessFailedError) as error:
        print(f"sluice-dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
