"""What all contract models have in common."""

import re
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sluice_contracts.api import BODIES, MAX_ITEMS, PresignRequest, RecordingsRequest
from sluice_contracts.base import (
    BatchId,
    Body,
    ContentType,
    LenientBody,
    RecordingId,
    Sha256,
    Token,
    UploadId,
)
from sluice_contracts.facts import FACTS, ReplySubject
from sluice_contracts.questions import QUESTIONS
from sluice_contracts.topology import reply_subject

ALL: tuple[Any, ...] = (*FACTS, *QUESTIONS, *(one.ANSWER for one in QUESTIONS), *BODIES)


def accepts(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.__name__)
def test_models_are_frozen_and_only_requests_are_strict(model: Any) -> None:
    assert model.model_config["frozen"] is True
    strict = issubclass(model, Body) and not issubclass(model, LenientBody)
    expected = "forbid" if strict else "ignore"
    assert model.model_config["extra"] == expected


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        (BatchId, "rb_" + "0" * 32),
        (RecordingId, "rec_" + "a" * 8),
        (UploadId, "upl_" + "z" * 40),
        (Sha256, "0f" * 32),
        (Token, "dev-1_x"),
        (ReplySubject, reply_subject("0" * 32, "upl_" + "0" * 32)),
    ],
)
def test_ids_take_what_we_make_and_no_subject_trickery(kind: Any, good: str) -> None:
    assert accepts(kind, good)
    for bad in ("", good + ".x", good + " ", good + "\n", "*", ">", good.upper() + "!", "\x00"):
        assert not accepts(kind, bad), bad


@pytest.mark.parametrize("good", ["audio/wav", "application/vnd.api+json", "AUDIO/x-a"])
def test_a_content_type_is_two_words_without_parameters(good: str) -> None:
    assert accepts(ContentType, good)
    for bad in ("", "audio", "audio/", good + "; a=b", good + "\r\nx: y", good + "/x", "a/" * 99):
        assert not accepts(ContentType, bad), bad


@pytest.mark.parametrize("sneaky", ["sluice.v1.dev.x", "sluice.live.v1.reply.a.b.c", "$SYS.x"])
def test_a_fact_cannot_make_us_answer_anywhere_else(sneaky: str) -> None:
    assert not accepts(ReplySubject, sneaky)


def test_a_request_takes_at_most_ten_items_and_no_misspelt_field() -> None:
    item = {"filename": "a.wav", "contentType": "audio/wav"}
    assert accepts(PresignRequest, {"items": [item] * MAX_ITEMS})
    assert not accepts(PresignRequest, {"items": [item] * (MAX_ITEMS + 1)})
    assert not accepts(PresignRequest, {"items": []})
    assert not accepts(PresignRequest, {"items": [item], "batchId": "rb_1"})
    assert not accepts(PresignRequest, {"items": [{**item, "content_type": "a/b"}]})


@pytest.mark.parametrize("key", ["1234567", "x" * 256])
def test_an_idempotency_key_has_8_to_255_characters(key: str) -> None:
    item = {"client_item_id": "a", "blob_ref": "blob://s3/b/k", "data": {}}
    assert accepts(RecordingsRequest, {"idempotency_key": "12345678", "items": [item]})
    assert not accepts(RecordingsRequest, {"idempotency_key": key, "items": [item]})


def test_every_id_can_stand_in_a_subject() -> None:
    token = re.compile(r"[a-z0-9_-]{1,64}")
    for prefix in ("rb", "rec", "upl"):
        assert token.fullmatch(f"{prefix}_{'0' * 40}")
