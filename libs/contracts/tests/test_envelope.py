"""The envelope survives the road through headers, whatever text it carries."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluice_contracts.envelope import (
    SCHEMA_ROOT,
    Envelope,
    decode_attribute,
    encode_attribute,
    wrap,
)
from sluice_contracts.facts import ObjectDeleted, StatusChanged
from sluice_contracts.statuses import Kind

MOMENT = datetime(2026, 11, 20, 12, 30, 0, 123456, tzinfo=UTC)
HEADER_VALUE = re.compile(r"[\x21\x23-\x7e]*")  # what NATS and HTTP carry unharmed

texts = st.text(max_size=60)
envelopes = st.builds(
    Envelope,
    id=texts.filter(bool),
    source=texts,
    type=texts,
    subject=texts,
    time=st.datetimes(timezones=st.just(UTC)),
    dataschema=st.none() | texts,
    tenant=st.none() | texts,
    correlationid=st.none() | texts,
    causationid=st.none() | texts,
    traceparent=st.none() | texts,
    sequence=st.none() | st.integers(1, 2**63 - 1),
)


def deleted() -> ObjectDeleted:
    return ObjectDeleted(tenant="dev", upload_id="upl_00000001", key="a/b")


@given(texts)
@example('50% "of" all')
@example('"quoted"')
@example("line\r\nbreak")
@example("Grüße, 世界 🎧")
@example("%41")
@example("\\")
def test_any_text_comes_back_from_a_header(text: str) -> None:
    encoded = encode_attribute(text)
    assert HEADER_VALUE.fullmatch(encoded)
    assert decode_attribute(encoded) == text


def test_printable_text_stays_readable() -> None:
    assert encode_attribute("/sluice/catalog?a=b&c='d'") == "/sluice/catalog?a=b&c='d'"
    assert encode_attribute("a b") == "a%20b"


def test_the_quoted_form_of_older_senders_is_understood() -> None:
    assert decode_attribute(r'"a \"b\" \\ c"') == r'a "b" \ c'


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_attribute("%ff")


@given(envelopes)
def test_an_envelope_comes_back_from_its_headers(envelope: Envelope) -> None:
    carried = {name: value for name, value in envelope.headers().items() if name.startswith("ce-")}
    assert all(HEADER_VALUE.fullmatch(value) for value in carried.values())
    assert Envelope.from_headers(carried) == envelope


def test_the_case_of_header_names_does_not_matter() -> None:
    envelope = wrap(deleted(), event_id="e1", source="storage", at=MOMENT).envelope
    shouted = {name.upper(): value for name, value in envelope.headers().items()}
    assert Envelope.from_headers(shouted) == envelope


def test_attributes_we_do_not_know_are_ignored() -> None:
    envelope = wrap(deleted(), event_id="e1", source="storage", at=MOMENT).envelope
    assert Envelope.from_headers({**envelope.headers(), "ce-partitionkey": "7"}) == envelope


@pytest.mark.parametrize("missing", ["ce-id", "ce-source", "ce-type", "ce-subject", "ce-time"])
def test_a_required_attribute_must_be_there(missing: str) -> None:
    headers = wrap(deleted(), event_id="e1", source="storage", at=MOMENT).envelope.headers()
    del headers[missing]
    with pytest.raises(ValidationError):
        Envelope.from_headers(headers)


def test_no_headers_are_no_envelope() -> None:
    with pytest.raises(ValidationError):
        Envelope.from_headers(None)


def test_times_are_written_in_utc() -> None:
    local = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    headers = wrap(deleted(), event_id="e1", source="storage", at=local).envelope.headers()
    assert headers["ce-time"] == "2026-11-20T12:30:00.123456Z"


def test_a_fact_is_wrapped_with_its_names() -> None:
    event = wrap(
        deleted(),
        event_id="e1",
        source="storage",
        at=MOMENT,
        correlation_id="c1",
        causation_id="e0",
        traceparent="00-1",
    )
    headers = event.envelope.headers()
    assert headers == {
        "ce-specversion": "1.0",
        "ce-id": "e1",
        "ce-source": "/sluice/storage",
        "ce-type": "org.sluice.object.deleted.v1",
        "ce-subject": "upl_00000001",
        "ce-time": "2026-11-20T12:30:00.123456Z",
        "ce-dataschema": f"{SCHEMA_ROOT}/fact.object.deleted.v1.json",
        "ce-tenant": "dev",
        "ce-correlationid": "c1",
        "ce-causationid": "e0",
        "ce-traceparent": "00-1",
        "content-type": "application/json",
        "Nats-Msg-Id": "e1",
        "traceparent": "00-1",
    }
    assert json.loads(event.body()) == {
        "tenant": "dev",
        "upload_id": "upl_00000001",
        "key": "a/b",
    }


@pytest.mark.parametrize("kind", Kind)
def test_a_status_change_has_the_type_of_its_kind_and_one_schema(kind: Kind) -> None:
    fact = StatusChanged(
        tenant="dev",
        kind=kind,
        id="x_1",
        sequence=1,
        previous=None,
        status="open",
        actor="a",
        changed_at=MOMENT,
    )
    envelope = wrap(fact, event_id="e1", source="catalog", at=MOMENT).envelope
    assert envelope.type == f"org.sluice.{kind}.status_changed.v1"
    assert envelope.dataschema == f"{SCHEMA_ROOT}/fact.status_changed.v1.json"
