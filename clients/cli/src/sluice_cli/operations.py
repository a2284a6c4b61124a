"""What `sluice-client` can do: presign, upload, create, poll, and all of it as a demo."""

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from sluice_cli.arguments import Options, blob_name
from sluice_cli.client import Client
from sluice_cli.content_types import content_type
from sluice_cli.failures import ALL_DONE, SOME_FAILED, CommandError, NetworkError, UsageError
from sluice_cli.printing import as_text
from sluice_cli.reporting import Report, on_terminal
from sluice_cli.uploads import upload_all
from sluice_contracts.api import (
    BatchAnswer,
    PresignAnswer,
    PresignItem,
    PresignRequest,
    RecordingRequestItem,
    RecordingsRequest,
)
from sluice_contracts.statuses import TERMINAL, Kind, RecordingStatus

_FIRST_PAUSE = 0.3
_LONGEST_PAUSE = 2.0
_LONGEST_ITEM_ID = 255


@dataclass(frozen=True)
class Session:
    """What one run of the command works with."""

    options: Options
    client: Client
    report: Report
    stopping: asyncio.Event


class UiLink(BaseModel):
    """The one result that shows the key: the page asks for it."""

    ui_url: str


async def perform(session: Session) -> int:
    """The exit code of the operation that was asked for."""
    options = session.options
    match options.operation:
        case "presign":
            await presign(session, show=options.as_json or options.out is None)
            return ALL_DONE
        case "upload":
            return await upload(session, _required(options.presigned))
        case "create":
            await create(session, _required(options.presigned), options.files)
            return ALL_DONE
        case "poll":
            return await poll(session, options.batch_id or "")
        case _:
            return await demo(session)


async def presign(session: Session, *, show: bool) -> PresignAnswer:
    """Ask where to send the files; `--out` receives the answer exactly as it came."""
    options = session.options
    items = tuple(
        PresignItem(filename=as_text(file.name), contentType=content_type(file.name))
        for file in options.files
    )
    request = PresignRequest(batch_id=options.batch_id, items=items)
    answer, content = await session.client.presign(request)
    if len(answer.items) != len(items):
        raise NetworkError(f"{len(items)} files were asked for, {len(answer.items)} presigned")
    if show:
        session.report.result(answer)
    if options.out is not None:
        _save(options.out, content)
        session.report.notice(f"batch {answer.batch_id}: saved to {options.out}")
    return answer


async def upload(session: Session, presigned: PresignAnswer) -> int:
    """Send each file to the item of the same place."""
    pairs = list(zip(presigned.items, session.options.files, strict=True))
    return await upload_all(session.client, session.report, session.stopping, pairs)


async def create(
    session: Session, presigned: PresignAnswer, files: Sequence[Path]
) -> frozenset[str]:
    """Register what was uploaded, one metadata document each; the ids of the recordings."""
    options = session.options
    batch_id = options.batch_id or presigned.batch_id
    refs = [item.blob_ref for item in presigned.items]
    names = [as_text(file.name) for file in files] or [blob_name(ref) for ref in refs]
    try:
        items = tuple(
            RecordingRequestItem(client_item_id=item_id, blob_ref=ref, data=data)
            for item_id, ref, data in zip(item_ids(names), refs, options.metas, strict=True)
        )
    except ValidationError as error:
        raise UsageError("what the presign answered cannot be registered") from error
    key = options.idempotency_key or default_key(batch_id, refs)
    answer = await session.client.register(
        RecordingsRequest(batch_id=batch_id, idempotency_key=key, items=items)
    )
    if options.as_json or options.operation == "create":
        session.report.result(answer)
    for item in answer.items:
        session.report.notice(f"{item.client_item_id}: registered as {item.recording_id}")
    return frozenset(item.recording_id for item in answer.items)


async def poll(session: Session, batch_id: str) -> int:
    """Show a batch: on a terminal until it ends, elsewhere as it is now."""
    if on_terminal():
        return await follow(session, batch_id, frozenset())
    answer = await session.client.batch(batch_id)
    session.report.result(answer)
    return verdict(answer)


