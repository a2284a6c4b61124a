"""Sending a file to a server and a store that misbehave in every way they may."""

import asyncio
import hashlib
import io
import json
import os
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sluice_cli.failures import INTEGRITY, NETWORK, REFUSED, USAGE
from sluice_cli.upload.door import Door
from sluice_cli.upload.files import look_at
from sluice_cli.upload.filing import Desk, Filing, Outcome
from sluice_cli.upload.ledger import Ledger
from sluice_cli.upload.sending import Slots

from .web import NOW, Answer, Asked, Site, as_json, problem

PART = 1000
DATA = os.urandom(3500)
ID = "upl_00000001"


class World:
    """A server and a store in one. What is in `breaks` happens to that request once."""

    def __init__(self, site: Site, *, in_parts: bool = True) -> None:
        self.url = site.url
        self.in_parts = in_parts
        self.parts: dict[int, bytes] = {}
        self.whole: bytes | None = None
        self.status = "created"
        self.version = 0
        self.breaks: dict[str, list[Answer]] = {}
        self.puts = 0
        site.decide = self.decide

    def decide(self, asked: Asked) -> Answer:
        path = urlsplit(asked.path).path
        name = f"{asked.method} {path.removeprefix('/api/v1/uploads')}"
        if broken := self.breaks.get(name):
            return broken.pop(0)
        if asked.method == "PUT":
            return self.put(path, asked.body)
        if name == "POST ":
            return as_json(self.created(), 201)
        if name == f"POST /{ID}/parts":
            return as_json(self.signed(json.loads(asked.body)["numbers"]))
        if name == f"POST /{ID}/complete":
            return self.complete(json.loads(asked.body)["sha256"])
        return as_json(self.state()) if name == f"GET /{ID}" else Answer(404)

    def put(self, path: str, body: bytes) -> Answer:
        self.puts += 1
        _, version, number = path.strip("/").split("/")
        if int(version) != self.version:
            return Answer(403)
        if number == "whole":
            self.whole = body
        else:
            self.parts[int(number)] = body
        return Answer(200, headers={"ETag": '"e"'})

    def created(self) -> dict[str, object]:
        base = {"upload_id": ID, "object_id": "obj_1", "status": "created", "expires_at": NOW}
        return base | ({"multipart": self.signed([1])} if self.in_parts else self.signed([]))

    def signed(self, numbers: list[int]) -> dict[str, object]:
        url = f"{self.url}/store/{self.version}"
        if not self.in_parts:
            return {"expires_at": NOW, "put": {"url": f"{url}/whole", "headers": {}}}
        parts = [{"number": number, "url": f"{url}/{number}"} for number in numbers]
        return {"expires_at": NOW, "part_size": PART, "parts": parts}

    def state(self) -> dict[str, object]:
        parts = [
            {"number": number, "etag": "e", "size_bytes": len(body)}
            for number, body in sorted(self.parts.items())
        ]
        return {
            "upload_id": ID,
            "object_id": "obj_1",
            "status": self.status,
            "filename": "a",
            "content_type": "audio/wav",
            "part_size": PART if self.in_parts else None,
            "parts": parts,
            "metadata": {},
            "created_at": NOW,
            "expires_at": NOW,
        }

    @property
    def body(self) -> bytes:
        joined = b"".join(body for _, body in sorted(self.parts.items()))
        return joined if self.in_parts else self.whole or b""

    def complete(self, sha256: str) -> Answer:
        if len(self.body) < len(DATA):
            return problem(409, "upload-incomplete")
        if hashlib.sha256(self.body).hexdigest() != sha256:
            return problem(422, "digest-mismatch")
        self.status = "registered"
        return as_json(self.state() | {"sha256": sha256})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    path.write_bytes(DATA)
    return path


async def send(file: Path, site: Site, patience: float = 20.0) -> Outcome:
    async with Door(site.url, "key", lambda _: None, patience) as door:
        with closing(Ledger(file.parent / "ledger.db", site.url, None)) as ledger:
            slots = Slots(2, asyncio.Event())
            desk = Desk(door, ledger, slots, lambda _name, _size: lambda _sent: None)
            return await Filing(look_at(file), desk).file_away()


