"""Questions and commands: what one service asks another and needs answered now.

They travel as request and reply on core NATS and are not stored. A question names its service,
entity and verb, and the model of its answer. A handler that fails answers with an `Answer` that
holds an error: silence would cost the caller its whole timeout.
"""

from sluice_contracts.base import Contract
from sluice_contracts.questions.base import Done, Failure, FailureDetail, Question
from sluice_contracts.questions.events import ListEvents, LogEntries, LogEntry
from sluice_contracts.questions.health import CheckDatabase, CheckStore, PartState
from sluice_contracts.questions.keys import Principal, ResolveKey
from sluice_contracts.questions.objects import (
    FindOwners,
    ListOwnedObjects,
    OwnedObject,
    OwnedObjects,
    ReportMissing,
)
from sluice_contracts.questions.outcomes import UploadOutcome
from sluice_contracts.questions.recordings import (
    BatchState,
    BatchStates,
    BatchView,
    BatchViews,
    DeleteBatch,
    GetBatch,
    GetRecording,
    ListBatches,
    Page,
    RecordingItem,
    RecordingState,
    RecordingView,
    RegisterRecordings,
    ReportStatus,
    ShowBatches,
)
from sluice_contracts.questions.storage import (
    AbandonUpload,
    BeginUpload,
    FoundObject,
    FoundObjects,
    LinkObject,
    ListFoundObjects,
    PlaceItem,
    PlaceRecordings,
    Places,
    RemoveObject,
    RestateObject,
    SignedLink,
    SignedPart,
    SignedParts,
    SignParts,
    StoredRegistration,
    UploadBegun,
)
from sluice_contracts.questions.uploads import (
    Claim,
    ClaimResult,
    ClaimUploads,
    Idempotency,
    PlannedUpload,
    PlanUploads,
    ReleaseClaim,
    RenewClaim,
    UploadClaimed,
    UploadsClaimed,
    UploadsPlanned,
)

QUESTIONS: tuple[type[Question[Contract]], ...] = tuple(
    question
    for question in list(globals().values())
    if isinstance(question, type) and issubclass(question, Question) and "VERB" in vars(question)
)
"""Every question there is, for permissions and schema export."""

__all__ = [
    "QUESTIONS",
    "AbandonUpload",
    "BatchState",
    "BatchStates",
    "BatchView",
    "BatchViews",
    "BeginUpload",
    "CheckDatabase",
    "CheckStore",
    "Claim",
    "ClaimResult",
    "ClaimUploads",
    "DeleteBatch",
    "Done",
    "Failure",
    "FailureDetail",
    "FindOwners",
    "FoundObject",
    "FoundObjects",
    "GetBatch",
    "GetRecording",
    "Idempotency",
    "LinkObject",
    "ListBatches",
    "ListEvents",
    "ListFoundObjects",
    "ListOwnedObjects",
    "LogEntries",
    "LogEntry",
    "OwnedObject",
    "OwnedObjects",
    "Page",
    "PartState",
    "PlaceItem",
    "PlaceRecordings",
    "Places",
    "PlanUploads",
    "PlannedUpload",
    "Principal",
    "Question",
    "RecordingItem",
    "RecordingState",
    "RecordingView",
    "RegisterRecordings",
    "ReleaseClaim",
    "RemoveObject",
    "RenewClaim",
    "ReportMissing",
    "ReportStatus",
    "ResolveKey",
    "RestateObject",
    "ShowBatches",
    "SignParts",
    "SignedLink",
    "SignedPart",
    "SignedParts",
    "StoredRegistration",
    "UploadBegun",
    "UploadClaimed",
    "UploadOutcome",
    "UploadsClaimed",
    "UploadsPlanned",
]
