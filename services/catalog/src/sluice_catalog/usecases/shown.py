"""What is told of objects of every door, and of the life of an upload."""

from sluice_catalog.ports import Deps
from sluice_contracts.base import JsonObject
from sluice_contracts.questions import (
    GetObject,
    GetTimeline,
    ObjectView,
    Timeline,
    TimelineEntry,
)
from sluice_runtime.errors import NotFound


async def get_object(question: GetObject, deps: Deps) -> ObjectView:
    """Raises `NotFound` for an object of another tenant too."""
    async with deps.work() as work:
        return await work.shown.object(
            question.tenant, question.upload_id, with_peaks=question.with_peaks
        )


async def get_timeline(question: GetTimeline, deps: Deps) -> Timeline:
    """Everything the catalog knows to have happened, in order; raises `NotFound`."""
    async with deps.work() as work:
        upload = await work.direct.get(question.tenant, question.upload_id)
        entries = await work.shown.history(upload.upload_id, upload.recording_id)
        try:
            stored = await work.shown.object(upload.tenant, upload.upload_id, with_peaks=False)
        except NotFound:
            stored = None
    # Sorting keeps what happened at one moment as it was written.
    every = [*entries, *(_events_of(stored) if stored else ())]
    return Timeline(entries=tuple(sorted(every, key=lambda one: one.at)))


def _events_of(stored: ObjectView) -> list[TimelineEntry]:
    found = [
        TimelineEntry(
            at=stored.stored_at,
            event="object.stored",
            detail={"size_bytes": stored.size_bytes, "detected_type": stored.detected_type},
        )
    ]
    if stored.verified_at is not None:
        detail: JsonObject = {"sha256": stored.sha256}
        found.append(TimelineEntry(at=stored.verified_at, event="object.verified", detail=detail))
    if stored.inspection is not None:
        read = stored.inspection
        told = read.media.model_dump(mode="json", exclude={"peaks"}) if read.media else {}
        detail = {"readable": read.readable, "reason": read.reason, **told}
        found.append(TimelineEntry(at=read.inspected_at, event="object.inspected", detail=detail))
    return found
