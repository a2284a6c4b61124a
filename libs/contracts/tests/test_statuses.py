"""The status tables hold together, and batches follow from their contents."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.statuses import (
    MOVES,
    TERMINAL,
    BatchStatus,
    CallStatus,
    ChunkStatus,
    Kind,
    RecordingStatus,
    RenderStatus,
    UploadStatus,
    derive_batch,
    is_legal,
)

STATUSES = {
    Kind.UPLOAD: UploadStatus,
    Kind.RECORDING: RecordingStatus,
    Kind.BATCH: BatchStatus,
    Kind.CHUNK: ChunkStatus,
    Kind.CALL: CallStatus,
    Kind.RENDER: RenderStatus,
}
FIRST = {
    Kind.UPLOAD: UploadStatus.CREATED,
    Kind.RECORDING: RecordingStatus.QUEUED,
    Kind.BATCH: BatchStatus.OPEN,
    Kind.CHUNK: ChunkStatus.UPLOADED,
    Kind.CALL: CallStatus.UPLOADED,
    Kind.RENDER: RenderStatus.UPLOADED,
}
QUEUED, PROCESSING = RecordingStatus.QUEUED, RecordingStatus.PROCESSING
COMPLETED, FAILED = RecordingStatus.COMPLETED, RecordingStatus.FAILED


@pytest.mark.parametrize("kind", Kind)
def test_the_table_speaks_of_exactly_the_statuses_there_are(kind: Kind) -> None:
    assert set(MOVES[kind]) == set(STATUSES[kind])
    assert set().union(*MOVES[kind].values()) <= set(STATUSES[kind])
    assert TERMINAL[kind] <= set(STATUSES[kind])


@pytest.mark.parametrize("kind", Kind)
def test_every_status_can_be_reached(kind: Kind) -> None:
    reached: set[str] = set()
    ahead: set[str] = {FIRST[kind]}
    while ahead:
        reached |= ahead
        ahead = set().union(*(MOVES[kind][one] for one in ahead)) - reached
    assert reached == set(STATUSES[kind])


def test_what_has_ended_stays_so_except_that_late_bytes_are_kept() -> None:
    going_on = {
        (kind, status): set(MOVES[kind][status])
        for kind in (Kind.UPLOAD, Kind.RECORDING)
        for status in TERMINAL[kind]
        if MOVES[kind][status]
    }
    assert going_on == {(Kind.UPLOAD, UploadStatus.EXPIRED): {UploadStatus.STORED}}


@pytest.mark.parametrize("kind", [Kind.UPLOAD, Kind.RECORDING])
def test_what_has_not_ended_can_go_on(kind: Kind) -> None:
    for status in set(STATUSES[kind]) - TERMINAL[kind]:
        assert MOVES[kind][status], status


@pytest.mark.parametrize("kind", Kind)
def test_staying_put_is_legal_and_unknown_statuses_are_not(kind: Kind) -> None:
    for status in STATUSES[kind]:
        assert is_legal(kind, status, status)
        assert not is_legal(kind, status, "nonsense")
        assert not is_legal(kind, "nonsense", status)


def test_the_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MOVES[Kind.UPLOAD]["created"] = frozenset()  # type: ignore[index]


@pytest.mark.parametrize("current", BatchStatus)
@pytest.mark.parametrize("waiting", [False, True])
def test_the_status_of_a_batch_follows_from_its_contents(
    current: BatchStatus, waiting: bool
) -> None:
    began = current is BatchStatus.PROCESSING
    for size in range(5):
        for present in combinations(RecordingStatus, size):
            if PROCESSING in present:
                expected = BatchStatus.PROCESSING
            elif QUEUED in present:
                expected = BatchStatus.PROCESSING if began else BatchStatus.PENDING
            elif waiting or not present:
                expected = BatchStatus.OPEN
            elif FAILED in present:
                expected = BatchStatus.FAILED
            else:
                expected = BatchStatus.COMPLETED
            assert derive_batch(current, present * 2, waiting) is expected


steps = st.one_of(
    st.tuples(st.just("presign"), st.just(0)),
    st.tuples(st.just("expire"), st.just(0)),
    st.tuples(st.just("register"), st.just(0)),
    st.tuples(st.just("move"), st.integers(0, 20)),
    st.tuples(st.just("fail"), st.integers(0, 20)),
)


@given(st.lists(steps, max_size=40))
def test_whatever_happens_in_a_batch_its_next_status_is_a_legal_move(
    happened: list[tuple[str, int]],
) -> None:
    """Presigning, expiry, registering and progress, in any order."""
    status, waiting = BatchStatus.OPEN, 0
    recordings: list[RecordingStatus] = []
    for what, index in happened:
        if what == "presign":
            waiting += 1
        elif what == "expire" and waiting:
            waiting -= 1
        elif what == "register" and waiting:
            waiting -= 1
            recordings.append(QUEUED)
        elif recordings:
            place = index % len(recordings)
            target = (
                FAILED
                if what == "fail"
                else {QUEUED: PROCESSING, PROCESSING: COMPLETED}.get(
                    recordings[place], recordings[place]
                )
            )
            if is_legal(Kind.RECORDING, recordings[place], target):
                recordings[place] = target
        derived = derive_batch(status, recordings, waiting > 0)
        assert is_legal(Kind.BATCH, status, derived), (status, derived)
        status = derived
