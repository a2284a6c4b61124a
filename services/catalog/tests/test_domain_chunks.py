"""Chunks as values: what they are made of, how they move, and in which month they lie."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_catalog.database.partitions import _after, months_around
from sluice_catalog.domain import IllegalTransition, chunk_of, moved
from sluice_contracts.statuses import ChunkStatus, Kind, is_legal

from .chunk_news import chunk_id, device_id, stored, told, upload_id
from .fakes import NOW
from .promises import chunk

paths = st.lists(st.sampled_from(ChunkStatus), max_size=6)
moments = st.datetimes(
    NOW.replace(year=1970, tzinfo=None),
    NOW.replace(year=2999, tzinfo=None),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))]),
)


class TestMaking:
    def test_a_chunk_is_what_was_told_and_what_was_stored(self) -> None:
        one = chunk_of(stored(3), told(3))
        assert (one.id, one.upload_id) == (str(chunk_id(3)), upload_id(3))
        assert (one.device_id, one.tenant) == (device_id(), "dev")
        assert (one.file_path, one.file_size_bytes) == ("audio/3.ogg", 1)
        assert (one.status, one.sequence, one.created_at) == (ChunkStatus.UPLOADED, 1, NOW)
        assert one.KIND is Kind.CHUNK

    def test_its_length_is_what_its_recorder_claims(self) -> None:
        zone = timezone(timedelta(hours=5))
        late = told(1).model_copy(
            update={"end_ts": (NOW + timedelta(minutes=1, milliseconds=250)).astimezone(zone)}
        )
        assert chunk_of(stored(1), late).duration_sec == 0.25

    def test_one_that_was_lost_is_numbered_from_where_its_history_ends(self) -> None:
        assert chunk_of(stored(1), told(1), 5).sequence == 5


class TestMoving:
    @pytest.mark.parametrize(("current", "target"), list(product(ChunkStatus, repeat=2)))
    def test_a_chunk_moves_as_its_table_says(
        self, current: ChunkStatus, target: ChunkStatus
    ) -> None:
        one = replace(chunk(1, NOW), status=current)
        if not is_legal(Kind.CHUNK, current, target):
            with pytest.raises(IllegalTransition) as caught:
                moved(one, target)
            assert caught.value.code == "illegal-transition"
            return
        found, changes = moved(one, target)
        assert found.status is target
        assert len(changes) == (current is not target)

    @given(st.sampled_from(ChunkStatus), st.integers(1, 99), paths)
    def test_a_path_is_numbered_without_a_gap(
        self, current: ChunkStatus, sequence: int, path: list[ChunkStatus]
    ) -> None:
        one = replace(chunk(1, NOW), status=current, sequence=sequence)
        try:
            found, changes = moved(one, *path, reason="because")
        except IllegalTransition:
            return
        assert found == replace(one, status=[current, *path][-1], sequence=found.sequence)
        assert isinstance(found.status, ChunkStatus)
        numbers = [change.sequence for change in changes]
        assert numbers == list(range(sequence + 1, found.sequence + 1))
        for earlier, later in pairwise([current, *(change.status for change in changes)]):
            assert earlier != later
        assert [change.previous for change in changes] == [
            current,
            *(change.status for change in changes[:-1]),
        ][: len(changes)]
        for change in changes:
            assert (change.kind, change.tenant, change.id) == (Kind.CHUNK, "dev", one.id)
            assert (change.batch_id, change.reason) == (None, "because")

    def test_staying_put_is_no_change(self) -> None:
        one = chunk(1, NOW)
        assert moved(one, ChunkStatus.QUEUED, ChunkStatus.QUEUED) == (one, [])
        assert moved(one) == (one, [])


class TestMonths:
    @given(moments)
    def test_months_follow_each_other_from_two_ago_to_a_year_ahead(self, now: datetime) -> None:
        months = months_around(now)
        assert len(months) == 15
        assert all(later == _after(earlier) for earlier, later in pairwise(months))
        assert months[2] <= now < months[3]
        assert all(month == month.replace(day=1, hour=0, minute=0) for month in months)
        assert all(month.tzinfo is UTC for month in months)

    def test_a_year_ends_with_december(self) -> None:
        assert _after(datetime(2026, 12, 1, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
        assert months_around(NOW)[0] == datetime(2026, 9, 1, tzinfo=UTC)
        assert months_around(NOW)[-1] == datetime(2027, 11, 1, tzinfo=UTC)

    def test_a_month_begins_in_utc_wherever_the_server_is(self) -> None:
        east = datetime(2026, 12, 1, 8, tzinfo=timezone(timedelta(hours=9)))
        assert months_around(east)[2] == datetime(2026, 11, 1, tzinfo=UTC)
