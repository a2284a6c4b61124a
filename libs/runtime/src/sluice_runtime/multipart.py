"""What a store lists of multipart uploads, read by hand.

The SDK insists on an XML namespace that not every store sends, and would list nothing there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree

EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class SentPart:
    """One part of an open multipart upload, as the store has it."""

    number: int
    etag: str
    size_bytes: int
    sent_at: datetime = EPOCH


@dataclass(frozen=True)
class OpenSession:
    """A multipart upload that nobody finished yet."""

    key: str
    session_id: str
    started_at: datetime


def local_name(element: ElementTree.Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def fields_of(element: ElementTree.Element) -> dict[str, str]:
    """The texts of the children of an element, by name."""
    return {local_name(child): child.text or "" for child in element}


def read_parts(page: Callable[[str], bytes]) -> list[SentPart]:
    """All parts of a session in ascending order; `page` lists those behind a marker.

    Stores disagree on whether the part a marker names is on its page: each is counted once.
    """
    found: dict[int, SentPart] = {}
    marker = "0"
    while True:
        root = ElementTree.fromstring(page(marker))  # noqa: S314 - our own store
        for one in root.iter():
            if local_name(one) == "Part":
                part = _part(one)
                found[part.number] = part
        listing = fields_of(root)
        following = listing.get("NextPartNumberMarker", "0")
        if listing.get("IsTruncated") != "true" or following == marker:
            return [found[number] for number in sorted(found)]
        marker = following


def read_sessions(page: Callable[[str, str], bytes]) -> list[OpenSession]:
    """All open sessions by key; `page` lists those behind the one of this key and id."""
    found: dict[tuple[str, str], OpenSession] = {}
    marker = "", ""
    while True:
        root = ElementTree.fromstring(page(*marker))  # noqa: S314 - our own store
        for one in root.iter():
            if local_name(one) == "Upload":
                session = _session(one)
                found[session.key, session.session_id] = session
        listing = fields_of(root)
        following = listing.get("NextKeyMarker", ""), listing.get("NextUploadIdMarker", "")
        if listing.get("IsTruncated") != "true" or following == marker:
            return list(found.values())
        marker = following


def _part(element: ElementTree.Element) -> SentPart:
    fields = fields_of(element)
    return SentPart(
        number=int(fields["PartNumber"]),
        etag=fields["ETag"].strip('"'),
        size_bytes=int(fields["Size"]),
        sent_at=_moment(fields, "LastModified"),
    )


def _session(element: ElementTree.Element) -> OpenSession:
    fields = fields_of(element)
    return OpenSession(fields["Key"], fields["UploadId"], _moment(fields, "Initiated"))


def _moment(fields: dict[str, str], name: str) -> datetime:
    return datetime.fromisoformat(fields[name]) if name in fields else EPOCH
