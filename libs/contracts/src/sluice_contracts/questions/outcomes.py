"""What a waiting gateway is told of an upload."""

from typing import Literal

from sluice_contracts.base import Contract, Token, UploadId
from sluice_contracts.questions.base import FailureDetail


class UploadOutcome(Contract):
    """What became of an upload, sent to the subject the gateway waits on.

    `claim_id` names the attempt it speaks of.
    """

    upload_id: UploadId
    claim_id: Token | None = None
    state: Literal["stored", "registered", "rejected"]
    failure: FailureDetail | None = None
