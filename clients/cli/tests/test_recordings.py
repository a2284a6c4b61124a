"""`sluice-client` from its flags to its exit code, against a server that knows the five routes."""

import json
from pathlib import Path

import pytest

from sluice_cli.operations import item_ids
from sluice_cli.recordings_run import run

from .recordings_door import BATCH, Sluice
from .web import Answer, Asked, Site, as_json, problem


@pytest.fixture
def sluice(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sluice:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLUICE_BASE_URL", site.url)
    for name in ("call1.wav", "call2.mp3"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    for name in ("call1.json", "call2.json"):
        (tmp_path / name).write_text(json.dumps({"of": name}))
    return Sluice(site)


FILES = ["--files", "call1.wav", "call2.mp3"]
META = ["--meta", "call1.json", "call2.json"]
KEY = ["--api-key", "test_12345"]
UPLOAD = ["--operation", "upload", "--presign-json", "p.json", *FILES]
PRESIGN = ["--operation", "presign", *KEY, *FILES, "--out", "p.json"]


def no_text(folder: Path, name: str) -> str:
    """Make a file whose name is not UTF-8."""
    path = folder / name
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"sound")
    except OSError:
        pytest.skip("this file system takes text alone")
    return name


def test_the_steps_of_the_source_document(
    sluice: Sluice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(PRESIGN) == 0
    assert json.loads((tmp_path / "p.json").read_text())["batch_id"] == BATCH
    assert run(UPLOAD) == 0
    create = ["--operation", "create", *KEY, "--presign-json", "p.json", *META]
    assert run(create) == 0
    assert run(create) == 0
    capsys.readouterr()
    assert run(["--operation", "poll", *KEY, "--batch-id", BATCH]) == 0
    assert json.loads(capsys.readouterr().out)["batch_id"] == BATCH

    first, second = sluice.registered
    assert first == second, "a repeated create is the same request"
    assert [item["client_item_id"] for item in first["items"]] == ["call1", "call2"]
    assert [item["data"] for item in first["items"]] == [{"of": "call1.json"}, {"of": "call2.json"}]


def test_a_demo_follows_its_recordings_and_links_to_the_page(
    sluice: Sluice, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--operation", "demo", *KEY, *FILES, *META]) == 0
    said = capsys.readouterr()
    assert "call1 rec_00000000: queued → processing" in said.out
    assert f"{site.url}/ui?key=test_12345" in said.out
    assert said.out.count("test_12345") == 1
    assert "test_12345" not in said.err


def test_json_is_one_document_a_line(sluice: Sluice, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--operation", "demo", "--json", *KEY, *FILES, *META]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("status") for line in lines if "file" in line] == ["uploaded", "uploaded"]
    assert lines[-2]["status"] == "completed"
    assert "ui_url" in lines[-1]


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_names_that_are_no_text_are_sent_and_told_with_marks(
    sluice: Sluice, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    odd = [no_text(tmp_path, f"{folder}/a\udcff.wav") for folder in ("one", "two")]
    assert run(["--operation", "demo", *flags, *KEY, "--files", *odd, *META]) == 0
    presigned = json.loads(sluice.site.asked[0].body)
    assert [item["filename"] for item in presigned["items"]] == ["a\ufffd.wav"] * 2
    (registered,) = sluice.registered
    assert [item["client_item_id"] for item in registered["items"]] == ["a\ufffd", "a\ufffd-2"]
    out = capsys.readouterr().out
    if flags:
        told = [json.loads(line).get("file") for line in out.splitlines()]
        assert "one/a\ufffd.wav" in told
    else:
        assert "uploaded one/a\ufffd.wav" in out


def test_a_name_that_is_no_text_can_be_refused(
    sluice: Sluice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = no_text(tmp_path, "a\udcff.wav")
    sluice.put = lambda path: problem(413, "too-large")
    demo = ["--operation", "demo", "--json", *KEY, "--files", odd, "--meta", "call1.json"]
    assert run(demo) == 3
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["file"], last["code"]) == ("a\ufffd.wav", "too-large")


def test_another_number_of_items_than_files_is_no_answer_of_sluice(
    sluice: Sluice, site: Site
) -> None:
    empty = {"batch_id": BATCH, "expires_in_seconds": 600, "items": []}
    site.decide = lambda _asked: as_json(empty)
    assert run(["--operation", "demo", *KEY, *FILES, *META]) == 4
    assert len(site.asked) == 1


def test_a_blob_that_is_none_cannot_be_registered(sluice: Sluice, tmp_path: Path) -> None:
    assert run(PRESIGN) == 0
    answer = json.loads((tmp_path / "p.json").read_text())
    answer["items"][0]["blob_ref"] = ""
    (tmp_path / "p.json").write_text(json.dumps(answer))
    assert run(["--operation", "create", "--presign-json", "p.json", *KEY, *META]) == 2
    assert sluice.registered == []


def test_a_failed_recording_is_told_by_the_exit_code(sluice: Sluice) -> None:
    sluice.statuses = ["failed"]
    assert run(["--operation", "demo", *KEY, *FILES, *META]) == 1


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"0": Answer(202), "1": Answer(201)}, 0),
        ({"0": problem(400, "upload-token-used"), "1": Answer(201)}, 1),
        ({"0": problem(400, "wrong-type"), "1": problem(400, "upload-token-expired")}, 3),
        ({"0": problem(503, "unavailable"), "1": problem(503, "unavailable")}, 4),
        ({"0": problem(422, "digest-mismatch"), "1": problem(422, "size-mismatch")}, 5),
    ],
)
def test_exit_codes_of_an_upload(sluice: Sluice, answers: dict[str, Answer], expected: int) -> None:
    assert run(PRESIGN) == 0
    sluice.put = lambda path: answers[path.removeprefix("/mock-upload/")[0]]
    assert run([*UPLOAD, "--timeout", "0"]) == expected


def test_a_demo_registers_nothing_when_a_file_is_missing(
    sluice: Sluice, capsys: pytest.CaptureFixture[str]
) -> None:
    sluice.put = lambda path: problem(413, "too-large") if "/1?" in path else Answer(201)
    assert run(["--operation", "demo", *KEY, *FILES, *META]) == 1
    assert sluice.registered == []
    assert f"stays in batch {BATCH}" in capsys.readouterr().err


def test_a_demo_that_is_refused_says_where_its_files_are(
    sluice: Sluice, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    def decide(asked: Asked) -> Answer:
        is_last = asked.path == "/recordings"
        return problem(422, "metadata-too-large") if is_last else sluice(asked)

    site.decide = decide
    assert run(["--operation", "demo", *KEY, *FILES, *META]) == 3
    assert f"stays in batch {BATCH}" in capsys.readouterr().err


def test_a_wrong_key_is_refused(sluice: Sluice) -> None:
    assert run(["--operation", "poll", "--api-key", "wrong", "--batch-id", BATCH]) == 3


def test_nobody_there_is_a_network_failure(sluice: Sluice) -> None:
    there = ["--base-url", "http://127.0.0.1:9", "--timeout", "0"]
    assert run(["--operation", "poll", *KEY, "--batch-id", BATCH, *there]) == 4


def test_a_missing_file_is_a_usage_error(
    sluice: Sluice, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--operation", "presign", *KEY, "--files", "none.wav"]) == 2
    assert "none.wav" in capsys.readouterr().err


def test_item_ids_are_stems_made_unique() -> None:
    assert item_ids(["a.wav", "a.mp3", "a-2.wav", "b.c.wav", "a.ogg"]) == [
        "a",
        "a-2",
        "a-2-2",
        "b.c",
        "a-3",
    ]
    long = item_ids(["x" * 300 + ".wav", "x" * 300 + ".mp3"])
    assert {len(one) for one in long} == {255}
    assert len(set(long)) == 2
