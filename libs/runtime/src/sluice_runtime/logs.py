"""Logs: one JSON object a line on standard error, scrubbed of everything secret."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRET_NAMES = re.compile(
    r"(?i)(password|secret|token|authorization|api[-_]?key|cookie|signature|credential)"
)
# `?key=…` and friends in URLs, signatures of S3 links, and `user:password@host`.
_SECRET_VALUES = (
    re.compile(
        r"(?i)([?&](?:key|token|access_token|x-amz-signature|x-amz-credential"
        r"|x-amz-security-token)=)[^&\s\"']+"
    ),
    re.compile(r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}"),
    # The link of a render: whoever has it may play it.
    re.compile(r"(/r/[0-9a-f-]{36}/)[A-Za-z0-9_-]+"),
    re.compile(r"(://(?:[^:/@\s]*:)?)[^:@/\s]+(?=@)"),
)
_SAFE_NAMES = frozenset({"token_kind"})


def scrub_text(text: str) -> str:
    """`text` with every secret it carries replaced by `***`."""
    for pattern in _SECRET_VALUES:
        text = pattern.sub(r"\1***", text)
    return text


def scrub(value: Any, name: str = "") -> Any:
    """`value` without secrets; `name` is the field it stands in."""
    if name and name not in _SAFE_NAMES and _SECRET_NAMES.search(name):
        return "***"
    if isinstance(value, str):
        return scrub_text(value)
    if isinstance(value, Mapping):
        return {key: scrub(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return scrub_text(repr(value))


def _scrub_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: scrub(item, key) for key, item in event.items()}


def set_up_logs(service: str, level: str) -> None:
    """Send structlog and the standard library's loggers through one JSON pipeline."""

    def name_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {"service": service, **event}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        name_service,
        _scrub_event,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Chatty neighbours: a line a message or a request helps nobody.
    for noisy in ("faststream", "uvicorn.access", "httpx", "urllib3", "alembic"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
