"""What becomes of bytes that are in the store, and what may honestly be said of them."""

import time
from enum import StrEnum

from prometheus_client import Counter, Histogram

from sluice_contracts.questions import UploadOutcome
from sluice_gateway.ports import Deps, Waiting
from sluice_gateway.usecases.sending import Sent
from sluice_runtime.errors import Conflict, SluiceError, Unavailable, revive

UPLOADS = Counter("sluice_uploads_total", "Uploads that ended", ["door", "outcome"])
UPLOAD_BYTES = Counter("sluice_upload_bytes_total", "Bytes of uploads that were acknowledged")
TIME_TO_REGISTERED = Histogram(
    "sluice_time_to_registered_seconds", "From the last byte in the store to the committed row"
)

# Joining the parts of a large object takes the store a while.
_JOIN_TIMEOUT_SECONDS = 60.0


class Answer(StrEnum):
    """What is promised: the row is committed, or the bytes are safe and it will be."""

    REGISTERED = "registered"
    ACCEPTED = "accepted"


async def await_answer(waiting: Waiting, sent: Sent, deps: Deps, *, may_accept: bool) -> Answer:
    """Wait for the catalog, for a while, and say what may be promised.

    202 is only said when the store is known to hold the whole object (after a single PUT, or
    once storage has joined the parts) and nobody else can have changed it since (`may_accept`).
    """
    began = time.monotonic()
    in_store = sent.multipart is None
    patience = deps.limits.register_timeout_seconds if in_store else _JOIN_TIMEOUT_SECONDS
    while True:
        outcome = await waiting.outcome(patience)
        if outcome is None:
            break
        if outcome.state == "registered":
            UPLOAD_BYTES.inc(sent.size_bytes)
            TIME_TO_REGISTERED.observe(time.monotonic() - began)
            return Answer.REGISTERED
        if outcome.state == "rejected":
            raise _refusal(outcome)
        in_store, patience = True, deps.limits.register_timeout_seconds
    if in_store and may_accept:
        UPLOAD_BYTES.inc(sent.size_bytes)
        return Answer.ACCEPTED
    raise Unavailable(
        "The bytes were not registered in time; repeat the request to learn what became of them.",
        code="storage-unavailable",
    )


def _refusal(outcome: UploadOutcome) -> SluiceError:
    if outcome.failure is None:
        return Conflict("The upload was refused.", code="upload-rejected")
    return revive(outcome.failure)
