"""Server-sent events, wherever the chunks are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sluice_cli.sse import EventParser, ServerEvent

STREAM = (
    "\ufeff: hello\r\n\r\n"
    "id: 7\revent: one\rdata: {\rdata:  é}\r\r"
    "data:two\n\n"
    ": heartbeat\n\n"
    "id: 8\n\n"
    "retry: 100\nevent: three\ndata\nid: 9\n\n"
    "data: unfinished"
).encode()
EXPECTED = [
    ServerEvent("one", "{\n é}", "7"),
    ServerEvent("message", "two", "7"),
    ServerEvent("three", "", "9"),
]


def test_a_stream_in_one_piece() -> None:
    assert EventParser().feed(STREAM) == EXPECTED


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_in_any_pieces(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    parser = EventParser()
    found = []
    for start, end in pairwise(places):
        found += parser.feed(STREAM[start:end])
    assert found == EXPECTED


def test_a_stream_byte_by_byte() -> None:
    parser = EventParser()
    assert [event for byte in STREAM for event in parser.feed(bytes([byte]))] == EXPECTED


def test_an_id_with_a_null_is_ignored() -> None:
    assert EventParser().feed(b"id: 1\nid: 2\0\ndata: x\n\n") == [ServerEvent("message", "x", "1")]
