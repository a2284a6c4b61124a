"""`sluice-client` and `sluice` as their users run them: separate processes, real files."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sluice_devkit.assets import DemoCall, write_demo_calls
from sluice_devkit.environments import base_environment
from sluice_devkit.http import plain_client
from sluice_devkit.ports import HOST, free_ports

from .api import Account, noise, upload_id_of, upload_tokens

_SECONDS = 90
ALL_DONE, SOME_FAILED, USAGE, REFUSED, NETWORK = range(5)


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def results(self) -> list[dict[str, Any]]:
        """JSON lines."""
        return [json.loads(text) for text in self.out.splitlines()]


def program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def environment(**more: str) -> dict[str, str]:
    return base_environment() | {"PYTHONUNBUFFERED": "1"} | more


async def run(name: str, *arguments: object, **variables: str) -> Done:
    done = await asyncio.to_thread(
        subprocess.run,
        [program(name), *map(str, arguments)],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


async def client(caller: Account, operation: str, *arguments: object) -> Done:
    """`sluice-client`, told who calls."""
    where = ("--base-url", caller.stack.url, "--api-key", caller.key)
    return await run("sluice-client", "--operation", operation, *where, *arguments)


@pytest.fixture
def calls(tmp_path: Path) -> list[DemoCall]:
    return write_demo_calls(tmp_path)


def audio(calls: Sequence[DemoCall]) -> list[str]:
    return [str(call.audio) for call in calls]


def metadata(calls: Sequence[DemoCall]) -> list[str]:
    return [str(call.metadata) for call in calls]


async def shown(caller: Account) -> list[dict[str, Any]]:
    answer = await caller.http.get("/jsonui")
    batches: list[dict[str, Any]] = answer.json()
    return batches


async def assert_arrived(caller: Account, batch: dict[str, Any], calls: Sequence[DemoCall]) -> None:
    """The batch holds these calls: names, metadata and bytes."""
    assert batch["status"] == "completed"
    recordings = sorted(batch["recordings"], key=lambda one: str(one["filename"]))
    assert [one["filename"] for one in recordings] == [call.audio.name for call in calls]
    for recording, call in zip(recordings, calls, strict=True):
        assert recording["client_item_id"] == call.audio.stem
        assert recording["metadata"] == json.loads(call.metadata.read_text())
        assert await caller.download(recording["recording_id"]) == call.audio.read_bytes()


class TestDemo:
    async def test_a_demo_makes_a_batch_and_another_one_adds_to_it(
        self, caller: Account, calls: list[DemoCall]
    ) -> None:
        first, added = calls[:2], calls[2:]
        done = await client(caller, "demo", "--files", *audio(first), "--meta", *metadata(first))
        assert done.code == ALL_DONE, done.err
        assert f"UI: {caller.stack.url}/ui?key={caller.key}" in done.out
        (batch,) = await shown(caller)
        await assert_arrived(caller, batch, first)

        more = ("--batch-id", batch["batch_id"], "--files", *audio(added), "--meta")
        done = await client(caller, "demo", *more, *metadata(added))
        assert done.code == ALL_DONE, done.err
        (batch,) = await shown(caller)
        await assert_arrived(caller, batch, calls)

        async with plain_client() as browser:
            page = await browser.get(f"{caller.stack.url}/ui?key={caller.key}")
        assert page.status_code == 200

    async def test_a_demo_for_programs_writes_json_lines(
        self, caller: Account, calls: list[DemoCall]
    ) -> None:
        done = await client(
            caller, "demo", "--json", "--files", *audio(calls), "--meta", *metadata(calls)
        )
        assert done.code == ALL_DONE, done.err
        results = done.results
        assert results[0]["batch_id"] == (await shown(caller))[0]["batch_id"]
        assert results[-1]["ui_url"].startswith(caller.stack.url)
        assert any(result.get("status") == "completed" for result in results)

    async def test_the_key_and_the_server_may_stand_in_the_environment(
        self, caller: Account, calls: list[DemoCall]
    ) -> None:
        files = ("--files", *audio(calls[:1]), "--meta", *metadata(calls[:1]))
        done = await run(
            "sluice-client",
            *("--operation", "demo", *files),
            SLUICE_BASE_URL=caller.stack.url,
            SLUICE_API_KEY=caller.key,
        )
        assert done.code == ALL_DONE, done.err


class TestStepByStep:
    async def test_each_step_goes_on_from_the_one_before(
        self, caller: Account, calls: list[DemoCall], tmp_path: Path
    ) -> None:
        saved = tmp_path / "presign.json"
        files, metas = ("--files", *audio(calls)), ("--meta", *metadata(calls))
        done = await client(caller, "presign", *files, "--out", saved)
        assert done.code == ALL_DONE, done.err
        presigned = json.loads(saved.read_text())
        upload_tokens.update(
            item["upload_url"].partition("token=")[2] for item in presigned["items"]
        )
        assert saved.stat().st_mode & 0o077 == 0
        assert len(presigned["items"]) == len(calls)

        # As in the source document: the URLs carry all that an upload needs.
        done = await run("sluice-client", "--operation", "upload", "--presign-json", saved, *files)
        assert done.code == ALL_DONE, done.err
        assert done.out.count("uploaded ") == len(calls)

        done = await client(caller, "create", "--presign-json", saved, *metas)
        assert done.code == ALL_DONE, done.err
        created = json.loads(done.out)
        assert created["batch_id"] == presigned["batch_id"]
        again = await client(caller, "create", "--presign-json", saved, *metas)
        assert (again.code, json.loads(again.out)) == (ALL_DONE, created)

        await caller.completed(presigned["batch_id"])
        done = await client(caller, "poll", "--batch-id", presigned["batch_id"])
        assert done.code == ALL_DONE, done.err
        assert json.loads(done.out)["status"] == "completed"
        await assert_arrived(caller, (await shown(caller))[0], calls)

        # The URLs are good for one use.
        done = await run("sluice-client", "--operation", "upload", "--presign-json", saved, *files)
        assert done.code == REFUSED
        assert "upload-token-used" in done.err

    async def test_files_go_into_a_batch_that_is_there(
        self, caller: Account, calls: list[DemoCall], tmp_path: Path
    ) -> None:
        batch_id = (await caller.presign("a.wav"))["batch_id"]
        done = await client(
            caller, "presign", "--batch-id", batch_id, "--files", *audio(calls), "--json"
        )
        assert done.code == ALL_DONE, done.err
        (presigned,) = done.results
        assert presigned["batch_id"] == batch_id
        assert len({upload_id_of(item) for item in presigned["items"]}) == len(calls)

    async def test_a_large_file_arrives(self, caller: Account, tmp_path: Path) -> None:
        large, meta = tmp_path / "large.wav", tmp_path / "large.json"
        large.write_bytes(noise(20 * 1024**2))
        meta.write_text("{}")
        done = await client(caller, "demo", "--files", large, "--meta", meta)
        assert done.code == ALL_DONE, done.err
        (recording,) = (await shown(caller))[0]["recordings"]
        assert await caller.download(recording["recording_id"]) == large.read_bytes()


class TestExitCodes:
    async def test_what_the_server_refuses_ends_with_3(
        self, caller: Account, calls: list[DemoCall]
    ) -> None:
        files = ("--files", *audio(calls[:1]))
        where = ("--base-url", caller.stack.url, "--api-key", "nobodys-key")
        done = await run("sluice-client", "--operation", "presign", *where, *files)
        assert (done.code, "unauthorized" in done.err) == (REFUSED, True)
        done = await client(caller, "poll", "--batch-id", "rb_0123456789abcdef")
        assert (done.code, "batch-not-found" in done.err) == (REFUSED, True)
        done = await client(caller, "presign", "--batch-id", "rb_0123456789abcdef", *files)
        assert (done.code, "batch-not-found" in done.err) == (REFUSED, True)

    async def test_describing_what_was_never_sent_ends_with_3(
        self, caller: Account, calls: list[DemoCall], tmp_path: Path
    ) -> None:
        saved = tmp_path / "presign.json"
        await client(caller, "presign", "--files", *audio(calls), "--out", saved)
        done = await client(caller, "create", "--presign-json", saved, "--meta", *metadata(calls))
        assert (done.code, "blob-not-uploaded" in done.err) == (REFUSED, True)

    async def test_an_empty_file_ends_with_3(self, caller: Account, tmp_path: Path) -> None:
        empty, meta = tmp_path / "empty.wav", tmp_path / "empty.json"
        empty.touch()
        meta.write_text("{}")
        done = await client(caller, "demo", "--files", empty, "--meta", meta)
        assert (done.code, "empty-upload" in done.err) == (REFUSED, True)
        assert (await caller.footprint()).rows["recordings"] == 0

    async def test_some_failing_files_end_with_1(
        self, caller: Account, calls: list[DemoCall], tmp_path: Path
    ) -> None:
        empty = tmp_path / "empty.wav"
        empty.touch()
        files = (*audio(calls[:1]), empty)
        done = await client(caller, "demo", "--files", *files, "--meta", *metadata(calls[:2]))
        assert done.code == SOME_FAILED, done.err
        assert (await caller.footprint()).rows["recordings"] == 0

    async def test_nobody_there_ends_with_4(self, calls: list[DemoCall]) -> None:
        nowhere = f"http://{HOST}:{free_ports(1)[0]}"
        where = ("--base-url", nowhere, "--api-key", "any-key", "--timeout", "0")
        done = await run(
            "sluice-client", "--operation", "presign", *where, "--files", *audio(calls)
        )
        assert done.code == NETWORK, done.err

    async def test_calls_that_cannot_work_end_with_2_and_send_nothing(
        self, caller: Account, calls: list[DemoCall], tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken.json"
        broken.write_text("[1]")
        one, meta = audio(calls[:1]), metadata(calls[:1])
        async with caller.nothing_left():
            for operation, arguments in [
                ("nonsense", []),
                ("presign", []),
                ("presign", ["--files", tmp_path / "absent.wav"]),
                ("presign", ["--files", *one * 11]),
                ("upload", ["--files", *one]),
                ("upload", ["--presign-json", broken, "--files", *one]),
                ("create", ["--meta", *meta]),
                ("poll", []),
                ("demo", ["--files", *one]),
                ("demo", ["--files", *one, "--meta", broken]),
                ("demo", ["--files", *one, "--meta", *meta, *meta]),
                ("demo", ["--files", *one, "--meta", *meta, "--idempotency-key", "short"]),
            ]:
                done = await client(caller, operation, *arguments)
                assert done.code == USAGE, (operation, arguments, done.err)
                assert "Traceback" not in done.err

    async def test_help_is_no_failure(self) -> None:
        for name in ("sluice-client", "sluice"):
            done = await run(name, "--help")
            assert (done.code, done.err) == (ALL_DONE, "")
            assert "Exit codes" in done.out


class TestWatch:
    async def test_once_shows_what_there_is_and_ends(self, caller: Account) -> None:
        recording_id = await caller.recording(noise(10))
        where = {"SLUICE_BASE_URL": caller.stack.url, "SLUICE_API_KEY": caller.key}

        done = await run("sluice", "watch", "--once", "--json", "--type", "recording", **where)
        assert done.code == ALL_DONE, done.err
        statuses = [result["data"]["status"] for result in done.results]
        assert statuses == ["queued", "processing", "completed"][: len(statuses)]

        done = await run("sluice", "watch", "--once", "--id", recording_id, **where)
        assert done.code == ALL_DONE, done.err
        assert f"recording {recording_id} queued" in done.out

    async def test_changes_are_shown_as_they_happen_until_interrupted(
        self, caller: Account
    ) -> None:
        watching = await asyncio.create_subprocess_exec(
            program("sluice"),
            *("watch", "--after", "0", "--json", "--type", "recording"),
            env=environment(SLUICE_BASE_URL=caller.stack.url, SLUICE_API_KEY=caller.key),
            stdout=asyncio.subprocess.PIPE,
            # Tests that run in the background ignore interrupts, and so would their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        try:
            assert watching.stdout
            recording_id = await caller.recording(noise(10))
            for status in ("queued", "processing", "completed"):
                async with asyncio.timeout(_SECONDS):
                    event = json.loads(await watching.stdout.readline())
                assert (event["subject"], event["data"]["status"]) == (recording_id, status)
            watching.send_signal(signal.SIGINT)
            async with asyncio.timeout(_SECONDS):
                assert await watching.wait() == ALL_DONE
        finally:
            if watching.returncode is None:
                watching.kill()
                await watching.wait()

    async def test_a_refused_key_ends_a_watch_with_3(self, caller: Account) -> None:
        where = {"SLUICE_BASE_URL": caller.stack.url, "SLUICE_API_KEY": "nobodys-key"}
        for arguments in (["--once"], []):
            done = await run("sluice", "watch", *arguments, **where)
            assert done.code == REFUSED, done.err
            assert "unauthorized" in done.err
