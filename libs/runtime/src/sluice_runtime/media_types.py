"""What the first bytes of a file say of its type. A hint, not a verdict."""

import puremagic

_COMMON = (
    (8, b"WAVE", "audio/wav"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
)


def detect_type(head: bytes) -> str | None:
    """The media type the first bytes of a file speak of, or None."""
    # Going through thousands of signatures takes longer than all else that is done for a chunk.
    for offset, magic, media_type in _COMMON:
        if head.startswith(magic, offset):
            return media_type
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return None
    for match in matches:
        if match.mime_type:
            return str(match.mime_type)
    return None
