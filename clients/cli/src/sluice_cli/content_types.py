"""The content type of a file by its name.

A table of our own: the one of the operating system differs from machine to machine, and the
type signed into an upload must be the type the file is sent with.
"""

from pathlib import PurePath

UNKNOWN = "application/octet-stream"

_BY_SUFFIX = {
    ".3gp": "video/3gpp",
    ".aac": "audio/aac",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".amr": "audio/amr",
    ".avi": "video/x-msvideo",
    ".caf": "audio/x-caf",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".m4v": "video/mp4",
    ".mka": "audio/x-matroska",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".mpeg": "video/mpeg",
    ".mpg": "video/mpeg",
    ".mts": "video/mp2t",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".ts": "video/mp2t",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".webm": "video/webm",
    ".wma": "audio/x-ms-wma",
}


def content_type(name: str) -> str:
    """The content type `name` suggests."""
    return _BY_SUFFIX.get(PurePath(name).suffix.lower(), UNKNOWN)
