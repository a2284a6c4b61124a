"""Listings of multipart uploads, as different stores write them."""

from datetime import UTC, datetime

import pytest

from sluice_runtime.multipart import SentPart, read_parts, read_sessions

SENT = datetime(2026, 11, 20, 12, 0, 1, tzinfo=UTC)
NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def listing(namespace: str, numbers: list[int], following: int, *, truncated: bool) -> bytes:
    parts = "".join(
        f'<Part><PartNumber>{number}</PartNumber><ETag>"e{number}"</ETag>'
        f"<Size>{number * 10}</Size><LastModified>{SENT.isoformat()}</LastModified></Part>"
        for number in numbers
    )
    more = "<IsTruncated>true</IsTruncated>" if truncated else ""
    return (
        f"<ListPartsResult{namespace}><NextPartNumberMarker>{following}</NextPartNumberMarker>"
        f"{more}{parts}</ListPartsResult>"
    ).encode()


class Store:
    """Lists the parts 1 to `count`, two at a time, with a marker of its own kind."""

    def __init__(self, count: int, namespace: str, *, marker_is_next: bool) -> None:
        self._count = count
        self._namespace = namespace
        self._marker_is_next = marker_is_next

    def page(self, marker: str) -> bytes:
        first = max(1, int(marker) if self._marker_is_next else int(marker) + 1)
        numbers = [one for one in range(first, first + 2) if one <= self._count]
        last = numbers[-1] if numbers else 0
        following = last + 1 if self._marker_is_next else last
        truncated = last < self._count
        return listing(self._namespace, numbers, following, truncated=truncated)


@pytest.mark.parametrize("marker_is_next", [True, False])
@pytest.mark.parametrize("namespace", ["", NAMESPACE])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_every_part_is_listed_once(count: int, namespace: str, marker_is_next: bool) -> None:
    store = Store(count, namespace, marker_is_next=marker_is_next)
    wanted = [SentPart(number, f"e{number}", number * 10, SENT) for number in range(1, count + 1)]
    assert read_parts(store.page) == wanted


def test_a_store_that_goes_round_in_circles_is_left() -> None:
    found = read_parts(lambda _: listing("", [1], 1, truncated=True))
    assert [part.number for part in found] == [1]


def page_of_sessions(key: str, session_id: str) -> bytes:
    """Two to a page, of the sessions a/1, a/2, b/1."""
    every = [("a", "1"), ("a", "2"), ("b", "1")]
    behind = [one for one in every if one > (key, session_id)]
    uploads = "".join(
        f"<Upload><Key>{name}</Key><UploadId>{number}</UploadId>"
        "<Initiated>2026-01-28T10:00:00Z</Initiated></Upload>"
        for name, number in behind[:2]
    )
    last = behind[:2][-1]
    return (
        f"<ListMultipartUploadsResult{NAMESPACE}>{uploads}<NextKeyMarker>{last[0]}</NextKeyMarker>"
        f"<NextUploadIdMarker>{last[1]}</NextUploadIdMarker>"
        f"<IsTruncated>{str(len(behind) > 2).lower()}</IsTruncated></ListMultipartUploadsResult>"
    ).encode()


def test_sessions_are_listed_to_the_last_page() -> None:
    found = read_sessions(page_of_sessions)
    assert [(one.key, one.session_id) for one in found] == [("a", "1"), ("a", "2"), ("b", "1")]


def test_a_store_that_lists_one_page_of_sessions_for_ever_is_left() -> None:
    page = page_of_sessions("", "")
    assert len(read_sessions(lambda _key, _id: page)) == 2
