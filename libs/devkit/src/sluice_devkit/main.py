"""The `sluice-dev` command."""

import argparse
import asyncio
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from sluice_devkit.bench import bench
from sluice_devkit.demo import demo
from sluice_devkit.folder import FolderInUseError, NoFolderError
from sluice_devkit.ports import NoPortError, PortTakenError, port_number
from sluice_devkit.processes import ProcessFailedError
from sluice_devkit.up import up


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="sluice-dev", description="Run Sluice on this machine.")
    verbs = root.add_subparsers(dest="verb", required=True)
    running = verbs.add_parser("up", help="run servers and services until Ctrl-C")
    running.add_argument(
        "--port", type=port_number, default=8000, help="of the gateway (%(default)s)"
    )
    running.add_argument(
        "--data",
        type=_place,
        default=Path(".sluice"),
        help="where everything is kept (%(default)s)",
    )
    verbs.add_parser("demo", help="start a stack of its own and drive the clients through it")
    measuring = verbs.add_parser("bench", help="measure uploads beside direct ones, as ratios")
    measuring.add_argument("--out", type=_place, help="also write the figures here, as JSON")
    return root


def _place(text: str) -> Path:
    """A path in which ~ means home, also where a Makefile quoted it."""
    return Path(text).expanduser()


def _task(asked: argparse.Namespace) -> Coroutine[Any, Any, int]:
    if asked.verb == "up":
        return up(asked.data, asked.port)
    return bench(asked.out) if asked.verb == "bench" else demo()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when all went well, 1 when not, 2 for wrong usage."""
    try:
        return asyncio.run(_task(parser().parse_args(arguments)))
    except (NoPortError, NoFolderError) as error:
        print(f"sluice-dev: {error}", file=sys.stderr)
        return 2
    except (FolderInUseError, PortTakenError, ProcessFailedError) as error:
        print(f"sluice-dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
