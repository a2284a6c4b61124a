"""What reconciliation asks: which objects the catalog knows of, and what to do about a lost one."""

from sluice_catalog.ports import Deps
from sluice_catalog.usecases.recordings import advance_upload
from sluice_contracts.questions import (
    Done,
    FindOwners,
    ListOwnedObjects,
    OwnedObjects,
    ReportMissing,
)
from sluice_contracts.statuses import RecordingStatus

_ACTOR = "reconcile"


async def list_owned(question: ListOwnedObjects, deps: Deps) -> OwnedObjects:
    """A page of the objects the catalog owns or waits for, in key order."""
    async with deps.work() as work:
        return OwnedObjects(objects=tuple(await work.objects.page(question.after, question.limit)))


async def find_owners(question: FindOwners, deps: Deps) -> OwnedObjects:
    """Those of the keys that the catalog owns or waits for."""
    async with deps.work() as work:
        return OwnedObjects(objects=tuple(await work.objects.find(question.keys)))


async def report_missing(question: ReportMissing, deps: Deps) -> Done:
    """An object is gone from the store: mark it, and fail what stands on it."""
    async with deps.work() as work:
        stored = await work.objects.by_key(question.key)
        if stored is not None and stored.state == "stored":
            await work.objects.mark([stored.upload_id], state="damaged")
            path = (RecordingStatus.FAILED,)
            reason = "the object is missing"
            await advance_upload(work, stored.upload_id, path, actor=_ACTOR, reason=reason)
            await work.commit()
    deps.wake_relay()
    return Done()
