"""What the catalog knows of: values, and the rules of their statuses. No I/O."""

from sluice_catalog.domain.calls import Call, call_of
from sluice_catalog.domain.chunks import Chunk, Device, chunk_of
from sluice_catalog.domain.direct import Direct, lost_direct, planned_direct
from sluice_catalog.domain.renders import Message, Render, render_of
from sluice_catalog.domain.uploads import (
    WELL_KNOWN_TOKENS,
    Batch,
    Change,
    IllegalTransition,
    PlacedState,
    Recording,
    StoredObject,
    Upload,
    first_change,
    known_uuid,
    moved,
    token_digest,
)

__all__ = [
    "WELL_KNOWN_TOKENS",
    "Batch",
    "Call",
    "Change",
    "Chunk",
    "Device",
    "Direct",
    "IllegalTransition",
    "Message",
    "PlacedState",
    "Recording",
    "Render",
    "StoredObject",
    "Upload",
    "call_of",
    "chunk_of",
    "first_change",
    "known_uuid",
    "lost_direct",
    "moved",
    "planned_direct",
    "render_of",
    "token_digest",
]
