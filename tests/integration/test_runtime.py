"""What the runtime promises on real servers: provisioning that repeats, users that may little."""

import asyncio
from collections.abc import Iterator

import nats.errors
import pytest

from sluice_cli.failures import REFUSED
from sluice_contracts.questions import QUESTIONS
from sluice_contracts.topology import (
    CONSUMERS,
    DEAD_LETTERS,
    EVENTS,
    PUBLISHERS,
    STREAMS,
    dead_letter_subject,
)
from sluice_devkit.services import provisioning_commands
from sluice_devkit.stack import Stack
from sluice_runtime import nats_conf
from tests.checks import drained
from tests.stream import check_works, last_sequence, read_facts, read_state
from tests.support import PATIENCE, bus, eventually, provision_topology, rows, sluice
from tests.uploading import Client

# No service says this.
SAID = b"{}"


async def test_provisioning_twice_changes_nothing(own: Stack, uploader: Client) -> None:
    await check_works(own, uploader)
    await drained(own)
    before, held = await read_state(own), await positions(own)
    keys = await rows(own, "select * from keys order by name")
    for _ in range(2):
        ended = await provision_topology(own)
        assert "created" not in ended.output
        for command in provisioning_commands(
            own._addresses, own._credentials, logs=own.data / "logs", echo=None
        ):
            command.start()
            assert await asyncio.to_thread(command.wait, PATIENCE) == 0, command.describe_end()
    assert await read_state(own) == before
    assert await positions(own) == held
    assert await rows(own, "select * from keys order by name") == keys
    await check_works(own, uploader)


async def positions(stack: Stack) -> dict[str, tuple[int, int]]:
    """How far streams and consumers are."""
    found: dict[str, tuple[int, int]] = {}
    async with bus(stack, "topology") as connection:
        stream = connection.jetstream(timeout=10)
        for one in STREAMS:
            state = (await stream.stream_info(one.name)).state
            found[one.name] = (state.first_seq, state.last_seq)
        for consumer in CONSUMERS:
            info = await stream.consumer_info(consumer.stream.name, consumer.name)
            assert info.delivered is not None
            assert info.ack_floor is not None
            found[consumer.name] = (info.delivered.stream_seq, info.ack_floor.stream_seq)
    return found


def forbidden_publications() -> Iterator[tuple[str, str]]:
    """User and subject: what nobody but its owner may say."""
    for user in nats_conf.USERS:
        if user in ("topology", "operator"):
            continue
        others = {fact for said in PUBLISHERS.values() for fact in said}
        others -= set(PUBLISHERS.get(user, ()))
        yield from ((user, fact.pattern().replace("*", "x")) for fact in others)
        for consumer in CONSUMERS:
            if consumer.service != user:
                name = f"{consumer.stream.name}.{consumer.name}"
                yield user, f"$JS.API.CONSUMER.DELETE.{name}"
                yield user, f"$JS.API.CONSUMER.CREATE.{name}"
                yield user, f"$JS.API.CONSUMER.CREATE.{name}.sluice.v1.>"
                yield user, f"$JS.API.CONSUMER.MSG.NEXT.{name}"
                yield user, f"$JS.ACK.{name}.1.1.1.1.0"
        yield user, f"$JS.API.STREAM.DELETE.{EVENTS.name}"
        yield user, f"$JS.API.STREAM.PURGE.{EVENTS.name}"
        yield user, f"$JS.API.STREAM.UPDATE.{EVENTS.name}"
        yield user, f"$JS.API.STREAM.MSG.DELETE.{EVENTS.name}"
        yield user, f"$JS.API.STREAM.DELETE.{DEAD_LETTERS.name}"
        if user != "notifier":
            yield user, dead_letter_subject(EVENTS.name, "somebody-elses")
    for verb in ("DELETE", "PURGE", "UPDATE", "CREATE"):
        yield "operator", f"$JS.API.STREAM.{verb}.{EVENTS.name}"
    for user in ("subscriber", "notifier", "catalog"):
        yield from ((user, question.subject()) for question in QUESTIONS)


@pytest.mark.parametrize("user", [user for user in nats_conf.USERS if user != "topology"])
async def test_a_user_may_not_say_what_belongs_to_others(own: Stack, user: str) -> None:
    subjects = sorted({subject for one, subject in forbidden_publications() if one == user})
    assert subjects
    before, errors = await last_sequence(own), list[str]()
    async with bus(own, user, errors) as connection:
        for subject in subjects:
            await connection.publish(subject, SAID)
        await connection.flush(timeout=10)

        async def all_refused() -> bool:
            told = [error.lower() for error in errors]
            missing = [
                subject
                for subject in subjects
                if not any(
                    "permissions violation" in one and f'"{subject.lower()}"' in one for one in told
                )
            ]
            assert not missing, missing
            return True

        await eventually(all_refused)
    # A service may still have had something to say meanwhile.
    facts = await read_facts(own, after=before)
    assert SAID not in {fact.data for fact in facts}


@pytest.mark.parametrize("user", [user for user in nats_conf.USERS if user != "topology"])
async def test_a_user_may_not_listen_to_what_belongs_to_others(own: Stack, user: str) -> None:
    subjects = [f"_INBOX_{other}.>" for other in nats_conf.USERS if other != user]
    subjects += ["_INBOX.>", "$JS.API.>", "dlq.>", "sluice.v1.*.object.>", ">"]
    subjects += [f"sluice.rpc.v1.{service}.>" for service in nats_conf.SERVICES if service != user]
    errors = list[str]()
    async with bus(own, user, errors) as connection:
        for subject in subjects:
            await connection.subscribe(subject)
        await connection.flush(timeout=10)

        async def all_refused() -> bool:
            told = [error.lower() for error in errors]
            missing = [
                subject
                for subject in subjects
                if not any(f'subscription to "{subject.lower()}"' in one for one in told)
            ]
            assert not missing, missing
            return True

        await eventually(all_refused)


@pytest.mark.parametrize("password", ["", "wrong"])
async def test_nobody_gets_in_without_the_password(own: Stack, password: str) -> None:
    with pytest.raises(nats.errors.Error):
        await nats.connect(
            own.nats_url,
            user="catalog",
            password=password,
            allow_reconnect=False,
            connect_timeout=5,
        )


@pytest.mark.parametrize("command", [["dlq", "ls"], ["reconcile"]])
async def test_an_operator_with_a_wrong_password_is_told_once(
    own: Stack, command: list[str]
) -> None:
    ended = await sluice(own, *command, "--nats-password", "wrong")
    assert ended.code == REFUSED
    assert ended.errors.splitlines() == [
        "sluice: NATS does not let operator in with this password (unauthorized)"
    ]
