"""The flags of `sluice-client` and the rules between them."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import httpx
from pydantic import TypeAdapter, ValidationError

from sluice_cli.backoff import PATIENCE_SECONDS
from sluice_cli.failures import UsageError
from sluice_cli.strict_json import read_json
from sluice_contracts.api import MAX_ITEMS, PresignAnswer, PresignedItem
from sluice_contracts.base import JsonObject, token

DEFAULT_BASE_URL = "http://localhost:8000"
OPERATIONS = ("presign", "upload", "create", "poll", "demo")

_METADATA: TypeAdapter[JsonObject] = TypeAdapter(JsonObject)
# What each operation cannot do without, as flag names.
_NEEDS = {
    "presign": ("--api-key", "--files"),
    "upload": ("--presign-json", "--files"),
    "create": ("--api-key", "--presign-json", "--meta"),
    "poll": ("--api-key",),
    "demo": ("--api-key", "--files", "--meta"),
}
# Longer names may have been cut by the server, so that they prove nothing.
_COMPARABLE_LENGTH = 64
_HIGHEST_PORT = 65_535
# What comes through a header as it is: spaces at its ends would be taken off.
_KEY = re.compile(r"[!-~]([ -~]*[!-~])?")


@dataclass(frozen=True)
class Options:
    """What the user asked for, checked: files exist, metadata is read, pairs are complete."""

    operation: str
    base_url: str
    api_key: str = field(repr=False)
    batch_id: str | None
    idempotency_key: str | None
    files: tuple[Path, ...]
    metas: tuple[JsonObject, ...]
    presigned: PresignAnswer | None
    out: Path | None
    as_json: bool
    timeout: float


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluice-client",
        description="Upload recordings with metadata to Sluice and follow their batch.",
        epilog="Exit codes: 0 all done, 1 some failed, 2 usage, 3 refused, 4 network, "
        "5 integrity, 130 interrupted.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--operation", required=True, choices=OPERATIONS, help="what to do")
    add("--base-url", help=f"the server (SLUICE_BASE_URL; default {DEFAULT_BASE_URL})")
    add("--api-key", help="the API key (SLUICE_API_KEY)")
    add("--batch-id", help="an existing batch; presign and demo start a new one without it")
    add("--idempotency-key", help="8 to 255 characters; made from batch and blobs by default")
    add("--files", nargs="+", action="extend", default=[], metavar="FILE", help="media files")
    add("--meta", nargs="+", action="extend", default=[], metavar="JSON", help="one per file")
    add("--presign-json", metavar="PATH", help="the answer an earlier presign saved")
    add("--out", metavar="PATH", help="save the presign answer here")
    add("--json", action="store_true", help="results as JSON lines")
    add(
        "--timeout",
        type=seconds,
        default=PATIENCE_SECONDS,
        metavar="SECONDS",
        help="how long a failing request is repeated (default %(default)g)",
    )
    return parser


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """The options in `arguments`.

    Raises:
        UsageError: flags that cannot work together, or a file that cannot be used.
        SystemExit: argparse has already said what is wrong, or printed the help.
    """
    given = build_parser().parse_args(arguments)
    given.api_key = given.api_key or environment.get("SLUICE_API_KEY", "")
    given.base_url = given.base_url or environment.get("SLUICE_BASE_URL") or DEFAULT_BASE_URL
    for flag in _NEEDS[given.operation]:
        if not getattr(given, flag.removeprefix("--").replace("-", "_")):
            raise UsageError(f"--operation {given.operation} needs {flag}")
    presigned = read_presigned(Path(given.presign_json)) if given.presign_json else None
    options = Options(
        operation=given.operation,
        base_url=checked_url(given.base_url),
        # To upload needs none.
        api_key=checked_key(given.api_key) if given.api_key else "",
        batch_id=_batch_id(given.batch_id, presigned),
        idempotency_key=_checked_idempotency_key(given.idempotency_key),
        files=tuple(_existing(name) for name in given.files),
        metas=tuple(read_metadata(Path(name)) for name in given.meta),
        presigned=presigned,
        out=_writable(given.out),
        as_json=given.json,
        timeout=given.timeout,
    )
    check_pairs(options)
    return options


def check_pairs(options: Options) -> None:
    """Files, metadata and presigned items belong together by their order."""
    counts = {"--files": len(options.files), "--meta": len(options.metas)}
    present = {name: count for name, count in counts.items() if count}
    if options.presigned is not None and options.operation in ("upload", "create"):
        present["items in --presign-json"] = len(options.presigned.items)
    if len(set(present.values())) > 1:
        told = ", ".join(f"{name}: {count}" for name, count in present.items())
        raise UsageError(f"these have to match one to one, but they differ in number ({told})")
    if max(present.values(), default=0) > MAX_ITEMS:
        raise UsageError(f"at most {MAX_ITEMS} files at once")
    if options.operation == "poll" and not options.batch_id:
        raise UsageError("--operation poll needs --batch-id")
    if options.operation == "upload" and options.presigned is not None:
        check_names(options.presigned.items, options.files)


def check_names(items: Sequence[PresignedItem], files: Sequence[Path]) -> None:
    """Refuse files in another order than they were presigned in, as far as names can tell."""
    for number, (item, file) in enumerate(zip(items, files, strict=True), start=1):
        expected = blob_name(item.blob_ref)
        comparable = file.name.isascii() and len(file.name) <= _COMPARABLE_LENGTH
        if comparable and _letters(expected) != _letters(file.name):
            raise UsageError(
                f"presigned item {number} is for {expected}, not for {file.name}; "
                "give --files in the order they were presigned in"
            )


def blob_name(blob_ref: str) -> str:
    """The file name at the end of a blob reference."""
    return unquote(PurePosixPath(blob_ref).name)


def _letters(name: str) -> str:
    """What survives of a name when a server makes it safe for a key."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def read_presigned(path: Path) -> PresignAnswer:
    try:
        answer = PresignAnswer.model_validate_json(_content(path))
    except ValidationError as error:
        raise UsageError(f"{path} is not the answer of a presign") from error
    checked_batch_id(answer.batch_id)
    for item in answer.items:
        _check_address(item.upload_url)
        for header in item.required_headers.items():
            if not all(text.isascii() and text.isprintable() for text in header):
                raise UsageError(f"{path} asks for a header that cannot be sent")
    return answer