@pytest.mark.parametrize("in_parts", [True, False])
async def test_all_bytes_arrive_once(site: Site, file: Path, in_parts: bool) -> None:
    world = World(site, in_parts=in_parts)
    outcome = await send(file, site)
    assert (outcome.status, outcome.sent_bytes) == ("uploaded", len(DATA))
    assert world.body == DATA
    assert world.puts == (4 if in_parts else 1)
    assert "x-api-key" not in next(one.headers for one in site.asked if one.method == "PUT")


async def test_a_name_that_is_no_text_is_sent_and_told_with_marks(
    site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "a\udcff.wav"
    try:
        file.write_bytes(DATA)
    except OSError:
        pytest.skip("this file system takes text alone")
    World(site)
    outcome = await send(file, site)
    assert outcome.status == "uploaded"
    assert json.loads(site.asked[0].body)["filename"] == "a\ufffd.wav"
    assert json.loads(outcome.model_dump_json())["file"] == str(tmp_path / "a\ufffd.wav")


@pytest.mark.parametrize("url", ["http://localhost:none/", "http://xn--a/", "nowhere", ""])
async def test_an_address_that_is_none_is_no_answer_of_sluice(
    site: Site, file: Path, url: str
) -> None:
    world = World(site, in_parts=False)
    put = {"expires_at": NOW, "put": {"url": url, "headers": {}}}
    world.breaks["POST "] = [as_json(world.created() | put, 201)]
    world.breaks[f"POST /{ID}/parts"] = [as_json(put)] * 50
    outcome = await send(file, site, patience=0.3)
    assert (outcome.status, outcome.exit_code) == ("failed", NETWORK)


@pytest.mark.parametrize("in_parts", [True, False])
async def test_urls_that_expired_are_asked_for_again(
    site: Site, file: Path, in_parts: bool
) -> None:
    world = World(site, in_parts=in_parts)
    name = "PUT /store/0/" + ("1" if in_parts else "whole")

    class Expires(list[Answer]):
        """Whoever comes with the first URL learns that URLs of its kind are no good any more."""

        def pop(self, _: object = 0) -> Answer:
            world.version = 1
            world.breaks.clear()
            return Answer(403)

    world.breaks[name] = Expires([Answer()])
    assert (await send(file, site)).status == "uploaded"
    assert world.body == DATA


@pytest.mark.parametrize("broken", [Answer(500), Answer(hang_up=True), Answer(404)])
async def test_a_store_that_stumbles_is_tried_again(site: Site, file: Path, broken: Answer) -> None:
    world = World(site)
    world.breaks = {f"PUT /store/0/{number}": [broken] for number in (1, 3)}
    assert (await send(file, site)).status == "uploaded"
    assert world.body == DATA


async def test_only_what_is_missing_is_sent(site: Site, file: Path) -> None:
    world = World(site)
    world.breaks[f"POST /{ID}/complete"] = [problem(400, "nonsense")]
    assert (await send(file, site)).exit_code == REFUSED
    del world.parts[2]
    world.parts[4] = b"too short"
    world.puts = 0
    outcome = await send(file, site)
    assert (outcome.status, outcome.sent_bytes, world.puts) == ("uploaded", 1500, 2)
    assert world.body == DATA
    assert (await send(file, site)).status == "present"


async def test_what_the_store_lost_in_the_end_is_sent_again(site: Site, file: Path) -> None:
    world = World(site)
    world.breaks[f"POST /{ID}/complete"] = [problem(409, "part-missing")]
    world.complete = _losing(world)  # type: ignore[method-assign]
    outcome = await send(file, site)
    assert outcome.status == "uploaded"
    assert outcome.sent_bytes > len(DATA)


def _losing(world: World):  # type: ignore[no-untyped-def]
    honest = type(world).complete

    def complete(sha256: str) -> Answer:
        if world.version == 0:
            world.version = 1
            world.parts.clear()
        return honest(world, sha256)

    return complete


@pytest.mark.parametrize("refusing", ["POST ", f"POST /{ID}/complete"])
async def test_a_file_that_was_refused_is_tried_again_by_the_next_run(
    site: Site, file: Path, refusing: str
) -> None:
    world = World(site)
    world.breaks[refusing] = [problem(403, "forbidden")]
    assert (await send(file, site)).exit_code == REFUSED
    assert (await send(file, site)).status == "uploaded"


async def test_other_bytes_than_ours_are_no_success(site: Site, file: Path) -> None:
    world = World(site)
    world.breaks[f"POST /{ID}/complete"] = [problem(422, "digest-mismatch")]
    assert (await send(file, site)).exit_code == INTEGRITY


async def test_a_server_that_takes_its_time_is_waited_for(site: Site, file: Path) -> None:
    world = World(site)
    slow = world.state() | {"status": "uploading", "completing": True}
    world.breaks = {
        f"POST /{ID}/complete": [as_json(slow, 202)],
        f"GET /{ID}": [as_json(slow)],
    }
    assert (await send(file, site)).status == "uploaded"


async def test_what_an_earlier_run_sent_and_is_being_read_back_is_not_sent_again(
    site: Site, file: Path
) -> None:
    world = World(site)
    world.breaks["PUT /store/0/1"] = [Answer(503)] * 10
    assert (await send(file, site, patience=0.1)).status == "failed"
    puts = world.puts
    world.status = "registered"
    slow = world.state() | {"status": "uploading", "completing": True, "parts": []}
    world.breaks = {
        f"GET /{ID}": [as_json(slow)],
        f"POST /{ID}/complete": [as_json(world.state())],
    }
    assert (await send(file, site)).status == "present"
    assert world.puts == puts


async def test_a_store_that_is_away_is_given_up(site: Site, file: Path) -> None:
    world = World(site)
    world.breaks["PUT /store/0/2"] = [Answer(503)] * 10
    outcome = await send(file, site, patience=0.1)
    assert (outcome.status, outcome.exit_code) == ("failed", NETWORK)


@pytest.mark.parametrize("at", [0, 2500], ids=["what is passed over", "what is sent"])
async def test_a_file_that_cannot_be_read_to_its_end_is_one_failure(
    site: Site, file: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """As on a stick that was pulled out: the other files go on."""
    world = World(site)
    world.breaks[f"POST /{ID}/complete"] = [problem(400, "nonsense")]
    assert (await send(file, site)).exit_code == REFUSED
    del world.parts[3]

    class Pulled(io.FileIO):
        def read(self, size: int = -1, /) -> bytes:
            if self.tell() + size > at:
                raise OSError(5, "Input/output error")
            return super().read(size) or b""

    monkeypatch.setattr(Path, "open", lambda path, _mode: Pulled(path))
    outcome = await send(file, site)
    assert (outcome.status, outcome.exit_code) == ("failed", USAGE)
    assert outcome.detail == "cannot read it: Input/output error"


async def test_an_answer_nobody_heard_is_asked_for_again(site: Site, file: Path) -> None:
    world = World(site)
    world.breaks["POST "] = [Answer(hang_up=True)]
    assert (await send(file, site)).status == "uploaded"
    keys = {one.headers["idempotency-key"] for one in site.asked if one.path.endswith("uploads")}
    assert len(keys) == 1


async def test_a_file_that_is_named_otherwise_than_before_is_another_upload(
    site: Site, file: Path
) -> None:
    """Where its first upload was created, and nobody heard of it."""
    world = World(site)
    world.breaks["POST "] = [problem(403, "forbidden"), problem(422, "idempotency-key-reused")]
    assert (await send(file, site)).exit_code == REFUSED
    assert (await send(file, site)).status == "uploaded"
    first, again, other = (
        one.headers["idempotency-key"] for one in site.asked if one.path.endswith("uploads")
    )
    assert first == again != other
