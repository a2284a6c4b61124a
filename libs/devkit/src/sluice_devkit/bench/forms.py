"""Forms as plain bytes: what a client spends on putting one together is not what is measured."""

from collections.abc import Mapping

# As long as the one of curl: a shorter one takes longer to look for.
_BOUNDARY = 24 * "-" + "SluiceBenchBoundary001"
CONTENT_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"
CLOSING = f"\r\n--{_BOUNDARY}--\r\n".encode()


def opening(fields: Mapping[str, str], file: str) -> bytes:
    """The fields, and the head of the part whose content follows: a WAV file of that name."""
    parts = [_part(f'name="{name}"') + f"\r\n{value}\r\n" for name, value in fields.items()]
    head = _part(f'name="{file}"; filename="bench.wav"') + "Content-Type: audio/wav\r\n\r\n"
    return "".join((*parts, head)).encode()


def _part(disposition: str) -> str:
    return f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n"
