"""JSON from strangers: what is valid means what it says, everything doubtful is refused."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice_gateway.strict_json import MAX_DEPTH, MalformedJson, parse

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(-1e30, 1e30) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_what_is_valid_is_read_as_everybody_reads_it(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert parse(body) == json.loads(body) == value


@given(st.binary(max_size=60))
@example(b"\xff\xfe[\x00]\x00")
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    try:
        found = parse(body)
    except MalformedJson as error:
        assert error.code == "malformed-json"  # noqa: PT017 - either way is fine
    else:
        assert found == json.loads(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b'{"a": 1,}', "not valid JSON"),
        (b'"\xff"', "not valid JSON"),
        (b'"\x01"', "not valid JSON"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"x": {"a": 1, "\\u0061": 2}}', "stands twice"),
        (b"NaN", "not a JSON number"),
        (b"[-Infinity]", "not a JSON number"),
        (b"1e999", "out of range"),
        (b"-1e999", "out of range"),
        (b"1" * 5000, "too long"),
        (b'"a\\u0000b"', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'"\\ud800"', "surrogate"),
        (b'["\\udc00\\ud800"]', "surrogate"),
        ("[]".encode("utf-16"), "not valid JSON"),
        ("{}".encode("utf-32-le"), "not valid JSON"),
    ],
)
def test_what_is_doubtful_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(MalformedJson, match=said):
        parse(body)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert parse(b'"\\ud83c\\udfa7"') == "🎧"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_ends_somewhere(opening: bytes, closing: bytes) -> None:
    def nested(depth: int) -> bytes:
        return opening * depth + b"1" + closing * depth

    parse(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(MalformedJson, match="deeper"):
            parse(nested(depth))
    with pytest.raises(MalformedJson, match="deeper"):
        parse(opening * 1_000_000)


def test_brackets_in_text_are_no_nesting() -> None:
    text = '[{"\\"' * 1000
    assert parse(json.dumps({"a": text}).encode()) == {"a": text}


def test_an_error_does_not_repeat_a_long_key() -> None:
    key = b'"' + b"k" * 10_000 + b'"'
    with pytest.raises(MalformedJson) as caught:
        parse(b"{" + key + b":1," + key + b":2}")
    assert len(str(caught.value)) < 200
