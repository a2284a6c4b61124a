"""The flags of `sluice agent`.

Read with argparse, because typer loads pydantic as soon as it reads anything: a quarter of the
memory an agent may have.
"""

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

from sluice_cli.agent.endings import AgentError
from sluice_cli.agent.settings import Defaults, Place, Settings

LEDGER_NAME = ".sluice-agent.sqlite3"
DEFAULT_BASE_URL = "http://localhost:8000"

_DESCRIPTION = """\
Send the chunks a recorder writes into DIR, and delete each once the server has it. A chunk's times
come from its name, chunk_<start>_<end>.ogg, <start>--<end>.ogg or one start as in
20260128T100000Z.ogg; otherwise from its length and when it was last written. Files that are hidden,
empty, still changing, or end in .part or .tmp wait."""
_EPILOG = """\
Exit codes of a single run: 0 all done, 1 some failed, 2 usage, 3 refused, 4 network, 5 integrity,
130 interrupted."""
# Fit for a header and a form field: nothing in them can end either early.
_TOKEN = re.compile(r"[!-~]{1,4096}")
_CODEC = re.compile(r"[A-Za-z0-9._-]{1,32}")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluice agent", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="where the recorder writes its chunks")
    add("--device-id", type=UUID, metavar="UUID", help="the device (SLUICE_DEVICE_ID)")
    add("--token", help="its token (SLUICE_DEVICE_TOKEN, which other users cannot see)")
    add("--token-file", type=Path, metavar="PATH", help="holds it (SLUICE_DEVICE_TOKEN_FILE)")
    add("--point-id", type=UUID, metavar="UUID", help="where it stands; by default the server says")
    add("--register-id", type=UUID, metavar="UUID", help="goes with --point-id")
    add("--base-url", help=f"the server (SLUICE_BASE_URL; default {DEFAULT_BASE_URL})")
    add(
        "--codec",
        help="the codec of all files; by default it follows from the extension (ogg, oga, opus: "
        "opus; wav: pcm_s16le; flac; mp3; m4a, aac: aac), and other files are left alone",
    )
    add("--sample-rate", type=_count, default=48_000, metavar="HZ", help="if no header says it")
    add("--channels", type=_count, default=1, metavar="N", help="if no header says it")
    _add_times(parser)
    add("--ledger", type=Path, metavar="PATH", help=f"what was sent (default DIR/{LEDGER_NAME})")
    add("--keep", action="store_true", help="delete nothing")
    add("--once", action="store_true", help="send what is finished, wait until confirmed, end")
    add("--json", action="store_true", help="results as JSON lines")
    return parser


def _add_times(parser: argparse.ArgumentParser) -> None:
    for name, default, read, told in (
        ("--chunk-seconds", 60.0, _length, "how long a chunk is if nothing else tells"),
        ("--settle", 2.0, _seconds, "a file unchanged for so long counts as finished"),
        ("--poll", 1.0, _length, "how often the folder is read"),
        ("--timeout", 60.0, _length, "a connection that stands still for so long is given up"),
        ("--max-wait", 300.0, _seconds, "the longest wait after a failure"),
        ("--patience", 60.0, _seconds, "with --once: give up after failing for so long"),
    ):
        shown = f"{told} (default %(default)g)"
        parser.add_argument(name, type=read, default=default, metavar="SECONDS", help=shown)


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings of one agent.

    Raises:
        AgentError: flags that cannot work together, or one that is missing.
        SystemExit: argparse has already said what is wrong, or printed the help.
    """
    given = build_parser().parse_args(arguments)
    folder: Path = given.folder
    try:
        is_folder = folder.is_dir()
    except OSError as error:
        raise AgentError(f"cannot read {folder}: {error.strerror}") from error
    if not is_folder:
        raise AgentError(f"there is no folder {folder}")
    if given.codec is not None and not _CODEC.fullmatch(given.codec):
        raise AgentError("a codec is at most 32 letters, digits, '.', '_' or '-'")
    return Settings(
        folder=folder,
        ledger=_ledger(given.ledger, folder),
        base_url=given.base_url or environment.get("SLUICE_BASE_URL") or DEFAULT_BASE_URL,
        device_id=given.device_id or _device_id(environment.get("SLUICE_DEVICE_ID")),
        token=_token(given.token, given.token_file, environment),
        place=_place(given.point_id, given.register_id),
        defaults=Defaults(given.codec, given.sample_rate, given.channels, given.chunk_seconds),
        settle_seconds=given.settle,
        poll_seconds=given.poll,
        silence_seconds=given.timeout,
        longest_wait_seconds=given.max_wait,
        patience_seconds=given.patience,
        keep=given.keep,
        once=given.once,
        as_json=given.json,
    )


def _device_id(text: str | None) -> UUID:
    if not text:
        raise AgentError("give --device-id or SLUICE_DEVICE_ID")
    try:
        return UUID(text)
    except ValueError:
        raise AgentError("SLUICE_DEVICE_ID is not a UUID") from None


def _ledger(path: Path | None, folder: Path) -> Path:
    if path is None:
        return folder / LEDGER_NAME
    if path.parent.resolve() == folder.resolve() and not path.name.startswith("."):
        raise AgentError(
            "a ledger in DIR needs a name that begins with a dot, or is a chunk itself"
        )
    return path


def _place(point_id: UUID | None, register_id: UUID | None) -> Place | None:
    if point_id and register_id:
        return Place(point_id, register_id)
    if point_id or register_id:
        raise AgentError("--point-id and --register-id go together")
    return None


def _token(flag: str | None, file: Path | None, environment: Mapping[str, str]) -> str:
    """The token, from the first place that has it. No message repeats what it holds."""
    token = flag
    if token is None and file is None:
        token = environment.get("SLUICE_DEVICE_TOKEN")
        if not token and (name := environment.get("SLUICE_DEVICE_TOKEN_FILE")):
            token, file = None, Path(name)
    if token is None and file is not None:
        try:
            token = file.read_text("utf-8", "replace").rstrip("\r\n")
        except OSError as error:
            raise AgentError(f"cannot read {file}: {error.strerror}") from error
    if not token:
        raise AgentError("give --token, --token-file or SLUICE_DEVICE_TOKEN")
    if not _TOKEN.fullmatch(token):
        raise AgentError("the token holds characters that no token has")
    return token


def _count(text: str) -> int:
    """A number from 1 on; argparse names this function when `text` is none."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("has to be 1 or more")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError("has to be 0 or more")
    return value


def _length(text: str) -> float:
    if not (value := _seconds(text)):
        raise argparse.ArgumentTypeError("has to be more than 0")
    return value
