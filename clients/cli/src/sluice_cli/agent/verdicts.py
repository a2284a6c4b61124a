"""What an answer of the server means for a chunk."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sluice_cli.agent.endings import INTEGRITY, NETWORK
from sluice_cli.agent.entries import Entry
from sluice_cli.agent.pace import retry_after_seconds
from sluice_cli.printing import printable

# The request is wrong in itself: the same file would be refused again.
_HOPELESS = frozenset({400, 413, 415, 422})
_CREDENTIALS = frozenset({401, 403})
# The server, or the way to it, is overloaded or down; no file is to blame.
_DOWN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Reply:
    """A status, and what of its body is a JSON object."""

    status: int
    body: dict[str, object]
    retry_after_seconds: float = 0.0


@dataclass(frozen=True)
class Committed:
    """The server has the chunk for good."""

    chunk_id: str
    stored_path: str | None = None


@dataclass(frozen=True)
class Accepted:
    """The bytes are safe, and the chunk is not registered yet."""

    chunk_id: str
    retry_after_seconds: float = 0.0


@dataclass(frozen=True)
class Refused:
    """The server will never take this file."""

    code: str
    detail: str


@dataclass(frozen=True)
class Denied:
    """The server does not let this device in, at present."""

    detail: str
    status: int


@dataclass(frozen=True)
class Unknown:
    """The server knows no such chunk."""


@dataclass(frozen=True)
class Trouble:
    """It may go better later. `about_file`: other files may go well meanwhile."""

    detail: str
    about_file: bool
    retry_after_seconds: float = 0.0
    exit_code: int = NETWORK


Verdict = Committed | Accepted | Refused | Denied | Unknown | Trouble


def read_reply(status: int, content: bytes, retry_after: str | None) -> Reply:
    """A reply; whatever is no JSON object counts as an empty one."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    wait = retry_after_seconds(retry_after, datetime.now(UTC))
    return Reply(status, body if isinstance(body, dict) else {}, wait)


def judge_upload(reply: Reply) -> Verdict:
    """What the answer to an upload means. Only Sluice's own words confirm or refuse anything: a
    hotel's login page answers 200 as well, and a proxy with a small limit 413."""
    chunk_id = _chunk_id(reply)
    if chunk_id and reply.status == 200 and reply.body.get("status") == "ok":
        return Committed(chunk_id, str(reply.body.get("stored_path") or "") or None)
    if chunk_id and reply.status == 202 and reply.body.get("status") == "accepted":
        return Accepted(chunk_id, reply.retry_after_seconds)
    code = reply.body.get("code")
    if reply.status in _HOPELESS and isinstance(code, str) and not reply.body.get("retryable"):
        return Refused(code, problem_of(reply))
    return judge_failure(reply)


def judge_question(reply: Reply, entry: Entry) -> Verdict:
    """What the answer to the question for an accepted chunk means."""
    if reply.status == 404:
        return Unknown()
    if reply.status == 202:
        return Accepted(str(entry.chunk_id), reply.retry_after_seconds)
    if reply.status != 200 or _chunk_id(reply) != entry.chunk_id:
        return judge_failure(reply)
    ours = {"sha256": entry.sha256, "file_size_bytes": entry.stamp.size_bytes}
    for name, value in ours.items():
        if reply.body.get(name, value) != value:
            detail = f"the server holds other bytes: its {name} is {reply.body[name]}"
            return Trouble(detail, about_file=True, exit_code=INTEGRITY)
    return Committed(str(entry.chunk_id), str(reply.body.get("file_path") or "") or None)


def judge_failure(reply: Reply) -> Denied | Trouble:
    """What an answer means that is neither a success nor final."""
    if reply.status in _CREDENTIALS:
        return Denied(problem_of(reply), reply.status)
    about_file = reply.status not in _DOWN
    return Trouble(problem_of(reply), about_file, reply.retry_after_seconds)


def problem_of(reply: Reply) -> str:
    """A problem document on one line, or the status when something else answered."""
    detail, code = reply.body.get("detail"), reply.body.get("code")
    if isinstance(detail, str):
        return printable(f"{detail} ({code or reply.status})")
    if reply.status < 300:
        return f"what answered {reply.status} is not Sluice"
    return f"the server answered {reply.status}"


def _chunk_id(reply: Reply) -> str | None:
    try:
        return str(UUID(str(reply.body.get("chunk_id"))))
    except ValueError:
        return None
