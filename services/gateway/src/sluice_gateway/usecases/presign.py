"""Planning uploads: places, ids and signed URLs for what is going to be sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from sluice_contracts.api import PresignItem
from sluice_contracts.questions import (
    Idempotency,
    PlaceItem,
    PlaceRecordings,
    PlannedUpload,
    PlanUploads,
    Principal,
    UploadsPlanned,
)
from sluice_gateway.domain import check_filename, known_batch_id
from sluice_gateway.ports import Deps


@dataclass(frozen=True)
class Presigned:
    """Planned uploads, and the token of each."""

    planned: UploadsPlanned
    tokens: tuple[str, ...]


async def presign(
    principal: Principal,
    batch_id: str | None,
    items: Sequence[PresignItem],
    idempotency: Idempotency | None,
    deps: Deps,
) -> Presigned:
    """Plan one upload for each item, in a new batch or in `batch_id`.

    Raises:
        Rejected: a file name is not acceptable.
        NotFound: there is no such batch.
    """
    uploads = await _place(principal.tenant, items, deps)
    planned = await deps.asker.ask(
        PlanUploads(
            principal=principal,
            batch_id=None if batch_id is None else known_batch_id(batch_id),
            uploads=uploads,
            lifetime_seconds=deps.limits.presign_lifetime_seconds,
            idempotency=idempotency,
        )
    )
    tokens = tuple(deps.tokens.sign(one.upload_id, planned.expires_at) for one in planned.uploads)
    return Presigned(planned, tokens)


async def _place(
    tenant: str, items: Sequence[PresignItem], deps: Deps
) -> tuple[PlannedUpload, ...]:
    """Names, ids and keys of what is going to be sent."""
    names = [check_filename(item.filename) for item in items]
    recording_ids = [deps.new_id("rec") for _ in items]
    places = await deps.asker.ask(
        PlaceRecordings(
            tenant=tenant,
            day=deps.now(),
            lifetime_seconds=deps.limits.presign_lifetime_seconds,
            items=tuple(
                PlaceItem(recording_id=recording_id, filename=name)
                for recording_id, name in zip(recording_ids, names, strict=True)
            ),
        )
    )
    return tuple(
        PlannedUpload(
            upload_id=deps.new_id("upl"),
            recording_id=recording_id,
            filename=name,
            content_type=item.contentType,
            bucket=places.bucket,
            key=key,
            put_url=put_url,
        )
        for item, recording_id, name, key, put_url in zip(
            items, recording_ids, names, places.keys, places.put_urls, strict=True
        )
    )
