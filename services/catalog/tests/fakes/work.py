"""The unit of work and its world, in memory."""

import copy
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sluice_catalog.domain import Change, Upload
from sluice_catalog.ports import Deps
from sluice_contracts.facts import Fact, StatusChanged
from sluice_contracts.questions import UploadOutcome
from sluice_contracts.statuses import Kind
from sluice_contracts.tasks import Priority, Task
from sluice_runtime.errors import Unavailable

from .calls import FakeCalls
from .chunks import FakeChunks, FakeDevices
from .direct import FakeDirect
from .keys import FakeInbox, FakeKeys, FakeReplays
from .objects import FakeMedia, FakeObjects
from .renders import FakeMessages, FakeRenders
from .tables import NOW, FakeTables, FakeTask
from .uploads import FakeBatches, FakeRecordings, FakeUploads


class FakeOutbox:
    def __init__(self) -> None:
        self.added: list[Fact] = []
        self.tasks: list[FakeTask] = []

    def add(self, *facts: Fact, at: datetime) -> None:
        self.added += facts

    def add_task(self, task: Task, *, tenant: str, priority: Priority = "normal") -> None:
        self.tasks.append(FakeTask(task, tenant, priority))

    async def flush(self) -> None:
        """What leaves early leaves with the commit all the same."""


class FakeWork:
    """One transaction on a copy of the tables; `commit()` puts the copy in their place."""

    def __init__(self, world: "FakeWorld") -> None:
        self._world = world
        self._tables = copy.deepcopy(world.tables)
        self._recorded: list[Change] = []
        self.batches = FakeBatches(self._tables)
        self.uploads = FakeUploads(self._tables)
        self.recordings = FakeRecordings(self._tables)
        self.objects = FakeObjects(self._tables)
        self.devices = FakeDevices(self._tables)
        self.chunks = FakeChunks(self._tables)
        self.calls = FakeCalls(self._tables)
        self.direct = FakeDirect(self._tables)
        self.renders = FakeRenders(self._tables)
        self.messages = FakeMessages(self._tables)
        self.media = FakeMedia(self._tables)
        self.keys = FakeKeys(self._tables)
        self.replays = FakeReplays(self._tables)
        self.inbox = FakeInbox(self._tables)
        self.outbox = FakeOutbox()

    def record(self, changes: Sequence[Change], *, actor: str, at: datetime) -> None:
        self._recorded += changes
        self.announce(changes, actor=actor, at=at)

    def announce(self, changes: Sequence[Change], *, actor: str, at: datetime) -> None:
        for change in changes:
            self.outbox.add(
                StatusChanged(
                    tenant=change.tenant,
                    kind=change.kind,
                    id=change.id,
                    batch_id=change.batch_id,
                    sequence=change.sequence,
                    previous=change.previous,
                    status=change.status,
                    reason=change.reason,
                    actor=actor,
                    changed_at=at,
                ),
                at=at,
            )

    async def steps_taken(self, kind: Kind, id_: str) -> int:
        history = self._tables.history
        return max(
            (one.sequence for one in history if (one.kind, one.id) == (kind, id_)), default=0
        )

    async def steps_of(self, kind: Kind, ids: Sequence[str]) -> dict[str, int]:
        steps = {id_: await self.steps_taken(kind, id_) for id_ in ids}
        return {id_: taken for id_, taken in steps.items() if taken}

    def now(self) -> datetime:
        return self._world.now

    async def clock(self) -> datetime:
        return self._world.now

    async def ping(self) -> None:
        pass

    async def commit(self) -> None:
        known = {(one.kind, one.id, one.sequence) for one in self._tables.history}
        for change in self._recorded:
            step = (change.kind, change.id, change.sequence)
            assert step not in known, f"two changes with one number: {step}"
            known.add(step)
        self._tables.history += self._recorded
        self._tables.outbox += self.outbox.added
        self._tables.tasks += self.outbox.tasks
        self._recorded, self.outbox.added, self.outbox.tasks = [], [], []
        self._world.tables = copy.deepcopy(self._tables)


@dataclass
class FakeWorld:
    """A database, a clock, a relay and whoever waits for an answer."""

    tables: FakeTables = field(default_factory=FakeTables)
    now: datetime = NOW
    away: bool = False
    wakes: int = 0
    told: int = 0
    replies: list[tuple[str, UploadOutcome]] = field(default_factory=list)
    received: set[str] = field(default_factory=set)
    completing: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def work(self) -> AsyncIterator[FakeWork]:
        if self.away:
            raise Unavailable("The database is not reachable.", code="database-unavailable")
        yield FakeWork(self)

    def _wake(self) -> None:
        self.wakes += 1

    async def _tell(self) -> None:
        self.told += 1

    async def reply(self, subject: str, outcome: UploadOutcome) -> None:
        self.replies.append((subject, outcome))

    async def is_pending(self, upload: Upload) -> bool:
        return upload.upload_id in self.received

    async def is_completing(self, tenant: str, upload_id: str) -> bool:
        return upload_id in self.completing

    def deps(self) -> Deps:
        return Deps(
            work=self.work,
            wake_relay=self._wake,
            tell_auth_changed=self._tell,
            replies=self,
            receipts=self,
            claim_lease=timedelta(seconds=10),
            upload_deadline=timedelta(days=1),
            render_lifetime=timedelta(days=1),
        )

    def facts(self, kind: type[Fact]) -> list[Any]:
        return [one for one in self.tables.outbox if isinstance(one, kind)]

    def tasks(self) -> list[Task]:
        """What there is to do, in the order it was said."""
        return [one.task for one in self.tables.tasks]

    def steps(self, id_: str) -> list[str]:
        """The statuses a thing went through, checked to be numbered without a gap."""
        mine = [one for one in self.tables.history if one.id == id_]
        assert [one.sequence for one in mine] == list(range(1, len(mine) + 1))
        for earlier, later in pairwise(mine):
            assert later.previous == earlier.status
        told = [one.status for one in self.facts(StatusChanged) if one.id == id_]
        assert told == [one.status for one in mine]
        return told
