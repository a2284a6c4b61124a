"""Moves: what the tables allow, numbered without a gap; repeating changes nothing."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from sluice_catalog.domain import IllegalTransition, first_change, known_uuid, token_digest
from sluice_contracts.statuses import BatchStatus, Kind, RecordingStatus, UploadStatus, is_legal
from sluice_runtime.errors import NotFound

from .fakes import NOW
from .promises import batch, recording, upload

PATH = (UploadStatus.UPLOADING, UploadStatus.STORED, UploadStatus.REGISTERED)


@pytest.mark.parametrize(("current", "target"), list(product(RecordingStatus, repeat=2)))
def test_a_recording_moves_as_its_table_says(
    current: RecordingStatus, target: RecordingStatus
) -> None:
    one = replace(recording(1, NOW), status=current)
    if not is_legal(Kind.RECORDING, current, target):
        with pytest.raises(IllegalTransition):
            one.move_to(target)
        return
    moved, changes = one.move_to(target)
    assert moved.status is target
    assert len(changes) == (current is not target)


def test_a_path_is_one_change_a_step() -> None:
    moved, changes = upload(1, NOW).move_to(*PATH, reason="because")
    assert (moved.status, moved.sequence) == (UploadStatus.REGISTERED, 4)
    assert [(one.sequence, one.previous, one.status) for one in changes] == [
        (2, "created", "uploading"),
        (3, "uploading", "stored"),
        (4, "stored", "registered"),
    ]
    assert {one.reason for one in changes} == {"because"}


def test_an_illegal_step_spoils_the_whole_path() -> None:
    with pytest.raises(IllegalTransition) as caught:
        upload(1, NOW).move_to(UploadStatus.STORED, UploadStatus.EXPIRED)
    assert caught.value.code == "illegal-transition"


def test_repeating_changes_nothing() -> None:
    one = batch(1, NOW)
    assert one.move_to(BatchStatus.OPEN) == (one, [])


def test_a_birth_is_the_first_change() -> None:
    change = first_change(Kind.UPLOAD, "dev", "upl_1", "rb_1", "created")
    assert (change.sequence, change.previous, change.status) == (1, None, "created")


def test_a_claim_lasts_until_its_moment() -> None:
    one = upload(1, NOW)
    assert not one.is_claimed(NOW)
    claimed = replace(one, claimed_until=NOW + timedelta(seconds=1))
    assert claimed.is_claimed(NOW)
    assert not claimed.is_claimed(NOW + timedelta(seconds=1))


def test_a_blob_is_named_by_bucket_and_key() -> None:
    assert upload(1, NOW).blob_ref == "blob://s3/media/tenants/dev/00000001"


def test_tokens_are_kept_as_their_digest() -> None:
    assert token_digest("test_12345") == (
        "22e2da60c56a8fe0867253bf9ae9ef62646f9a176463461932dab760a702447c"
    )


@pytest.mark.parametrize("text", ["", "x", "rec_00000001", "0" * 31, "0" * 33, "\x00"])
def test_what_can_be_nobodys_id_is_not_found(text: str) -> None:
    with pytest.raises(NotFound) as caught:
        known_uuid(text, "chunk")
    assert caught.value.code == "chunk-not-found"
