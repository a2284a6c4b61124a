"""From a file to a registered upload, wherever an earlier attempt broke off."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluice_cli.content_types import content_type
from sluice_cli.failures import (
    ALL_DONE,
    SOME_FAILED,
    CommandError,
    IntegrityError,
    RefusedError,
    UsageError,
)
from sluice_cli.printing import as_text
from sluice_cli.reporting import OpenTrack, Track
from sluice_cli.upload.door import Door
from sluice_cli.upload.files import Source, look_at, unread
from sluice_cli.upload.ledger import Entry, Ledger
from sluice_cli.upload.sending import PartsOf, Slots, Stopped, send_whole
from sluice_contracts.api import UploadCreated, UploadRequest, UploadState

# What the store turned out not to have is sent again, but not for ever.
_ROUNDS = 3
_INCOMPLETE = ("not-uploaded", "part-missing", "upload-incomplete")
_OPEN = ("created", "uploading")


class Outcome(BaseModel):
    """What became of one file; `present` says that an earlier run had sent it."""

    model_config = ConfigDict(frozen=True)

    file: str
    status: Literal["uploaded", "present", "failed", "unfinished"]
    upload_id: str | None = None
    object_id: str | None = None
    blob_ref: str | None = None
    size_bytes: int
    sent_bytes: int = 0
    sha256: str | None = None
    code: str | None = None
    detail: str | None = None
    exit_code: int = Field(default=ALL_DONE, exclude=True)


def unseen(error: OSError) -> Outcome:
    """Of a folder that nobody could look into: nobody knows what is in it."""
    failure = unread(error)
    return Outcome(
        file=as_text(error.filename or ""),
        status="failed",
        size_bytes=0,
        code=failure.code,
        detail=str(failure),
        exit_code=failure.exit_code,
    )


@dataclass(frozen=True)
class Desk:
    """What filing works with."""

    door: Door
    ledger: Ledger
    slots: Slots
    open_track: OpenTrack
    batch_id: str | None = None


class Filing:
    """One file, from the question where it goes to the answer that it is there."""

    def __init__(self, source: Source, desk: Desk) -> None:
        self._source = source
        self._desk = desk
        self._upload_id: str | None = None
        self._sent_bytes = 0

    async def file_away(self) -> Outcome:
        """Send the file, or what is missing of it; never raises for a failure that was planned."""
        try:
            return await self._file_away()
        except Stopped:
            return self.left()
        except OSError as error:
            failure: CommandError = unread(error)
        except CommandError as error:
            failure = error
        return self._outcome(
            "failed", code=failure.code, detail=str(failure), exit_code=failure.exit_code
        )

    def left(self) -> Outcome:
        """Not begun, because somebody wants this to end."""
        return self._outcome("unfinished", exit_code=SOME_FAILED)

    async def _file_away(self) -> Outcome:
        if self._source.size_bytes == 0:
            raise RefusedError("empty-file", "there is nothing in it")
        track = self._desk.open_track(self._source.shown, self._source.size_bytes)
        created, found = await self._begin()
        if found is not None and found.status == "registered":
            track(self._source.size_bytes)
            return self._registered("present", found)
        if found is not None and found.completing:
            # An earlier run had sent it all, and the server is still reading it back.
            done = await self._desk.door.complete(found.upload_id, None)
            track(self._source.size_bytes)
            return self._registered("present", done)
        for _ in range(_ROUNDS):
            sha256 = await self._send(created, found, track)
            await self._refuse_changed()
            try:
                done = await self._desk.door.complete(self._require_id(), sha256)
                return self._registered("uploaded", done)
            except RefusedError as refusal:
                if refusal.code not in _INCOMPLETE:
                    raise
                failure = refusal
            except IntegrityError:
                self._desk.ledger.forget(self._source)
                raise
            created, found = None, await self._desk.door.state(self._require_id())
        raise failure

    async def _begin(self) -> tuple[UploadCreated | None, UploadState | None]:
        """A new upload, or what the server knows of the one an earlier run began."""
        found = await self._begun()
        if found is not None:
            return None, found
        ledger = self._desk.ledger
        entry = ledger.find(self._source)
        if entry is None or entry.upload_id is not None:
            entry = ledger.begin(self._source)
        try:
            created = await self._create(entry)
        except RefusedError as refusal:
            if refusal.code != "idempotency-key-reused":
                raise
            # Another run names the file by another folder. Either it is heard of by now, or what
            # was created under that name never will be, and nothing is sent to it.
            found = await self._begun()
            if found is not None:
                return None, found
            entry = ledger.begin(self._source)
            created = await self._create(entry)
        ledger.began(self._source, entry.idempotency_key, created.upload_id)
        self._upload_id = created.upload_id
        if created.put is None and created.multipart is None:
            # The answer of an earlier run that nobody heard; the upload went on without it.
            return None, await self._desk.door.state(created.upload_id)
        return created, None

    async def _begun(self) -> UploadState | None:
        """What the server knows of the upload the ledger has, if it can go on or is done."""
        entry = self._desk.ledger.find(self._source)
        if entry is None or entry.upload_id is None:
            return None
        found = await self._desk.door.state(entry.upload_id)
        if found is None or found.status not in (*_OPEN, "registered"):
            return None
        self._upload_id = entry.upload_id
        return found

    async def _create(self, entry: Entry) -> UploadCreated:
        return await self._desk.door.create(self._request(), entry.idempotency_key)

    def _request(self) -> UploadRequest:
        source = self._source
        try:
            return UploadRequest(
                filename=source.filename,
                content_type=content_type(source.filename),
                size_bytes=source.size_bytes,
                batch_id=self._desk.batch_id,
                metadata={"path": source.shown},
            )
        except ValidationError as error:
            raise UsageError(f"it cannot be described: {error.errors()[0]['msg']}") from error

    async def _send(
        self, created: UploadCreated | None, found: UploadState | None, track: Track
    ) -> str:
        part_size = found.part_size if found else None
        if created is not None and created.multipart is not None:
            part_size = created.multipart.part_size
        if part_size is None:
            put = created.put if created else None
            sha256 = await send_whole(
                self._source, self._require_id(), put, self._desk.door, self._desk.slots, track
            )
            self._sent_bytes += self._source.size_bytes
            return sha256
        parts = PartsOf(
            self._source,
            self._require_id(),
            part_size,
            {one.number: one.size_bytes for one in found.parts} if found else {},
            self._desk.door,
            self._desk.slots,
            track,
        )
        if created is not None and created.multipart is not None:
            parts.know(created.multipart.parts)
        try:
            return await parts.send()
        finally:
            self._sent_bytes += parts.sent_bytes

    def _require_id(self) -> str:
        assert self._upload_id is not None
        return self._upload_id

    async def _refuse_changed(self) -> None:
        """Bytes of a file that changed meanwhile are of no use to anybody."""
        source = self._source
        if look_at(source.path, source.shown) == source:
            return
        self._desk.ledger.forget(source)
        with suppress(CommandError):
            await self._desk.door.cancel(self._require_id())
        raise IntegrityError("it changed while it was sent")

    def _registered(self, status: Literal["uploaded", "present"], found: UploadState) -> Outcome:
        return self._outcome(
            status, object_id=found.object_id, blob_ref=found.blob_ref, sha256=found.sha256
        )

    def _outcome(self, status: str, **more: object) -> Outcome:
        return Outcome.model_validate(
            {
                "file": as_text(self._source.path),
                "status": status,
                "upload_id": self._upload_id,
                "size_bytes": self._source.size_bytes,
                "sent_bytes": self._sent_bytes,
                **more,
            }
        )
