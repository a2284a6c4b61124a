"""Permissions on NATS: each service says only what is its to say, and hears only its own."""

import fnmatch
from pathlib import Path

import pytest

from sluice_contracts.questions import QUESTIONS, LinkObject, ReportStatus
from sluice_contracts.topology import CONSUMERS, EVENTS, PUBLISHERS, TASK_SUBJECTS, TASKS
from sluice_runtime.nats_conf import SERVICES, USERS, permissions, render

NOT_SERVICES = tuple(user for user in USERS if user not in SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_publishes_its_facts_and_no_others(service: str) -> None:
    publish, _ = permissions(service)
    facts = {subject for subject in publish if subject.startswith("sluice.v1.")}
    assert facts == {fact.pattern() for fact in PUBLISHERS[service]}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_asks_others_and_answers_only_for_itself(service: str) -> None:
    publish, subscribe = permissions(service)
    asked = {subject for subject in publish if subject.startswith("sluice.rpc.")}
    assert asked <= {question.subject() for question in QUESTIONS}
    assert not {subject for subject in asked if f".{service}." in subject}
    answered = [subject for subject in subscribe if subject.startswith("sluice.rpc.")]
    silent = service in ("gateway", "inspector")
    assert answered == ([] if silent else [f"sluice.rpc.v1.{service}.> {service}"])


def test_the_inspector_may_ask_for_a_link_and_for_nothing_else() -> None:
    publish, _ = permissions("inspector")
    asked = [subject for subject in publish if subject.startswith("sluice.rpc.")]
    assert asked == [LinkObject.subject()]


@pytest.mark.parametrize("user", USERS)
def test_nobody_reads_the_inbox_of_another(user: str) -> None:
    _, subscribe = permissions(user)
    inboxes = [subject for subject in subscribe if subject.startswith("_INBOX")]
    assert inboxes == [f"_INBOX_{user}.>"]
    assert ">" not in subscribe
    assert not [subject for subject in subscribe if subject.startswith(("$", "_INBOX."))]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_uses_its_consumers_and_changes_no_stream(service: str) -> None:
    publish, _ = permissions(service)
    for consumer in CONSUMERS:
        fetch = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream.name}.{consumer.name}"
        assert (fetch in publish) is (consumer.service == service)
    for forbidden in (
        f"$JS.API.STREAM.CREATE.{EVENTS.name}",
        f"$JS.API.STREAM.DELETE.{EVENTS.name}",
        f"$JS.API.STREAM.PURGE.{EVENTS.name}",
        f"$JS.API.STREAM.MSG.DELETE.{EVENTS.name}",
    ):
        assert not any(fnmatch.fnmatch(forbidden, one.replace(">", "*")) for one in publish)


def test_only_the_notifier_may_make_a_consumer_and_only_on_the_facts() -> None:
    for service in SERVICES:
        publish, _ = permissions(service)
        made = [subject for subject in publish if ".CONSUMER.CREATE." in subject]
        expected = [f"$JS.API.CONSUMER.CREATE.{EVENTS.name}.>"] if service == "notifier" else []
        assert made == expected


def test_a_worker_takes_its_tasks_reports_on_them_and_says_nothing_else() -> None:
    publish, subscribe = permissions("worker")
    assert subscribe == ["_INBOX_worker.>"]
    asked = [subject for subject in publish if subject.startswith("sluice.")]
    assert asked == [ReportStatus.subject()]
    mine = {one.name for one in CONSUMERS if one.service == "worker"}
    assert mine
    for subject in set(publish) - set(asked):
        tokens = subject.split(".")
        assert TASKS.name in tokens, subject
        assert mine & set(tokens), subject
        assert tokens[0] in ("$JS", "dlq"), subject
        assert not {"CREATE", "DELETE", "PURGE", "UPDATE", "STREAM"} & set(tokens), subject


def test_a_worker_may_do_with_its_consumers_what_a_service_may_with_its_own() -> None:
    publish, _ = permissions("worker")
    for consumer in CONSUMERS:
        name = f"{consumer.stream.name}.{consumer.name}"
        needed = {
            f"$JS.API.CONSUMER.INFO.{name}",
            f"$JS.API.CONSUMER.MSG.NEXT.{name}",
            f"$JS.ACK.{name}.>",
            f"dlq.{name}",
        }
        assert needed <= set(publish) if consumer.service == "worker" else not needed & set(publish)


@pytest.mark.parametrize("user", [user for user in USERS if user != "topology"])
def test_only_the_catalog_gives_out_tasks_and_operators_give_them_out_again(user: str) -> None:
    publish, subscribe = permissions(user)
    given = {one for one in publish if one.startswith("sluice.task.")}
    allowed = {"catalog": set(TASK_SUBJECTS), "operator": {"sluice.task.v1.>"}}
    assert given == allowed.get(user, set())
    assert not [one for one in subscribe if one.startswith("sluice.task.")]


def test_a_worker_answers_nobody() -> None:
    text = render(dict.fromkeys(USERS, '"x"'), port=4222, store_dir=Path("/data"))
    worker = text.partition("user: worker")[2]
    assert "allow_responses" not in worker


def test_a_subscriber_says_nothing_at_all() -> None:
    publish, _ = permissions("subscriber")
    assert publish == []
    text = render(dict.fromkeys(USERS, '"x"'), port=4222, store_dir=Path("/data"))
    (_, _, subscriber) = text.partition("user: subscriber")
    assert 'publish { deny: [">"] }' in subscriber
    assert "allow_responses" not in subscriber


def test_the_configuration_holds_every_user_once_and_no_password_of_its_own() -> None:
    passwords = {user: f"$NATS_{user.upper()}" for user in USERS}
    text = render(passwords, port=4222, store_dir=Path("/data"), monitor_port=8222)
    for user in USERS:
        assert text.count(f"user: {user}, password: $NATS_{user.upper()},") == 1
    assert text.count("{") == text.count("}")
    assert 'http: "127.0.0.1:8222"' in text


def test_without_a_monitor_nothing_listens_besides() -> None:
    text = render(dict.fromkeys(USERS, '"x"'), port=4222, store_dir=Path("/data"))
    assert "http:" not in text
