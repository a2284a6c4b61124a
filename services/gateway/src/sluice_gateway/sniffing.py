"""What the first bytes of a file speak of: one of the audio formats taken here, or something else.

Names and declared types are a client's word; this is the bytes' own. It is no proof that the rest
of the file is sound: that is what the inspector finds out.
"""

import re
from codecs import getincrementaldecoder

HEAD_BYTES = 4096
"""So many bytes are looked at: enough to see what most tags stand in front of."""

# Extension to the media type it is stored and played with.
AUDIO_TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "m4a": "audio/mp4",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
}

_NAMES = {"mp3": "MP3", "wav": "WAV", "m4a": "M4A", "flac": "FLAC", "ogg": "Ogg"}

_WAVE = re.compile(rb"(RIFF|RF64|BW64).{4}WAVE", re.DOTALL)
# Of the ISO family those that carry sound; pictures have brands of their own.
_MP4_BRANDS = re.compile(rb"M4[ABPV] |mp4[12]|isom|iso[2-9]|dash|3g[p2].|F4[AB] ")

# Found by how they begin.
_OTHERS: tuple[tuple[str, bytes], ...] = (
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("JPEG", b"\xff\xd8\xff"),
    ("GIF", b"GIF8"),
    ("PDF", b"%PDF-"),
    ("ZIP", b"PK\x03\x04"),
    ("ZIP", b"PK\x05\x06"),
    ("GZIP", b"\x1f\x8b"),
    ("7-Zip", b"7z\xbc\xaf\x27\x1c"),
    ("RAR", b"Rar!\x1a\x07"),
    ("a Windows program", b"MZ"),
    ("a Linux program", b"\x7fELF"),
    ("Matroska or WebM", b"\x1aE\xdf\xa3"),
    ("AIFF", b"FORM"),
    ("AU", b".snd"),
    ("AMR", b"#!AMR"),
    ("CAF", b"caff"),
    ("MIDI", b"MThd"),
    ("Windows Media", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    ("RIFF that is not WAVE", b"RIFF"),
)
# As others, in any case and behind white space.
_MARKUP: tuple[tuple[str, bytes], ...] = (
    ("HTML", b"<!doctype html"),
    ("HTML", b"<html"),
    ("HTML", b"<head"),
    ("HTML", b"<body"),
    ("HTML", b"<script"),
    ("SVG", b"<svg"),
    ("XML", b"<?xml"),
    ("a playlist", b"#extm3u"),
    ("a playlist", b"[playlist]"),
    ("a script", b"#!"),
)

_ID3_HEADER_BYTES = 10
# No frame of MPEG audio is text for so long, and no text is shorter that does harm.
_TEXT_BYTES = 64
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def audio_format(head: bytes) -> str | None:
    """The extension of the audio format `head` begins, or None: `mp3`, `wav`, `m4a`, `flac`, `ogg`.

    `head` holds the first `HEAD_BYTES` of a file, or all of a shorter one.
    """
    if _WAVE.match(head):
        return "wav"
    if _is_flac(head):
        return "flac"
    if head.startswith(b"OggS\x00"):
        return "ogg"
    if _is_iso(head):
        return "m4a" if _MP4_BRANDS.match(head[8:12]) else None
    if _is_id3(head):
        return _format_behind(_behind_tag(head))
    return "mp3" if _is_mpeg_frame(head) else None


def describe(head: bytes) -> str:
    """What `head` looks like, in a word or two for the one who sent it."""
    known = audio_format(head)
    if known is not None:
        return _NAMES[known]
    if not head:
        return "nothing"
    if _is_iso(head):
        return "an MP4 relative that holds no plain audio"
    if _is_id3(head):
        return f"an ID3 tag before {describe(_behind_tag(head))}"
    return _begins(head) or ("text" if _is_text(head) else "nothing we know")


def _begins(head: bytes) -> str | None:
    for name, magic in _OTHERS:
        if head.startswith(magic):
            return name
    words = head.removeprefix(_MARKS[0]).lstrip().lower()
    for name, magic in _MARKUP:
        if words.startswith(magic):
            return name
    if head[:1] == b"\xff" and len(head) > 1:
        # The same sync word as MP3, with the bits of its layer unset.
        return "AAC" if head[1] & 0xF6 == 0xF0 else None
    return None


def _is_flac(head: bytes) -> bool:
    """Whether the letters are there, and behind them the block that every stream begins with."""
    return head.startswith(b"fLaC") and head[4:5] in (b"\x00", b"\x80")


def _is_iso(head: bytes) -> bool:
    """Whether a file type box begins here. It is short, so the bytes before its name are no text.

    Source: ISO/IEC 14496-12, section 4.3.
    """
    return head[4:8] == b"ftyp" and head.startswith(b"\x00\x00")


def _is_id3(head: bytes) -> bool:
    """Whether an ID3v2 tag begins here: text after the letters is no version and no size.

    Source: id3.org, "ID3 tag version 2.4.0 - Main Structure", section 3.1.
    """
    return (
        len(head) >= _ID3_HEADER_BYTES
        and head.startswith(b"ID3")
        and head[3] <= 4
        and head[4] < 0xFF
        and all(byte < 0x80 for byte in head[6:10])
    )


def _behind_tag(head: bytes) -> bytes:
    """So much of `head` as lies behind its ID3 tag and the padding of that."""
    a, b, c, d = head[6:10]
    size = a << 21 | b << 14 | c << 7 | d
    return head[_ID3_HEADER_BYTES + size :].lstrip(b"\x00")


def _format_behind(rest: bytes) -> str | None:
    """What an ID3 tag belongs to: MP3, unless something else can be seen behind it."""
    if _is_flac(rest):
        return "flac"
    return None if _begins(rest) or _is_long_text(rest) else "mp3"


def _is_mpeg_frame(head: bytes) -> bool:
    """Whether a frame of MPEG audio, layer III, begins here.

    Text that was marked as UTF-16 begins with a sync word too, and so does a frame somebody wrote
    text into: neither is taken. Source: ISO/IEC 11172-3, section 2.4.1.3.
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 0b11, head[1] >> 1 & 0b11
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 0b11
    is_possible = version != 0b01 and layer == 0b01 and bitrate != 0b1111 and rate != 0b11
    return is_possible and not _begins(head[4:]) and not _is_long_text(head[4:])


def _is_long_text(data: bytes) -> bool:
    return len(data) >= _TEXT_BYTES and _is_text(data[:_TEXT_BYTES])


def _is_text(data: bytes) -> bool:
    if data.startswith(_MARKS):
        return True
    try:
        # Not final: the last character may be cut off.
        text = getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return all(one.isprintable() or one.isspace() for one in text)
