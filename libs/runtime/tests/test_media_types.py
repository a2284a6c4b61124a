"""What first bytes say of the type of a file."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice_runtime.media_types import detect_type


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"RIFF\x24\x08\x00\x00WAVEfmt ", "audio/"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"%PDF-1.7\n", "application/pdf"),
    ],
)
def test_known_beginnings_are_recognised(head: bytes, kind: str) -> None:
    assert (detect_type(head) or "").startswith(kind)


@given(st.binary(max_size=512))
@example(b"")
def test_looking_never_fails(head: bytes) -> None:
    found = detect_type(head)
    assert found is None or "/" in found
