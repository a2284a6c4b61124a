"""Names, keys and part sizes."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice_storage.domain import (
    DESCRIPTIONS,
    MAX_PARTS,
    MIB,
    OBJECTS,
    REGISTRATIONS,
    description_key,
    part_size,
    recording_key,
    registration_key,
    safe_name,
)

DAY = datetime(2026, 1, 2, 23, 59, tzinfo=UTC)
SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}")
DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@given(st.text(max_size=400) | st.text("ab. _", min_size=100, max_size=200))
@example("")
@example(".")
@example("..")
@example("../../etc/passwd")
@example("..\\..\\boot.ini")
@example("CON")
@example("con.txt")
@example("a" * 130 + ".wav")
@example("CON" + " " * 200 + ".wav")
@example("a" * 119 + "..wav")
@example("a" * 119 + "." + "b" * 50)
@example("a" * 118 + "_." + "b" * 50)
@example("." * 300)
@example("x." + "." * 300 + "wav")
@example("ＣＯＮ")
@example("\x00\n\r")
def test_a_name_is_always_safe_whatever_came_in(filename: str) -> None:
    name = safe_name(filename)
    assert SAFE.fullmatch(name), name
    assert name not in (".", "..")
    assert not DEVICES.fullmatch(name), name
    assert not name.endswith("."), name
    assert safe_name(name) == name


@given(
    st.text(st.sampled_from("abc019_-"), min_size=1, max_size=90), st.sampled_from(["wav", "m4a"])
)
def test_a_harmless_name_stays_recognisable(stem: str, extension: str) -> None:
    name = f"x{stem}y.{extension}"
    assert safe_name(name) == name
    assert safe_name(f"C:\\Users\\me/{name}") == name


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("Visite médicale.wav", "Visite_medicale.wav"),
        ("会議.wav", "wav"),
        ("会議", "file"),
        ("a b   c.mp3", "a_b_c.mp3"),
        ("nul", "_nul"),
        ("LPT1.wav", "_LPT1.wav"),
        ("console.wav", "console.wav"),
        ("a" * 200 + ".wav", "a" * 116 + ".wav"),
        ("a" * 200, "a" * 120),
        (".hidden", "hidden"),
    ],
)
def test_examples_of_names(filename: str, name: str) -> None:
    assert safe_name(filename) == name


def test_keys_are_laid_out_by_tenant_door_and_day() -> None:
    key = recording_key("dev", DAY, "rec_00000001", "../Ä.wav")
    assert key == "tenants/dev/recordings/2026/01/02/rec_00000001/A.wav"
    beside = "tenants/dev/recordings/2026/01/02/rec_00000001~A.wav.json"
    assert registration_key(key) == f"registrations/{beside}"
    assert description_key(key) == f"descriptions/{beside}"


@given(st.text(max_size=300))
def test_no_file_name_leads_out_of_its_recording(filename: str) -> None:
    key = recording_key("dev", DAY, "rec_00000001", filename)
    assert key.startswith(OBJECTS)
    assert key.count("/") == recording_key("dev", DAY, "rec_00000001", "a").count("/")
    assert len(description_key(key).encode()) < 1024
    assert not key.startswith((REGISTRATIONS, DESCRIPTIONS))


@given(st.integers(0, 5 * 1024**4), st.sampled_from([5 * MIB, 8 * MIB, 512 * MIB]))
def test_every_object_fits_into_its_parts(size: int, smallest: int) -> None:
    part = part_size(size, smallest)
    assert part >= smallest
    assert part % MIB == 0
    assert part * MAX_PARTS >= size
    assert part == smallest or (part - MIB) * MAX_PARTS < size


def test_a_body_of_unknown_length_is_sent_in_the_smallest_parts() -> None:
    assert part_size(None, 8 * MIB) == 8 * MIB
