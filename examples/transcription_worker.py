"""A worker that transcribes calls. All it takes is the NATS client: `pip install nats-py`.

    SLUICE_NATS_URL=nats://127.0.0.1:4222 SLUICE_NATS_PASSWORD=… python transcription_worker.py

Run as many as you like. What one of them dropped comes again: let your work be safe to repeat.
"""

import asyncio
import json
import os
from contextlib import suppress

import nats
from nats.aio.msg import Msg

REPORT = "sluice.rpc.v1.catalog.status.report"
SIGN_OF_LIFE_SECONDS = 20  # after 60 s of silence somebody else gets the task
ATTEMPTS = 5


class CallGone(Exception):
    """The call was deleted; nobody has to work on it any more."""


async def report(bus: nats.NATS, msg: Msg, status: str, reason: str | None = None) -> None:
    """Say how far a call is. A step that was taken before, by whomever, is no failure."""
    said = {"tenant": msg.header["tenant"], "kind": "call", "id": json.loads(msg.data)["call_id"]}
    said |= {"status": status, "reason": reason, "actor": f"worker:{os.getpid()}"}
    answer = json.loads((await bus.request(REPORT, json.dumps(said).encode(), timeout=5)).data)
    error = answer.get("error", {"failure": None})
    if error["failure"] == "not_found":
        raise CallGone(error["detail"])
    if error["failure"] not in (None, "conflict"):
        raise RuntimeError(error["detail"])


async def work(bus: nats.NATS, msg: Msg) -> None:
    """Your part: fetch `s3_key` from `s3_bucket`, write down what is said, draw conclusions."""
    for begun, done in (("transcribing", "transcribed"), ("analyzing", "completed")):
        await report(bus, msg, begun)
        await asyncio.sleep(float(os.environ.get("WORK_SECONDS", "1")))  # stands for the work
        await report(bus, msg, done)


async def keep_alive(msg: Msg) -> None:
    while True:
        await asyncio.sleep(SIGN_OF_LIFE_SECONDS)
        await msg.in_progress()


async def handle(bus: nats.NATS, msg: Msg) -> None:
    alive, tries = asyncio.create_task(keep_alive(msg)), msg.metadata.num_delivered
    try:
        await work(bus, msg)
    except CallGone as error:
        print("dropped:", error)
    except Exception as error:  # noqa: BLE001 - whatever it was, the next try may have more luck
        print("failed:", repr(error))
        if tries < ATTEMPTS:
            return await msg.nak(delay=2**tries)
        await report(bus, msg, "failed", repr(error)[:200])
    finally:
        alive.cancel()
    return await msg.ack()


async def complain(error: Exception) -> None:
    print("bus:", type(error).__name__)


async def main() -> None:
    who = {"user": "worker", "password": os.environ["SLUICE_NATS_PASSWORD"]}
    who |= {"inbox_prefix": b"_INBOX_worker", "max_reconnect_attempts": -1, "error_cb": complain}
    bus = await nats.connect(os.environ["SLUICE_NATS_URL"].split(","), **who)
    tasks = await bus.jetstream().pull_subscribe_bind("worker-transcriptions", "SLUICE_TASKS")
    while True:
        try:
            for msg in await tasks.fetch(1, timeout=30):
                await handle(bus, msg)
        except nats.errors.Error as error:
            print("waiting:", type(error).__name__)  # for work, or for Sluice to be back
        except Exception as error:  # noqa: BLE001 - one task that nobody can do stops no other
            print("left alone:", repr(error))


with suppress(KeyboardInterrupt):  # Ctrl-C; a task in hand is given to somebody else
    asyncio.run(main())
