"""Valid values for tests."""

from datetime import UTC, datetime

from sluice_contracts.facts import StatusChanged
from sluice_contracts.statuses import Kind

MOMENT = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


def status_changed() -> StatusChanged:
    return StatusChanged(
        tenant="dev",
        kind=Kind.RECORDING,
        id="rec_00000001",
        sequence=1,
        previous=None,
        status="queued",
        actor="development",
        changed_at=MOMENT,
    )
