"""Asked of the catalog: may a request with this idempotency key begin?"""

from typing import Annotated

from pydantic import Field

from sluice_contracts.base import Contract, Sha256, Token, UploadId
from sluice_contracts.questions.base import Done, Question


class KeptUpload(Contract):
    """What a request with this key made before; `fingerprint` tells whether it is the same."""

    upload_id: UploadId
    fingerprint: Sha256


class Reserved(Contract):
    """The key is yours for `lease_seconds` unless renewed, or it was used for `first`."""

    first: KeptUpload | None = None
    lease_seconds: float


class ReserveKey(Question[Reserved]):
    """Keep an idempotency key for one request whose body is still to come.

    Asking again with the same `claim_id` renews it. While another request has it, a conflict.
    """

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "key", "reserve", Reserved

    tenant: Token
    scope: Token
    key: Annotated[str, Field(min_length=1, max_length=255)]
    claim_id: Token


class FreeKey(Question[Done]):
    """The request ended badly: let another attempt have the key."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "key", "free", Done

    tenant: Token
    scope: Token
    key: Annotated[str, Field(min_length=1, max_length=255)]
    claim_id: Token
