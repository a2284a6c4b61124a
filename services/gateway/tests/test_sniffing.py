"""What first bytes speak of: formats are told apart, and nothing else is taken for one of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_gateway.sniffing import AUDIO_TYPES, HEAD_BYTES, audio_format, describe

FRAME = b"\xff\xfb\x90\x64"
HTML = b"<!doctype html><script>alert(1)</script>"


def tag(size: int = 0) -> bytes:
    """An ID3 tag whose content has so many bytes, below 128."""
    return b"ID3\x04\x00\x00\x00\x00\x00" + bytes([size]) + b"T" * size


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (FRAME + bytes(400), "mp3"),
        (b"\xff\xf3\x40\xc0" + bytes(400), "mp3"),
        (FRAME, "mp3"),
        (tag() + FRAME, "mp3"),
        (tag(100) + bytes(50) + FRAME, "mp3"),
        (b"ID3\x03\x00\x00\x00\x10\x00\x00" + b"TIT2" * 1000, "mp3"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "wav"),
        (b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00", "m4a"),
        (b"\x00\x00\x00\x1cftypmp42\x00\x00\x00\x00", "m4a"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", "m4a"),
        (b"fLaC\x00\x00\x00\x22", "flac"),
        (tag(20) + b"fLaC\x00\x00\x00\x22", "flac"),
        (b"OggS\x00\x02", "ogg"),
    ],
)
def test_each_format_is_known_by_its_first_bytes(head: bytes, expected: str) -> None:
    assert audio_format(head) == expected
    assert expected in AUDIO_TYPES
    assert describe(head).lower() == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", "nothing"),
        (HTML, "HTML"),
        (b"\xef\xbb\xbf\r\n <HTML>", "HTML"),
        (b"<svg xmlns=", "SVG"),
        (b"<?xml version=", "XML"),
        (b"#EXTM3U\nfile:///etc/passwd", "a playlist"),
        (b"#!/bin/sh\n", "a script"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"PK\x03\x04", "ZIP"),
        (b"%PDF-1.7", "PDF"),
        (b"RIFF\x24\x00\x00\x00AVI LIST", "RIFF that is not WAVE"),
        (b"\x00\x00\x00\x20ftypavif", "an MP4 relative that holds no plain audio"),
        (b"\xff\xf1\x50\x80", "AAC"),
        (b"plain words", "text"),
        ("Grüße".encode() * 1000, "text"),
        ("Grüße".encode()[:3], "text"),
        ("words".encode("utf-16"), "text"),
        (b"\x00" * 100, "nothing we know"),
        (b"\xff\xfd\x90\x64", "nothing we know"),
    ],
)
def test_what_is_no_audio_is_named(head: bytes, expected: str) -> None:
    assert audio_format(head) is None
    assert describe(head) == expected


@pytest.mark.parametrize(
    "head",
    [
        tag() + HTML,
        tag(50) + bytes(20) + HTML,
        tag() + b"PK\x03\x04" + bytes(100),
        tag() + b"words that go on and on " * 10,
        FRAME + HTML,
        FRAME + b"alert(document.cookie);" * 10,
        b"ID3<html><body>",
        b"ID3 is the name of a tag, and this is a sentence about it",
        b"fLaC<html><body>",
        b"<!--ftypM4A --><script>",
        b"\xff\xfe<\x00h\x00t\x00m\x00l\x00",
    ],
)
def test_the_first_letters_of_a_format_before_something_else_do_not_count(head: bytes) -> None:
    assert audio_format(head) is None


@given(st.text(max_size=200))
def test_no_text_is_audio(text: str) -> None:
    head = text.encode()
    # With the bytes that no keyboard types, text may hold anything.
    if "\x00" not in text:
        assert audio_format(head) is None


@given(st.binary(max_size=HEAD_BYTES))
def test_bytes_of_any_kind_are_described_in_printable_words(head: bytes) -> None:
    assert describe(head).isprintable()
    assert 1 <= len(describe(head)) <= 60
