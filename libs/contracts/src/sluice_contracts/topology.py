"""Streams and consumers as data. One command applies them; services only ever use them.

NATS permissions follow from the same data, so that names cannot drift apart.
"""

from dataclasses import dataclass
from datetime import timedelta

from sluice_contracts import facts
from sluice_contracts.facts import Fact
from sluice_contracts.tasks import TASKS as TASK_TYPES
from sluice_contracts.tasks import ChunkTask, TranscriptionTask

MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True)
class Stream:
    """A JetStream stream. Facts may be read again; what is on a work queue goes when it is done."""

    name: str
    subjects: tuple[str, ...]
    max_age: timedelta
    max_bytes: int
    duplicate_window: timedelta
    work_queue: bool = False


@dataclass(frozen=True)
class Consumer:
    """A durable pull consumer of one service.

    `max_deliver` lies above the attempts of the retry policy, so that only a handler that
    hangs or takes its process down ever reaches it; the advisory sweeper parks such a message.
    """

    name: str
    service: str
    stream: Stream
    reads: tuple[type[Fact], ...] = ()
    filters: tuple[str, ...] = ()
    ack_wait: timedelta = timedelta(seconds=10)
    max_deliver: int = 8
    parallel: int = 32

    def subjects(self) -> tuple[str, ...]:
        return self.filters or tuple(fact.pattern() for fact in self.reads)


EVENTS = Stream(
    name="SLUICE_EVENTS",
    subjects=("sluice.v1.>",),
    max_age=timedelta(days=14),
    max_bytes=10 * GIB,
    duplicate_window=timedelta(minutes=10),
)
DEAD_LETTERS = Stream(
    name="SLUICE_DLQ",
    subjects=("dlq.>",),
    max_age=timedelta(days=30),
    max_bytes=2 * GIB,
    duplicate_window=timedelta(hours=1),
)
ADVISORIES = Stream(
    name="SLUICE_ADVISORY",
    subjects=("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",),
    max_age=timedelta(days=7),
    max_bytes=128 * MIB,
    duplicate_window=timedelta(minutes=2),
)
TASKS = Stream(
    name="SLUICE_TASKS",
    subjects=("sluice.task.v1.>",),
    max_age=timedelta(days=30),
    max_bytes=4 * GIB,
    duplicate_window=timedelta(minutes=10),
    work_queue=True,
)
STREAMS = (EVENTS, DEAD_LETTERS, ADVISORIES, TASKS)

