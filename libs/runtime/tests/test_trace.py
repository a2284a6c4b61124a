"""The trace of a request: taken over when it is well formed, made anew when it is not."""

import re

import pytest
import structlog

from sluice_runtime.trace import CORRELATION_HEADER, Trace, current_trace, new_trace, tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_trace_is_taken_over_whatever_the_case_of_its_headers() -> None:
    trace = new_trace({"TraceParent": PARENT, "Sluice-Correlation-Id": "order-7"}, "e1")
    assert trace == Trace("order-7", PARENT, "e1")


def test_a_fact_carries_the_correlation_of_its_cause() -> None:
    assert new_trace({"ce-correlationid": "order-7"}).correlation_id == "order-7"


def test_without_a_correlation_the_trace_id_serves() -> None:
    assert new_trace({"traceparent": PARENT}).correlation_id == PARENT[3:35]


@pytest.mark.parametrize(
    "malformed",
    ["", "x", PARENT + "-1", PARENT.upper(), "01" + PARENT[2:], PARENT + "\n", "00-é" + PARENT],
)
def test_a_malformed_trace_is_replaced(malformed: str) -> None:
    trace = new_trace({"traceparent": malformed})
    assert trace.traceparent != malformed
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace.traceparent)


@pytest.mark.parametrize("malformed", ["", "a b", "a\r\nx: y", "ä", "x" * 65, "<script>"])
def test_a_malformed_correlation_is_replaced(malformed: str) -> None:
    trace = new_trace({CORRELATION_HEADER: malformed, "traceparent": PARENT})
    assert trace.correlation_id == PARENT[3:35]


def test_fresh_traces_differ() -> None:
    assert new_trace() != new_trace(None)


def test_a_trace_goes_out_as_it_came_in() -> None:
    trace = Trace("order-7", PARENT)
    assert new_trace(trace.headers()) == trace


def test_everything_inside_belongs_to_the_trace_and_nothing_after_it() -> None:
    outer, inner = Trace("outer", PARENT), Trace("inner", PARENT)
    with tracing(outer):
        with tracing(inner):
            assert current_trace() == inner
            assert structlog.contextvars.get_contextvars() == {"correlation_id": "inner"}
        assert current_trace() == outer
    assert current_trace() not in (outer, inner)
    assert structlog.contextvars.get_contextvars() == {}