def read_metadata(path: Path) -> JsonObject:
    try:
        return read_json(_METADATA, _content(path))
    except ValueError as error:
        raise UsageError(
            f"{path} is not a JSON object in UTF-8, with no mark before it and with finite numbers"
        ) from error


def _content(path: Path) -> bytes:
    with looking_at(path):
        return path.read_bytes()


def _existing(name: str) -> Path:
    path = Path(name)
    with looking_at(path):
        if path.is_file():
            return path
    raise UsageError(f"there is no file {name}")


def _writable(name: str | None) -> Path | None:
    if name is None:
        return None
    path = Path(name)
    with looking_at(path):
        if not path.is_dir() and path.absolute().parent.is_dir():
            return path
    raise UsageError(f"cannot write {name}")


@contextmanager
def looking_at(path: Path) -> Iterator[None]:
    """A path that cannot be looked at, as one whose name is too long, is a mistake of the user."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def checked_url(url: str) -> str:
    """The address of a server, which may have a path, and nothing behind it."""
    _check_address(url)
    if "?" in url or "#" in url:
        raise UsageError(f"{url} is not the address of a server: leave out what is behind its path")
    return url.rstrip("/")


def _check_address(url: str) -> None:
    try:
        parts = httpx.URL(url)
        # A host that begins with "xn--" is looked at only when somebody asks for it.
        has_host = bool(parts.host) and " " not in url
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UsageError(f"{url} is not an address: {error}") from error
    has_port = parts.port is None or 1 <= parts.port <= _HIGHEST_PORT
    if parts.scheme not in ("http", "https") or not has_host or not has_port:
        raise UsageError(f"{url} is not an http or https address")


def checked_key(key: str) -> str:
    """A key that fits into a header. It is a secret: no message repeats it."""
    if not _KEY.fullmatch(key):
        raise UsageError("the API key is empty, or holds characters that no key has")
    return key


def checked_batch_id(batch_id: str) -> str:
    """What a batch can be called: it becomes part of a path."""
    try:
        return token(batch_id)
    except ValueError as error:
        raise UsageError(f"no batch can be called {batch_id!r}") from error


def _batch_id(given: str | None, presigned: PresignAnswer | None) -> str | None:
    """An empty one was a mistake, where none at all asks for a new batch."""
    if given is not None:
        return checked_batch_id(given)
    return presigned.batch_id if presigned else None


def _checked_idempotency_key(key: str | None) -> str | None:
    if key is not None and not (8 <= len(key) <= 255 and key.isprintable()):
        raise UsageError("--idempotency-key needs 8 to 255 characters that can be printed")
    return key


def seconds(text: str) -> float:
    """A number of seconds; argparse names this function when `text` is none."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value
