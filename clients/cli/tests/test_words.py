"""Content types, exit codes, printable text, durations."""

from datetime import timedelta

import pytest
import typer

from sluice_cli.commands import duration
from sluice_cli.content_types import content_type
from sluice_cli.failures import combined
from sluice_cli.printing import printable
from sluice_cli.watch import full_types


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("call1.wav", "audio/wav"),
        ("CALL.MP3", "audio/mpeg"),
        ("a.b.m4a", "audio/mp4"),
        ("a.ogg", "audio/ogg"),
        ("a.opus", "audio/ogg"),
        ("a.flac", "audio/flac"),
        ("a.aac", "audio/aac"),
        ("a.mp4", "video/mp4"),
        ("a.webm", "video/webm"),
        ("a.mov", "video/quicktime"),
        ("notes", "application/octet-stream"),
        ("a.xyz", "application/octet-stream"),
    ],
)
def test_a_name_suggests_a_content_type(name: str, expected: str) -> None:
    assert content_type(name) == expected


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([], 0), ([0, 0], 0), ([0, 3], 1), ([3, 3], 3), ([4, 3], 1), ([5], 5), ([1, 0], 1)],
)
def test_one_exit_code_stands_for_all_items(codes: list[int], expected: int) -> None:
    assert combined(codes) == expected


def test_text_from_elsewhere_cannot_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\nc\u202ed é") == "a\\x1b[2Jb\\nc\\u202ed é"


def test_durations_take_units() -> None:
    assert duration("90") == timedelta(seconds=90)
    assert duration("15m") == timedelta(minutes=15)
    assert duration("1h") == timedelta(hours=1)
    for text in ("soon", "²d", "999999d"):
        with pytest.raises(typer.BadParameter):
            duration(text)


def test_a_kind_stands_for_its_type_of_event() -> None:
    assert full_types(["batch", "org.sluice.x.v1"]) == [
        "org.sluice.batch.status_changed.v1",
        "org.sluice.x.v1",
    ]
