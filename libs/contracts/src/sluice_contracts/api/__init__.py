"""The bodies of the public HTTP API, shared by gateway and clients; a file for each door."""

from sluice_contracts.api import chunks, common, recordings
from sluice_contracts.api.chunks import (
    ChunkAnswer,
    ChunkForm,
    ChunkList,
    ChunkUploaded,
    DeviceAnswer,
    DeviceChange,
    DeviceList,
    DeviceRequest,
    DeviceSelf,
    GapAnswer,
    GapList,
)
from sluice_contracts.api.common import (
    API_KEY_HEADER,
    EventList,
    FieldProblem,
    Problem,
    PublicEvent,
    ServiceStatus,
    StatusReport,
)
from sluice_contracts.api.recordings import (
    MAX_ITEMS,
    BatchAnswer,
    BatchList,
    Poll,
    PresignAnswer,
    PresignedItem,
    PresignItem,
    PresignRequest,
    RecordingAnswerItem,
    RecordingRequestItem,
    RecordingsAnswer,
    RecordingsRequest,
    ShownBatch,
    ShownRecording,
)
from sluice_contracts.base import Body, Contract

BODIES: tuple[type[Contract] | type[Body], ...] = (
    *chunks.BODIES,
    *common.BODIES,
    *recordings.BODIES,
)
"""Every body that is published as a schema."""

__all__ = [
    "API_KEY_HEADER",
    "BODIES",
    "MAX_ITEMS",
    "BatchAnswer",
    "BatchList",
    "ChunkAnswer",
    "ChunkForm",
    "ChunkList",
    "ChunkUploaded",
    "DeviceAnswer",
    "DeviceChange",
    "DeviceList",
    "DeviceRequest",
    "DeviceSelf",
    "EventList",
    "FieldProblem",
    "GapAnswer",
    "GapList",
    "Poll",
    "PresignAnswer",
    "PresignItem",
    "PresignRequest",
    "PresignedItem",
    "Problem",
    "PublicEvent",
    "RecordingAnswerItem",
    "RecordingRequestItem",
    "RecordingsAnswer",
    "RecordingsRequest",
    "ServiceStatus",
    "ShownBatch",
    "ShownRecording",
    "StatusReport",
]
