"""What is heard on core NATS reaches whoever waits for it, and nobody else."""

from typing import Any

from nats.aio.msg import Msg

from sluice_contracts.questions import UploadOutcome
from sluice_contracts.topology import live_subject
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
        events = LiveEvents()
        with events.listen("dev") as one, events.listen("dev") as two, events.listen("x") as other:
            await events.hear(live(1))
            await events.hear(message(live_subject("dev", "upload", "x"), b"nonsense"))
            assert [await one.next(0.01), await two.next(0.01)] == [public(1), public(1)]
            assert await one.next(0.01) is None
            assert await other.next(0.01) is None
        await events.hear(live(2))

    async def test_a_reader_that_is_too_slow_loses_hints_and_no_memory(self) -> None:
        events = LiveEvents()
        with events.listen("dev") as listener:
            for sequence in range(1, 1001):
                await events.hear(live(sequence))
            first = await listener.next(0.01)
        assert first is not None
        assert first.sequence > 1

    async def test_the_end_of_the_process_ends_every_stream(self) -> None:
        events = LiveEvents()
        with events.listen("dev") as listener:
            events.end()
            assert listener.ended
            assert await listener.next(60) is None
        with events.listen("dev") as late:
            assert late.ended
