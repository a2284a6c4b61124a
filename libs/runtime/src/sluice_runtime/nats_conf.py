"""The NATS server configuration: one user a service, each with the least it needs.

Generated from the topology, so that a subject, stream or consumer name cannot drift from its
permission. `*` matches only a whole token: a pattern such as `catalog-*` would grant nothing.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from sluice_contracts.facts import StatusChanged
from sluice_contracts.questions import QUESTIONS
from sluice_contracts.topology import (
    AUTH_CHANGED,
    CONSUMERS,
    DEAD_LETTERS,
    EVENTS,
    LIVE_EVENTS,
    PUBLISHERS,
    dead_letter_subject,
)

# Who asks whom. Everything else about permissions follows from the topology.
_ASKS = {
    "gateway": ("catalog", "storage", "notifier"),
    "storage": ("catalog",),
    "operator": ("catalog", "storage"),
}
_HINTS = {
    "gateway": {"publish": (), "subscribe": ("sluice.live.v1.>",)},
    "storage": {"publish": ("sluice.live.v1.reply.>",), "subscribe": ()},
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
# `*` cannot stand for a part of a name, so what belongs to others is taken out again.
_NOT_THE_TAIL = tuple(
    f"$JS.API.CONSUMER.{verb}.{one.stream.name}.{one.name}{rest}"
    for one in CONSUMERS
    if one.service != "notifier"
    for verb, rest in (("CREATE", ""), ("CREATE", ".>"), ("DELETE", ""), ("MSG.NEXT", ""))
)
_OPERATOR = (
    f"$JS.API.STREAM.INFO.{DEAD_LETTERS.name}",
    f"$JS.API.STREAM.MSG.GET.{DEAD_LETTERS.name}",
    f"$JS.API.STREAM.MSG.DELETE.{DEAD_LETTERS.name}",
    "sluice.v1.>",
)
SERVICES = tuple(PUBLISHERS)
USERS = ("topology", *SERVICES, "operator", "subscriber")


def _allow(subjects: Iterable[str], but: Iterable[str] = ()) -> str:
    allowed, denied = _quoted(subjects), _quoted(but)
    if not allowed:
        return '{ deny: [">"] }'
    return f"{{ allow: [{allowed}]{f', deny: [{denied}]' if denied else ''} }}"


def _quoted(subjects: Iterable[str]) -> str:
    return ", ".join(f'"{subject}"' for subject in sorted(set(subjects)))


def _service_publishes(service: str) -> list[str]:
    subjects = [fact.pattern() for fact in PUBLISHERS[service]]
    subjects += [
        question.subject() for question in QUESTIONS if _may_ask(service, question.SERVICE)
    ]
    subjects += _HINTS[service]["publish"]
    subjects.append(f"$JS.API.STREAM.INFO.{EVENTS.name}")
    for one in (consumer for consumer in CONSUMERS if consumer.service == service):
        name = f"{one.stream.name}.{one.name}"
        subjects += [
            f"$JS.API.CONSUMER.INFO.{name}",
            f"$JS.API.CONSUMER.MSG.NEXT.{name}",
            f"$JS.ACK.{name}.>",
            f"$JS.ACK.*.*.{name}.>",
            dead_letter_subject(one.stream.name, one.name),
        ]
    return subjects


def _may_ask(user: str, service: str) -> bool:
    return service in _ASKS.get(user, ())


def _service_permissions(service: str) -> tuple[list[str], list[str]]:
    publish = _service_publishes(service)
    if service == "notifier":
        publish += _TAIL
    if service == "catalog":
        publish.append(f"$JS.API.DIRECT.GET.{EVENTS.name}.>")
    subscribe = [f"_INBOX_{service}.>", *_HINTS[service]["subscribe"]]
    if service != "gateway":
        subscribe.append(f"sluice.rpc.v1.{service}.> {service}")
    return publish, subscribe


def permissions(user: str) -> tuple[list[str], list[str]]:
    """The subjects `user` may publish and subscribe to."""
    if user == "topology":
        return ["$JS.API.>"], ["_INBOX_topology.>"]
    if user == "operator":
        asks = [question.subject() for question in QUESTIONS if _may_ask(user, question.SERVICE)]
        return [*_OPERATOR, *asks], ["_INBOX_operator.>"]
    if user == "subscriber":
        status = StatusChanged.pattern()
        return [], [LIVE_EVENTS, status, "_INBOX_subscriber.>"]
    return _service_permissions(user)


def denied(user: str) -> tuple[str, ...]:
    """What `user` may not publish although a pattern of its permissions covers it."""
    return _NOT_THE_TAIL if user == "notifier" else ()


def _user(name: str, password: str) -> str:
    publish, subscribe = permissions(name)
    responses = '\n          allow_responses { max: 1, expires: "10s" }' if name in SERVICES else ""
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
