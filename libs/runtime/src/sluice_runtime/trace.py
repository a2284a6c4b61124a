"""The thread that runs through one request, across HTTP, NATS headers and outbox rows."""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import structlog

from sluice_contracts.envelope import Envelope

CORRELATION_HEADER = "sluice-correlation-id"
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_CORRELATION = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True)
class Trace:
    """Who asked for this (`correlation_id`), what led to it, and the W3C trace context."""

    correlation_id: str
    traceparent: str
    causation_id: str | None = None

    def headers(self) -> dict[str, str]:
        """This trace as headers of a question."""
        return {CORRELATION_HEADER: self.correlation_id, "traceparent": self.traceparent}


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def new_trace(headers: Mapping[str, str] | None = None, causation_id: str | None = None) -> Trace:
    """The trace that `headers` carry, or a fresh one; malformed values are replaced."""
    lowered = {name.lower(): value for name, value in (headers or {}).items()}
    traceparent = lowered.get("traceparent", "")
    if not _TRACEPARENT.fullmatch(traceparent):
        traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    correlation = lowered.get(CORRELATION_HEADER) or lowered.get("ce-correlationid", "")
    if not _CORRELATION.fullmatch(correlation):
        correlation = traceparent[3:35]
    return Trace(correlation, traceparent, causation_id)


def trace_of(envelope: Envelope) -> Trace:
    """The trace an event belongs to; what follows from it names it as its cause."""
    carried = {
        CORRELATION_HEADER: envelope.correlationid or "",
        "traceparent": envelope.traceparent or "",
    }
    return new_trace(carried, causation_id=envelope.id)


def current_trace() -> Trace:
    """The trace of what is being done right now."""
    return _current.get() or new_trace()


@contextmanager
def tracing(trace: Trace) -> Iterator[None]:
    """Everything inside belongs to `trace`; its id is on every log line."""
    token = _current.set(trace)
    try:
        with structlog.contextvars.bound_contextvars(correlation_id=trace.correlation_id):
            yield
    finally:
        _current.reset(token)
