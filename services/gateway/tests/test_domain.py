"""Tokens, file names, ranges, cursors and dispositions."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.questions import Page
from sluice_gateway.domain import (
    MAX_NAME_BYTES,
    ByteRange,
    Unsatisfiable,
    UploadTokens,
    check_filename,
    decode_cursor,
    decode_uuid_cursor,
    disposition,
    encode_cursor,
    is_inline,
    known_batch_id,
    known_recording_id,
    known_upload_id,
    parse_range,
    served_type,
)
from sluice_runtime.errors import NotFound, Rejected

NOW = datetime(2026, 11, 20, 12, 0, 0, 900_000, tzinfo=UTC)
UPLOAD = "upl_00000001"


class TestTokens:
    tokens = UploadTokens("s" * 32)

    def refusal(self, token: str, *, upload_id: str = UPLOAD, now: datetime = NOW) -> str | None:
        try:
            self.tokens.check(upload_id, token, now)
        except Rejected as error:
            return error.code
        return None

    def test_a_token_is_good_until_it_expires(self) -> None:
        token = self.tokens.sign(UPLOAD, NOW + timedelta(minutes=10))
        assert self.refusal(token) is None
        assert self.refusal(token, now=NOW + timedelta(minutes=9, seconds=59)) is None
        assert self.refusal(token, now=NOW + timedelta(minutes=10)) == "upload-token-expired"

    def test_a_token_is_for_one_upload(self) -> None:
        token = self.tokens.sign(UPLOAD, NOW + timedelta(minutes=10))
        assert self.refusal(token, upload_id="upl_00000002") == "upload-token-invalid"

    def test_another_secret_makes_another_token(self) -> None:
        token = UploadTokens("t" * 32).sign(UPLOAD, NOW + timedelta(minutes=10))
        assert self.refusal(token) == "upload-token-invalid"

    def test_a_longer_life_cannot_be_claimed(self) -> None:
        expiry, _, mac = self.tokens.sign(UPLOAD, NOW - timedelta(minutes=1)).partition(".")
        assert self.refusal(f"{int(expiry) + 3600}.{mac}") == "upload-token-invalid"

    @pytest.mark.parametrize("token", ["", ".", "x", "1.", ".x", "1.ä", "٣.x", "9" * 5000 + ".x"])
    def test_nonsense_is_refused(self, token: str) -> None:
        assert self.refusal(token) == "upload-token-invalid"

    @given(st.text())
    def test_nobody_guesses_one(self, token: str) -> None:
        assert self.refusal(token) == "upload-token-invalid"

    def test_it_can_stand_in_a_url_as_it_is(self) -> None:
        assert re.fullmatch(r"\d+\.[A-Za-z0-9_-]{43}", self.tokens.sign(UPLOAD, NOW))


@pytest.mark.parametrize(
    ("known", "prefix"),
    [(known_batch_id, "rb"), (known_recording_id, "rec"), (known_upload_id, "upl")],
)
def test_only_what_could_be_an_id_is_looked_up(known: object, prefix: str) -> None:
    assert callable(known)
    good = f"{prefix}_{'0' * 32}"
    assert known(good) == good
    for bad in (
        "",
        "x",
        good + "\n",
        good + ".x",
        good.upper(),
        f"{prefix}_{'0' * 41}",
        "x" + good,
    ):
        with pytest.raises(NotFound):
            known(bad)


class TestFilenames:
    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("a.wav", "a.wav"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\a b.wav", "a b.wav"),
            (" a.wav ", "a.wav"),
            ("Ärger.wav", unicodedata.normalize("NFC", "Ärger.wav")),
            ("会議 🎧.wav", "会議 🎧.wav"),
            (".profile", ".profile"),
        ],
    )
    def test_the_last_part_is_kept(self, sent: str, kept: str) -> None:
        assert check_filename(sent) == kept

    @pytest.mark.parametrize(
        "sent",
        [
            "",
            " ",
            ".",
            "..",
            "a/",
            "a/..",
            "a\x00.wav",
            "a\r\nSet-Cookie: x.wav",
            "a\u202egpj.exe",
            "a\u2028.wav",
            "a\ud800.wav",
            "\x7f",
            "x" * 256,
            "ä" * 128,
        ],
    )
    def test_what_is_no_name_is_refused(self, sent: str) -> None:
        with pytest.raises(Rejected) as caught:
            check_filename(sent)
        assert caught.value.code == "invalid-filename"

    @given(st.text(max_size=300))
    def test_what_is_kept_is_harmless_and_stays_so(self, sent: str) -> None:
        try:
            name = check_filename(sent)
        except Rejected:
            return
        assert "/" not in name
        assert "\\" not in name
        assert name.strip(". ")
        assert unicodedata.is_normalized("NFC", name)
        assert len(name.encode()) <= MAX_NAME_BYTES
        assert check_filename(name) == name


class TestDispositions:
    @given(st.text(min_size=1, max_size=100).filter(str.isprintable))
    def test_any_name_fits_into_a_header_and_comes_back(self, name: str) -> None:
        header = disposition("audio/wav", name)
        assert header.isascii()
        assert header.isprintable()
        match = re.fullmatch(r"inline; filename=\"([^\"\\]*)\"; filename\*=UTF-8''(\S+)", header)
        assert match
        assert unquote(match.group(2)) == name

    @pytest.mark.parametrize("kind", ["audio/wav", "video/mp4", "image/png", "AUDIO/MPEG"])
    def test_media_is_shown(self, kind: str) -> None:
        assert is_inline(kind)
        assert served_type(kind) == kind

    @pytest.mark.parametrize(
        "kind",
        [
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/javascript",
            "audio/",
            "",
            "audio/wav\r\nx: y",
            "audio/wav; charset=x",
            "application/pdf",
        ],
    )
    def test_what_could_run_in_a_browser_is_downloaded(self, kind: str) -> None:
        assert disposition(kind, "a").startswith("attachment;")
        assert served_type(kind) == "application/octet-stream"


class TestRanges:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ("bytes=0-0", ByteRange(0, 0)),
            ("bytes=0-9", ByteRange(0, 9)),
            ("bytes=5-", ByteRange(5, 9)),
            ("bytes=5-999", ByteRange(5, 9)),
            ("bytes=-3", ByteRange(7, 9)),
            ("bytes=-999", ByteRange(0, 9)),
            (" bytes=1-2 ", ByteRange(1, 2)),
            (None, None),
            ("", None),
            ("bytes=-", None),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("items=0-1", None),
            ("bytes=a-b", None),
            ("bytes=0-1-2", None),
        ],
    )
    def test_one_range_of_ten_bytes(self, header: str | None, expected: ByteRange | None) -> None:
        assert parse_range(header, 10) == expected

    @pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99-98"])
    def test_a_range_behind_the_end(self, header: str) -> None:
        with pytest.raises(Unsatisfiable):
            parse_range(header, 10)

    @pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=0-0"])
    def test_an_empty_object_has_no_range(self, header: str) -> None:
        with pytest.raises(Unsatisfiable):
            parse_range(header, 0)

    @given(st.integers(0, 99), st.none() | st.integers(0, 99), st.integers(1, 50))
    def test_a_range_lies_within_the_object(self, first: int, last: int | None, size: int) -> None:
        first %= size
        found = parse_range(f"bytes={first}-{'' if last is None else last}", size)
        if last is not None and last < first:
            assert found is None
            return
        assert found is not None
        assert found.first == first
        assert found.last == min(size - 1 if last is None else last, size - 1)
        assert found.length == len(range(size)[found.first : found.last + 1])

    @given(st.text(max_size=40), st.integers(0, 50))
    def test_no_header_breaks_it(self, header: str, size: int) -> None:
        try:
            found = parse_range(header, size)
        except Unsatisfiable:
            return
        assert found is None or 0 <= found.first <= found.last < size


class TestCursors:
    @given(
        st.datetimes(timezones=st.just(UTC)),
        st.from_regex(r"rb_[a-z0-9]{8,40}", fullmatch=True),
    )
    def test_a_cursor_comes_back(self, at: datetime, id_: str) -> None:
        page = Page(created_at=at, id=id_)
        word = encode_cursor(page)
        assert word is not None
        assert re.fullmatch(r"[A-Za-z0-9_-]+", word)
        assert decode_cursor(word) == page

    @given(st.datetimes(timezones=st.just(UTC)), st.uuids())
    def test_a_cursor_of_what_has_a_uuid_comes_back(self, at: datetime, id_: UUID) -> None:
        page = Page(created_at=at, id=str(id_))
        assert decode_uuid_cursor(encode_cursor(page)) == decode_cursor(encode_cursor(page)) == page

    def test_a_cursor_of_another_list_is_none_of_a_list_of_uuids(self) -> None:
        word = encode_cursor(Page(created_at=NOW, id="rb_00000001"))
        assert decode_cursor(word)
        with pytest.raises(Rejected) as caught:
            decode_uuid_cursor(word)
        assert caught.value.code == "invalid-cursor"
        assert decode_uuid_cursor(None) is None

    @pytest.mark.parametrize(
        "id_",
        [
            "",
            "x",
            "0" * 36,
            "00000000-0000-0000-0000-00000000000",
            "00000000-0000-0000-0000-0000000000000",
            "{00000000-0000-0000-0000-000000000000}",
            "00000000-0000-0000-0000-00000000000A",
            "00000000000000000000000000000000",
            "rb_00000001\n",
            "rb_00000001' or 1=1",
        ],
    )
    def test_a_cursor_with_what_could_be_no_id_is_refused(self, id_: str) -> None:
        with pytest.raises(Rejected):
            decode_cursor(encode_cursor(Page(created_at=NOW, id=id_)))

    def test_the_end_has_none(self) -> None:
        assert encode_cursor(None) is None
        assert decode_cursor(None) is None

    @given(st.text(max_size=80))
    def test_a_word_of_somebody_else_is_refused(self, word: str) -> None:
        with pytest.raises(Rejected) as caught:
            decode_cursor(word)
        assert caught.value.code == "invalid-cursor"
