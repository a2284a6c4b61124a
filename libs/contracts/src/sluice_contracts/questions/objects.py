"""Asked of the catalog: what it owns, for reconciliation and the sweep."""

from typing import Annotated, Literal

from pydantic import Field

from sluice_contracts.base import Contract, ObjectKey, Sha256, Size, UploadId
from sluice_contracts.questions.base import Done, Question


class OwnedObject(Contract):
    """An object as the catalog knows it; an expected one has no bytes yet."""

    key: ObjectKey
    upload_id: UploadId
    size_bytes: Size | None
    sha256: Sha256 | None
    state: Literal["expected", "stored", "damaged", "discarded"]


class OwnedObjects(Contract):
    objects: tuple[OwnedObject, ...]


class ListOwnedObjects(Question[OwnedObjects]):
    """Every object the catalog owns or waits for, by key."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "object", "list", OwnedObjects

    after: str = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 500


class FindOwners(Question[OwnedObjects]):
    """Which of these keys does the catalog own or wait for?"""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "object", "find", OwnedObjects

    keys: Annotated[tuple[ObjectKey, ...], Field(max_length=1000)]


class ReportMissing(Question[Done]):
    """The object of this row is not in the store: say so, and fail what stands on it."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "object", "missing", Done

    key: ObjectKey