STORAGE_UPLOADS = Consumer(
    name="storage-uploads",
    service="storage",
    stream=EVENTS,
    reads=(facts.UploadReceived,),
)
# Written behind the answer: the row and the fact are durable already, and this copy is for the day
# both are lost.
STORAGE_REGISTRATIONS = Consumer(
    name="storage-registrations",
    service="storage",
    stream=EVENTS,
    reads=(facts.ObjectStored,),
)
# As below; in a lane of its own, so that large objects never stand before small ones.
STORAGE_SEALS = Consumer(
    name="storage-seals",
    service="storage",
    stream=EVENTS,
    reads=(facts.UploadSent,),
    parallel=4,
)
# Reading a large object back takes as long as it takes; the handler reports progress.
STORAGE_CHECKS = Consumer(
    name="storage-checks",
    service="storage",
    stream=EVENTS,
    reads=(facts.RecordingRegistered,),
    parallel=4,
)
STORAGE_DELETIONS = Consumer(
    name="storage-deletions",
    service="storage",
    stream=EVENTS,
    reads=(facts.ObjectDiscarded,),
    parallel=8,
)
# A file is read by a process that may take minutes over it; the handler reports progress.
INSPECTOR_OBJECTS = Consumer(
    name="inspector-objects",
    service="inspector",
    stream=EVENTS,
    reads=(facts.ObjectStored,),
    parallel=2,
)
CATALOG_OBJECTS = Consumer(
    name="catalog-objects",
    service="catalog",
    stream=EVENTS,
    reads=(
        facts.ObjectStored,
        facts.ObjectRejected,
        facts.ObjectCheckStarted,
        facts.ObjectVerified,
        facts.ObjectDamaged,
        facts.ObjectDeleted,
    ),
)
# In a lane of its own, because somebody waits for the facts above and nobody for these.
CATALOG_FINDINGS = Consumer(
    name="catalog-findings",
    service="catalog",
    stream=EVENTS,
    reads=(facts.ObjectInspected,),
)
ADVISORY_SWEEPER = Consumer(
    name="advisory-sweeper",
    service="notifier",
    stream=ADVISORIES,
    filters=ADVISORIES.subjects,
    parallel=8,
)
# Read by workers outside Sluice, under the NATS user `worker`: any number of them share the tasks
# of one kind. Work on audio takes minutes; a worker that takes longer reports progress.
WORKER_TRANSCRIPTIONS = Consumer(
    name="worker-transcriptions",
    service="worker",
    stream=TASKS,
    filters=(TranscriptionTask.pattern(),),
    ack_wait=timedelta(seconds=60),
    parallel=8,
)
WORKER_CHUNKS = Consumer(
    name="worker-chunks",
    service="worker",
    stream=TASKS,
    filters=(ChunkTask.pattern(),),
    ack_wait=timedelta(seconds=60),
    parallel=64,
)
CONSUMERS = (
    STORAGE_UPLOADS,
    STORAGE_SEALS,
    STORAGE_REGISTRATIONS,
    STORAGE_CHECKS,
    STORAGE_DELETIONS,
    INSPECTOR_OBJECTS,
    CATALOG_OBJECTS,
    CATALOG_FINDINGS,
    ADVISORY_SWEEPER,
    WORKER_TRANSCRIPTIONS,
    WORKER_CHUNKS,
)

# Who may say what. A fact has one publisher; only that an object is stored may be said by the one
# that sent it, where the store itself confirmed what it holds.
PUBLISHERS: dict[str, tuple[type[Fact], ...]] = {
    "gateway": (facts.UploadReceived, facts.UploadSent, facts.ObjectStored),
    "storage": (
        facts.ObjectStored,
        facts.ObjectRejected,
        facts.ObjectCheckStarted,
        facts.ObjectVerified,
        facts.ObjectDamaged,
        facts.ObjectDeleted,
    ),
    "inspector": (facts.ObjectInspected,),
    "catalog": (facts.RecordingRegistered, facts.ObjectDiscarded, facts.StatusChanged),
    "notifier": (),
}

# Tasks leave through the outbox of the catalog alone.
TASK_SUBJECTS = tuple(task.pattern() for task in TASK_TYPES)


def stream_of(subject: str) -> Stream:
    """The stream that keeps what is published on `subject`."""
    return TASKS if subject.startswith("sluice.task.") else EVENTS


def dead_letter_subject(stream: str, consumer: str) -> str:
    """Where a message is parked that `consumer` could not handle."""
    return f"dlq.{stream}.{consumer}"


# Hints: core NATS, not stored. A lost hint costs latency, never truth.
AUTH_CHANGED = "sluice.live.v1.auth.changed"


def reply_subject(instance: str, claim_id: str) -> str:
    """Where one gateway process waits for the outcome of one attempt."""
    return f"sluice.live.v1.reply.{instance}.{claim_id}"


def live_subject(tenant: str, kind: str, aggregate_id: str) -> str:
    """Where the notifier repeats a log entry the moment it is written."""
    return f"sluice.live.v1.events.{tenant}.{kind}.{aggregate_id}"


def live_subjects(tenant: str) -> str:
    """Where all log entries of a tenant are repeated."""
    return live_subject(tenant, "*", "*")


LIVE_EVENTS = "sluice.live.v1.events.>"
