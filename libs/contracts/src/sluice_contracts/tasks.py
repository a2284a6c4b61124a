"""Tasks: jobs for workers outside Sluice, on a work queue; done once, by whoever takes them.

A task leaves through the catalog's outbox, in the transaction that made its subject: it is durable
as soon as the upload is registered, and published as soon as the bus is there.
"""

from typing import ClassVar, Literal
from uuid import UUID

from sluice_contracts.base import Contract, Moment, ObjectKey, Size, token

Priority = Literal["normal", "high"]


class Task(Contract):
    """What every task can say of itself. Its subject is `sluice.task.v1.<kind>.<priority>.<id>`."""

    KIND: ClassVar[str]

    @classmethod
    def pattern(cls) -> str:
        """The subject of every task of this kind."""
        return f"sluice.task.v1.{cls.KIND}.>"

    def aggregate_id(self) -> str:
        """The id of what is to be worked on."""
        raise NotImplementedError

    def subject(self, priority: Priority = "normal") -> str:
        return f"sluice.task.v1.{self.KIND}.{priority}.{token(self.aggregate_id())}"


class TranscriptionTask(Task):
    """Write down what was said in a call. The fields are those of the source document."""

    KIND: ClassVar[str] = "transcription"

    call_id: UUID
    s3_bucket: str
    s3_key: ObjectKey
    format: str
    timestamp: Moment

    def aggregate_id(self) -> str:
        return str(self.call_id)


class ChunkTask(Task):
    """Work through a chunk a device recorded."""

    KIND: ClassVar[str] = "chunk"

    chunk_id: UUID
    device_id: UUID
    s3_bucket: str
    s3_key: ObjectKey
    codec: str
    sample_rate: int
    channels: int
    start_ts: Moment
    end_ts: Moment
    size_bytes: Size

    def aggregate_id(self) -> str:
        return str(self.chunk_id)


TASKS: tuple[type[Task], ...] = (TranscriptionTask, ChunkTask)