async def demo(session: Session) -> int:
    """Presign, upload, create, follow until the end, and say where to look."""
    presigned = await presign(session, show=session.options.as_json)
    batch_id = session.options.batch_id or presigned.batch_id
    code = await upload(session, presigned)
    if code != ALL_DONE:
        session.report.notice("not every file arrived, so nothing was registered")
        session.report.notice(_left_in(batch_id))
        return code
    try:
        recordings = await create(session, presigned, session.options.files)
    except CommandError:
        session.report.notice(_left_in(batch_id))
        raise
    code = await follow(session, batch_id, recordings)
    link = ui_link(session.options.base_url, session.options.api_key)
    if session.options.as_json:
        session.report.result(UiLink(ui_url=link))
    session.report.line(f"UI: {link}")
    return code


def _left_in(batch_id: str) -> str:
    return f"what arrived stays in batch {batch_id} until that is deleted"


async def follow(session: Session, batch_id: str, awaited: frozenset[str]) -> int:
    """Show each change until the batch, or every `awaited` recording in it, has ended."""
    seen: dict[str, str] = {}
    pause = _FIRST_PAUSE
    while True:
        answer = await session.client.batch(batch_id)
        changes = describe_changes(seen, answer)
        if changes and session.options.as_json:
            session.report.result(answer)
        for change in changes:
            session.report.line(change)
        if has_ended(answer, awaited):
            return verdict(answer, awaited)
        if session.stopping.is_set():
            session.report.notice(f"batch {batch_id} goes on without being watched")
            return SOME_FAILED
        pause = _FIRST_PAUSE if changes else min(pause * 1.5, _LONGEST_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await session.stopping.wait()


def describe_changes(seen: dict[str, str], answer: BatchAnswer) -> list[str]:
    """One line for each status that differs from `seen`, which learns the new ones."""
    now = [(item.recording_id, item.client_item_id, str(item.status)) for item in answer.items]
    now.append((answer.batch_id, "batch", str(answer.status)))
    lines = []
    for identity, name, status in now:
        previous = seen.get(identity)
        if previous != status:
            arrow = f"{previous} → {status}" if previous else status
            lines.append(f"{name} {identity}: {arrow}")
            seen[identity] = status
    return lines


def has_ended(answer: BatchAnswer, awaited: frozenset[str]) -> bool:
    """Whether nothing more is going to happen that this command waits for.

    A batch that others still upload into stays open; a demo only waits for its own recordings.
    """
    final = TERMINAL[Kind.RECORDING]
    statuses = {item.recording_id: item.status for item in answer.items}
    ours_ended = bool(awaited) and all(statuses.get(one) in final for one in awaited)
    return ours_ended or answer.status in TERMINAL[Kind.BATCH]


def verdict(answer: BatchAnswer, awaited: frozenset[str] = frozenset()) -> int:
    """Whether a recording failed: of the `awaited` ones, or of all when none is named."""
    failed = {item.recording_id for item in answer.items if item.status is RecordingStatus.FAILED}
    return SOME_FAILED if failed & (awaited or failed) else ALL_DONE


def item_ids(names: Iterable[str]) -> list[str]:
    """The stem of each name; a repeated one gets a number behind it."""
    taken: set[str] = set()
    ids = []
    for name in names:
        stem = PurePath(name).stem or "item"
        candidate, number = stem[:_LONGEST_ITEM_ID], 1
        while candidate in taken:
            number += 1
            suffix = f"-{number}"
            candidate = stem[: _LONGEST_ITEM_ID - len(suffix)] + suffix
        taken.add(candidate)
        ids.append(candidate)
    return ids


def default_key(batch_id: str, refs: Iterable[str]) -> str:
    """The same blobs in the same batch are the same request, however often it is sent."""
    digest = hashlib.sha256("\n".join((batch_id, *refs)).encode())
    return f"sluice-client-{digest.hexdigest()}"


def ui_link(base_url: str, api_key: str) -> str:
    return f"{base_url}/ui?key={quote(api_key, safe='')}"


def _save(path: Path, content: bytes) -> None:
    try:
        # It holds upload tokens, so it is for its owner only.
        path.touch(mode=0o600)
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _required(presigned: PresignAnswer | None) -> PresignAnswer:
    assert presigned is not None, "the arguments were checked"
    return presigned
