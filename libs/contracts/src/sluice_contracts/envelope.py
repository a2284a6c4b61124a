"""The CloudEvents 1.0 envelope and its NATS codec (binary mode).

The body stays the plain fact; the attributes travel as `ce-*` headers, so that routing,
tracing and deduplication never parse a body.

Source: CloudEvents NATS protocol binding 1.0.3 (working draft), section 3.1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar
from urllib.parse import quote, unquote

from pydantic import AwareDatetime

from sluice_contracts.base import Contract
from sluice_contracts.facts import Fact, StatusChanged

F = TypeVar("F", bound=Fact)

CONTENT_TYPE = "application/json"
SCHEMA_ROOT = "https://sluice.dev/schemas"

# Printable ASCII without space, double quote and percent sign stays as it is.
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
# Nearly every attribute is made of these alone, which is quicker found out than quoted.
_PLAIN = re.compile(f"[{re.escape(_SAFE)}]*")
_QUOTED_PAIR = re.compile(r"\\(.)")


def encode_attribute(value: object) -> str:
    """An attribute as a header value, percent-encoded where the binding asks for it."""
    if isinstance(value, datetime):
        value = value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    text = str(value)
    return text if _PLAIN.fullmatch(text) else quote(text, safe=_SAFE)


def decode_attribute(value: str) -> str:
    """The attribute a header value stands for; also takes the quoted form older senders use."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _QUOTED_PAIR.sub(r"\1", value[1:-1])
    return unquote(value, errors="strict")


class Envelope(Contract):
    """The attributes of one event, without its data.

    `id` is the key of every deduplication: message id, outbox row and inbox row.
    """

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: AwareDatetime
    dataschema: str | None = None
    tenant: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None
    sequence: int | None = None

    def headers(self) -> dict[str, str]:
        """The NATS headers that carry this envelope."""
        attributes = self.model_dump(exclude_none=True)
        headers = {f"ce-{name}": encode_attribute(value) for name, value in attributes.items()}
        headers["content-type"] = CONTENT_TYPE
        headers["Nats-Msg-Id"] = self.id
        if self.traceparent:
            headers["traceparent"] = self.traceparent
        return headers

    @classmethod
    def from_headers(cls, headers: Mapping[str, str] | None) -> "Envelope":
        """The envelope that `headers` carry; header names match in any case.

        Raises:
            pydantic.ValidationError: a required attribute is missing or malformed.
        """
        attributes = {
            name.lower()[3:]: decode_attribute(value)
            for name, value in (headers or {}).items()
            if name.lower().startswith("ce-")
        }
        return cls.model_validate(attributes)


@dataclass(frozen=True)
class Event(Generic[F]):
    """A fact in its envelope."""

    envelope: Envelope
    data: F

    def body(self) -> bytes:
        """The fact as JSON."""
        return self.data.model_dump_json().encode()


def wrap(
    fact: F,
    *,
    event_id: str,
    source: str,
    at: datetime,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    traceparent: str | None = None,
) -> Event[F]:
    """`fact` in an envelope; `source` is the service that says it."""
    kind = fact.kind if isinstance(fact, StatusChanged) else None
    type_name = StatusChanged.type_of(kind) if kind else fact.type_name()
    schema = "status_changed" if kind else f"{fact.ENTITY}.{fact.EVENT}"
    envelope = Envelope(
        id=event_id,
        source=f"/sluice/{source}",
        type=type_name,
        subject=fact.aggregate_id(),
        time=at,
        dataschema=f"{SCHEMA_ROOT}/fact.{schema}.v1.json",
        tenant=fact.tenant,
        correlationid=correlation_id,
        causationid=causation_id,
        traceparent=traceparent,
    )
    return Event(envelope=envelope, data=fact)
