"""Giving stored bytes back: what they were is forgotten, and storage removes them."""

from collections.abc import Sequence

from sluice_catalog.ports import Work
from sluice_contracts.facts import ObjectDiscarded, ObjectStored


async def discard_uploads(work: Work, tenant: str, upload_ids: Sequence[str]) -> None:
    """Have the objects of uploads removed.

    The uploads are remembered as deleted, so that bytes which are reported late are discarded.
    """
    now = work.now()
    await work.uploads.bury(upload_ids, now)
    stored = await work.objects.of_uploads(upload_ids)
    await work.objects.mark(upload_ids, state="discarded")
    discarded = [
        ObjectDiscarded(tenant=tenant, upload_id=one.upload_id, bucket=one.bucket, key=one.key)
        for one in stored.values()
    ]
    work.outbox.add(*discarded, at=now)


def give_back(fact: ObjectStored, work: Work) -> None:
    """Have an object removed that turned out to be nobody's."""
    gone = ObjectDiscarded(
        tenant=fact.tenant,
        upload_id=fact.upload_id,
        bucket=fact.bytes.bucket,
        key=fact.bytes.key,
    )
    work.outbox.add(gone, at=work.now())
