"""What all fakes of the catalog stand on."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from sluice_catalog.domain import (
    Batch,
    Call,
    Change,
    Chunk,
    Device,
    Direct,
    Message,
    Recording,
    Render,
    StoredObject,
    Upload,
)
from sluice_contracts.base import JsonObject
from sluice_contracts.facts import Fact, ObjectInspected
from sluice_contracts.questions import Principal
from sluice_contracts.tasks import Priority, Task

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
UNSENT = ("created", "uploading")


@dataclass(frozen=True)
class FakeTask:
    """A task as it waits in the outbox."""

    task: Task
    tenant: str
    priority: Priority


@dataclass
class FakeTables:
    """What a commit leaves behind."""

    batches: dict[str, Batch] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    recordings: dict[str, Recording] = field(default_factory=dict)
    objects: dict[str, StoredObject] = field(default_factory=dict)
    devices: dict[UUID, Device] = field(default_factory=dict)
    chunks: dict[UUID, Chunk] = field(default_factory=dict)
    calls: dict[UUID, Call] = field(default_factory=dict)
    direct: dict[str, Direct] = field(default_factory=dict)
    renders: dict[UUID, Render] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    media: dict[str, ObjectInspected] = field(default_factory=dict)
    keys: dict[str, Principal] = field(default_factory=dict)
    replays: dict[tuple[str, str, str], tuple[str, JsonObject, datetime]] = field(
        default_factory=dict
    )
    reservations: dict[tuple[str, str, str], tuple[str, datetime]] = field(default_factory=dict)
    inbox: set[str] = field(default_factory=set)
    buried: set[str] = field(default_factory=set)
    history: list[Change] = field(default_factory=list)
    outbox: list[Fact] = field(default_factory=list)
    tasks: list[FakeTask] = field(default_factory=list)
