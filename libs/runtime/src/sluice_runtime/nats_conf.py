"""The NATS server configuration: one user a service, each with the least it needs.

Generated from the topology, so that a subject, stream or consumer name cannot drift from its
permission. `*` matches only a whole token: a pattern such as `catalog-*` would grant nothing.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sluice_contracts.facts import StatusChanged
from sluice_contracts.questions import QUESTIONS, LinkObject, Question, ReportStatus
from sluice_contracts.topology import (
    AUTH_CHANGED,
    CONSUMERS,
    DEAD_LETTERS,
    EVENTS,
    LIVE_EVENTS,
    PUBLISHERS,
    TASK_SUBJECTS,
    TASKS,
    dead_letter_subject,
)

# Who asks whom. Everything else about permissions follows from the topology.
_ASKS = {
    "gateway": ("catalog", "storage", "notifier"),
    "storage": ("catalog",),
    "operator": ("catalog", "storage"),
}
# Who may put only these questions.
_ASKS_ONLY: Mapping[str, tuple[type[Question[Any]], ...]] = {"inspector": (LinkObject,)}
# Who answers nobody.
_ANSWERS_NOT = ("gateway", "inspector")
# What workers outside Sluice may do besides taking their tasks.
_WORKER = (ReportStatus,)
_HINTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "gateway": {"publish": (), "subscribe": ("sluice.live.v1.>",)},
    "storage": {"publish": ("sluice.live.v1.reply.>",), "subscribe": ()},
    "inspector": {"publish": (), "subscribe": ()},
    "catalog": {"publish": ("sluice.live.v1.reply.>", AUTH_CHANGED), "subscribe": ()},
    "notifier": {"publish": (LIVE_EVENTS,), "subscribe": ()},
}
# The notifier reads the stream in order from its own cursor, through a consumer of its own making.
_TAIL = (
    f"$JS.API.CONSUMER.CREATE.{EVENTS.name}.>",
    f"$JS.API.CONSUMER.DELETE.{EVENTS.name}.*",
    f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS.name}.*",
    f"$JS.API.CONSUMER.INFO.{EVENTS.name}.*",
    f"$JS.API.DIRECT.GET.{EVENTS.name}",
    f"$JS.API.DIRECT.GET.{EVENTS.name}.>",
    f"dlq.{EVENTS.name}.>",
)
# It also sets aside the tasks that workers gave up, and takes them off their queue.
_GIVEN_UP = (
    f"$JS.API.DIRECT.GET.{TASKS.name}",
    f"$JS.API.DIRECT.GET.{TASKS.name}.>",
    f"$JS.API.STREAM.MSG.DELETE.{TASKS.name}",
    f"dlq.{TASKS.name}.>",
)
# `*` cannot stand for a part of a name, so what belongs to others is taken out again.
_NOT_THE_TAIL = tuple(
    f"$JS.API.CONSUMER.{verb}.{one.stream.name}.{one.name}{rest}"
    for one in CONSUMERS
    if one.service != "notifier"
    for verb, rest in (("CREATE", ""), ("CREATE", ".>"), ("DELETE", ""), ("MSG.NEXT", ""))
)
# The sweep spares bytes whose news was set aside.
_SWEEP = (f"$JS.API.STREAM.MSG.GET.{DEAD_LETTERS.name}",)
_OPERATOR = (
    f"$JS.API.STREAM.INFO.{DEAD_LETTERS.name}",
    f"$JS.API.STREAM.MSG.GET.{DEAD_LETTERS.name}",
    f"$JS.API.STREAM.MSG.DELETE.{DEAD_LETTERS.name}",
    "sluice.v1.>",
    *TASKS.subjects,
)
SERVICES = tuple(PUBLISHERS)
USERS = ("topology", *SERVICES, "operator", "subscriber", "worker")


def _allow(subjects: Iterable[str], but: Iterable[str] = ()) -> str:
    allowed, denied = _quoted(subjects), _quoted(but)
    if not allowed:
        return '{ deny: [">"] }'
    return f"{{ allow: [{allowed}]{f', deny: [{denied}]' if denied else ''} }}"


def _quoted(subjects: Iterable[str]) -> str:
    return ", ".join(f'"{subject}"' for subject in sorted(set(subjects)))


def _service_publishes(service: str) -> list[str]:
    subjects = [fact.pattern() for fact in PUBLISHERS[service]]
    subjects += [question.subject() for question in QUESTIONS if _may_ask(service, question)]
    subjects += _HINTS[service]["publish"]
    subjects.append(f"$JS.API.STREAM.INFO.{EVENTS.name}")
    return subjects + _consumes(service)


def _consumes(user: str) -> list[str]:
    """What it takes to read the consumers of `user`."""
    subjects = []
    for one in (consumer for consumer in CONSUMERS if consumer.service == user):
        name = f"{one.stream.name}.{one.name}"
        subjects += [
            f"$JS.API.CONSUMER.INFO.{name}",
            f"$JS.API.CONSUMER.MSG.NEXT.{name}",
            f"$JS.ACK.{name}.>",
            f"$JS.ACK.*.*.{name}.>",
            dead_letter_subject(one.stream.name, one.name),
        ]
    return subjects


def _may_ask(user: str, question: type[Question[Any]]) -> bool:
    return question.SERVICE in _ASKS.get(user, ()) or question in _ASKS_ONLY.get(user, ())


def _service_permissions(service: str) -> tuple[list[str], list[str]]:
    publish = _service_publishes(service)
    if service == "notifier":
        publish += [*_TAIL, *_GIVEN_UP]
    if service == "storage":
        publish += _SWEEP
    if service == "catalog":
        publish += [f"$JS.API.DIRECT.GET.{EVENTS.name}.>", *TASK_SUBJECTS]
    subscribe = [f"_INBOX_{service}.>", *_HINTS[service]["subscribe"]]
    if service not in _ANSWERS_NOT:
        subscribe.append(f"sluice.rpc.v1.{service}.> {service}")
    return publish, subscribe


def permissions(user: str) -> tuple[list[str], list[str]]:
    """The subjects `user` may publish and subscribe to."""
    if user == "topology":
        return ["$JS.API.>"], ["_INBOX_topology.>"]
    if user == "operator":
        asks = [question.subject() for question in QUESTIONS if _may_ask(user, question)]
        return [*_OPERATOR, *asks], ["_INBOX_operator.>"]
    if user == "subscriber":
        status = StatusChanged.pattern()
        return [], [LIVE_EVENTS, status, "_INBOX_subscriber.>"]
    if user == "worker":
        reports = [question.subject() for question in _WORKER]
        return [*_consumes(user), *reports], ["_INBOX_worker.>"]
    return _service_permissions(user)


def denied(user: str) -> tuple[str, ...]:
    """What `user` may not publish although a pattern of its permissions covers it."""
    return _NOT_THE_TAIL if user == "notifier" else ()


def _user(name: str, password: str) -> str:
    publish, subscribe = permissions(name)
    answers = name in SERVICES and name not in _ANSWERS_NOT
    responses = '\n          allow_responses { max: 1, expires: "60s" }' if answers else ""
    return f"""      {{ user: {name}, password: {password},
        permissions {{
          publish {_allow(publish, but=denied(name))}
          subscribe {_allow(subscribe)}{responses}
        }} }}"""


def render(
    passwords: Mapping[str, str],
    *,
    port: int,
    store_dir: Path,
    host: str = "127.0.0.1",
    monitor_port: int | None = None,
) -> str:
    """The configuration of one server.

    Args:
        passwords: one for each of `USERS`, either quoted text or a `$VARIABLE`.
        monitor_port: where `/healthz` answers, on the loopback address; off when None.
    """
    users = "\n".join(_user(name, passwords[name]) for name in USERS)
    monitor = f'http: "127.0.0.1:{monitor_port}"\n' if monitor_port else ""
    return f"""server_name: sluice
listen: "{host}:{port}"
{monitor}max_payload: 8MB
max_connections: 1000
write_deadline: "10s"
ping_interval: "20s"
ping_max: 2
lame_duck_duration: "30s"
lame_duck_grace_period: "5s"

jetstream {{
  store_dir: "{store_dir}"
  max_file_store: 20GB
  # fsync before each PubAck: an acknowledged upload must outlive a power cut.
  sync_interval: always
}}

accounts {{
  SLUICE {{
    jetstream: enabled
    users = [
{users}
    ]
  }}
}}
"""
