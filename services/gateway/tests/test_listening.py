"""What is heard on core NATS reaches whoever waits for it, and nobody else."""

import asyncio
from typing import Any, cast

import pytest
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError

from sluice_contracts.questions import UploadOutcome
from sluice_contracts.topology import live_subject, live_subjects
from sluice_gateway.live import LiveEvents
from sluice_gateway.outcomes import NatsOutcomes

from .test_events import public

NOBODY: Any = None


def message(subject: str, data: bytes) -> Msg:
    return Msg(NOBODY, subject=subject, data=data)


def outcome(claim_id: str, state: Any = "stored") -> Msg:
    told = UploadOutcome(upload_id="upl_00000001", claim_id=claim_id, state=state)
    return message("sluice.live.v1.reply.i." + claim_id, told.model_dump_json().encode())


def live(sequence: int, tenant: str = "dev") -> Msg:
    subject = live_subject(tenant, "upload", "x")
    return message(subject, public(sequence).model_dump_json().encode())


class FakeBus:
    """A broker and its connection; notes what is subscribed to, each of which takes a while."""

    def __init__(self) -> None:
        self.connection = self
        self.subjects: list[str] = []
        self.asked = 0

    async def subscribe(self, subject: str, **_: Any) -> "FakeSubscription":
        self.asked += 1
        await asyncio.sleep(0)
        self.subjects.append(subject)
        return FakeSubscription(self, subject)


class FakeSubscription:
    def __init__(self, bus: FakeBus, subject: str) -> None:
        self._bus = bus
        self._subject = subject

    async def unsubscribe(self) -> None:
        await asyncio.sleep(0)
        self._bus.subjects.remove(self._subject)


def live_events(bus: Any = None) -> LiveEvents:
    return LiveEvents(bus or cast(Any, FakeBus()))


class TestOutcomes:
    async def test_news_arrive_in_order(self) -> None:
        outcomes = NatsOutcomes("i")
        with outcomes.expect("clm_00000001") as waiting:
            assert waiting.reply_to == "sluice.live.v1.reply.i.clm_00000001"
            await outcomes.hear(outcome("clm_00000001"))
            await outcomes.hear(outcome("clm_00000001", "registered"))
            heard = [await waiting.outcome(1), await waiting.outcome(1)]
        assert [one and one.state for one in heard] == ["stored", "registered"]

    async def test_news_of_others_and_nonsense_are_not_heard(self) -> None:
        outcomes = NatsOutcomes("i")
        with outcomes.expect("clm_00000001") as waiting:
            await outcomes.hear(outcome("clm_00000002"))
            await outcomes.hear(message("sluice.live.v1.reply.i.x", b"nonsense"))
            assert await waiting.outcome(0.01) is None

    async def test_late_news_have_nobody_left_to_tell(self) -> None:
        outcomes = NatsOutcomes("i")
        with outcomes.expect("clm_00000001"):
            pass
        await outcomes.hear(outcome("clm_00000001"))


class TestLive:
    async def test_a_tenant_hears_its_own_entries(self) -> None:
        events = live_events()
        async with (
            events.listen("dev") as one,
            events.listen("dev") as two,
            events.listen("x") as other,
        ):
            await events.hear(live(1))
            await events.hear(message(live_subject("dev", "upload", "x"), b"nonsense"))
            assert [await one.next(0.01), await two.next(0.01)] == [public(1), public(1)]
            assert await one.next(0.01) is None
            assert await other.next(0.01) is None
        await events.hear(live(2))

    async def test_a_tenant_is_subscribed_to_while_somebody_listens(self) -> None:
        bus: Any = FakeBus()
        events = live_events(bus)
        assert bus.subjects == []
        async with events.listen("dev"):
            async with events.listen("dev"), events.listen("x"):
                assert bus.subjects == [live_subjects("dev"), live_subjects("x")]
            assert bus.subjects == [live_subjects("dev")]
        assert bus.subjects == []
        async with events.listen("dev"):
            assert bus.subjects == [live_subjects("dev")]

    async def test_nobody_goes_on_before_the_subscription_and_it_is_one(self) -> None:
        bus: Any = FakeBus()
        events = live_events(bus)

        async def reader() -> list[str]:
            async with events.listen("dev"):
                return list(bus.subjects)

        assert await asyncio.gather(*(reader() for _ in range(3))) == [[live_subjects("dev")]] * 3
        assert (bus.asked, bus.subjects) == (1, [])

    async def test_without_a_bus_one_listens_and_hears_nothing(self) -> None:
        class Closed(FakeBus):
            async def subscribe(self, subject: str, **_: Any) -> FakeSubscription:
                raise ConnectionClosedError

        async with live_events(Closed()).listen("dev") as listener:
            assert await listener.next(0.01) is None

    async def test_a_reader_that_is_cancelled_leaves_no_subscription(self) -> None:
        bus: Any = FakeBus()
        events = live_events(bus)
        listening = asyncio.Event()

        async def reader() -> None:
            async with events.listen("dev"):
                listening.set()
                await asyncio.Event().wait()

        running = asyncio.create_task(reader())
        await listening.wait()
        # Twice: while it listens, and while it says that it does no more.
        running.cancel()
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with events.listen("other"):
            assert bus.subjects == [live_subjects("other")]

    async def test_a_reader_that_is_too_slow_loses_hints_and_no_memory(self) -> None:
        events = live_events()
        async with events.listen("dev") as listener:
            for sequence in range(1, 1001):
                await events.hear(live(sequence))
            first = await listener.next(0.01)
        assert first is not None
        assert first.sequence > 1

    async def test_the_end_of_the_process_ends_every_stream(self) -> None:
        events = live_events()
        async with events.listen("dev") as listener:
            events.end()
            assert listener.ended
            assert await listener.next(60) is None
        async with events.listen("dev") as late:
            assert late.ended
