"""Asked of storage: places, signatures, and what lies in the store."""

from typing import Annotated

from pydantic import Field

from sluice_contracts.base import Contract, Moment, ObjectKey, RecordingId, Size, Token, UploadId
from sluice_contracts.facts import Registration, StoredBytes
from sluice_contracts.questions.base import Done, Question


class PlaceItem(Contract):
    recording_id: RecordingId
    filename: Annotated[str, Field(max_length=255)]


class Places(Contract):
    """Keys, and for each a signed PUT for a body of one part.

    The URLs outlive `lifetime_seconds` by a minute; there are none if that is too long.
    """

    bucket: str
    keys: tuple[ObjectKey, ...]
    put_urls: tuple[str | None, ...]


class PlaceRecordings(Question[Places]):
    """Where the recordings of a tenant are going to lie. Pure arithmetic; nothing is reserved."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "object", "place", Places

    tenant: Token
    day: Moment
    lifetime_seconds: Annotated[int, Field(ge=1, le=86_400)]
    items: Annotated[tuple[PlaceItem, ...], Field(min_length=1, max_length=10)]


class SignedPart(Contract):
    number: int
    url: str


class UploadBegun(Contract):
    """How to send the bytes: `put_url` for one PUT, or a session, its part size and first URLs."""

    put_url: str | None = None
    session_id: str | None = None
    part_size: int
    parts: tuple[SignedPart, ...] = ()


class BeginUpload(Question[UploadBegun]):
    """Sign what is needed to send `size_bytes`, or a body whose length nobody knows yet."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "upload", "begin", UploadBegun

    key: ObjectKey
    content_type: str
    size_bytes: Size | None


class PlaceUpload(Contract):
    """A file that is about to come through a form; what it is going to be decides its place."""

    tenant: Token
    upload_id: UploadId
    registration: Registration
    content_type: str
    size_bytes: Size | None


class UploadPlaced(Contract):
    """Where a file is going to lie, and how to send it there.

    Within `vouch_seconds` of the question nothing but the sender touches what lies there, so that
    it may say by itself that the object is stored. Zero: it may not.
    """

    bucket: str
    key: ObjectKey
    begun: UploadBegun
    vouch_seconds: Annotated[float, Field(ge=0)] = 0.0


class UploadsPlaced(Contract):
    """One for each place asked for, in their order."""

    placed: tuple[UploadPlaced, ...]


class PlaceUploads(Question[UploadsPlaced]):
    """Find places for files and sign what is needed to send them; nothing is reserved."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "upload", "place", UploadsPlaced

    uploads: Annotated[tuple[PlaceUpload, ...], Field(min_length=1, max_length=100)]


class SignedParts(Contract):
    parts: tuple[SignedPart, ...]


class SignParts(Question[SignedParts]):
    SERVICE, ENTITY, VERB, ANSWER = "storage", "upload", "sign", SignedParts

    key: ObjectKey
    session_id: str
    numbers: Annotated[tuple[int, ...], Field(min_length=1, max_length=1000)]


class AbandonUpload(Question[Done]):
    """The sender left: end the session, remove what was written and never announced.

    Refused after `not_after`: by then somebody else may have the claim, and the bytes be theirs.
    """

    SERVICE, ENTITY, VERB, ANSWER = "storage", "upload", "abandon", Done

    key: ObjectKey
    session_id: str | None = None
    not_after: Moment


class SignedLink(Contract):
    """A short-lived GET. `public_url` is for browsers, `internal_url` for the gateway itself."""

    public_url: str
    internal_url: str


class LinkObject(Question[SignedLink]):
    SERVICE, ENTITY, VERB, ANSWER = "storage", "object", "link", SignedLink

    key: ObjectKey
    content_type: str
    disposition: str


class StoredRegistration(Contract):
    """What lies beside an object, so that the catalog can be rebuilt from the store alone."""

    upload_id: UploadId
    tenant: Token
    bytes: StoredBytes
    etag: str
    detected_type: str | None = None
    registration: Registration
    stored_at: Moment


class FoundObject(Contract):
    """An object as the store shows it; without a registration nobody ever acknowledged it."""

    key: ObjectKey
    size_bytes: Size
    modified_at: Moment
    registration: StoredRegistration | None


class FoundObjects(Contract):
    objects: tuple[FoundObject, ...]


class ListFoundObjects(Question[FoundObjects]):
    """What the store holds, by key, with the registrations kept beside the objects."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "object", "list", FoundObjects

    after: str = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 100


class RestateObject(Question[Done]):
    """Announce an object again from its registration, for a catalog that lost it."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "object", "restate", Done

    key: ObjectKey


class RemoveObject(Question[Done]):
    """Remove an object that nobody owns, or whose owner discarded it. Harmless to repeat."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "object", "remove", Done

    key: ObjectKey
