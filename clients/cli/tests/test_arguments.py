"""Flags and the rules between them."""

import json
from pathlib import Path

import pytest

from sluice_cli.arguments import Options, parse
from sluice_cli.failures import UsageError

REFS = [f"blob://s3/sluice/tenants/t/recordings/2026/11/24/rec_{n}/" for n in range(20)]
KEY = ["--api-key", "test_12345"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("call1.wav", "call2.mp3"):
        (tmp_path / name).write_bytes(b"sound")
    for name in ("call1.json", "call2.json"):
        (tmp_path / name).write_text('{"a": 1}')
    presigned(tmp_path, "call1.wav", "call2.mp3")
    return tmp_path


def presigned(folder: Path, *names: str) -> None:
    items = [
        {
            "temp_id": f"tmp_{number}",
            "method": "PUT",
            "upload_url": f"http://localhost/mock-upload/{number}?token=t",
            "required_headers": {"Content-Type": "audio/wav"},
            "blob_ref": REFS[number] + name,
        }
        for number, name in enumerate(names)
    ]
    answer = {"batch_id": "rb_12345678", "expires_in_seconds": 600, "items": items}
    (folder / "presign.json").write_text(json.dumps(answer))


def options(*arguments: str, **environment: str) -> Options:
    return parse(arguments, environment)


def test_the_demo_of_the_source_document(folder: Path) -> None:
    given = options(
        *("--operation", "demo", "--base-url", "http://localhost:5050/", *KEY),
        *("--files", "call1.wav", "call2.mp3", "--meta", "call1.json", "call2.json"),
    )
    assert given.base_url == "http://localhost:5050"
    assert [file.name for file in given.files] == ["call1.wav", "call2.mp3"]
    assert given.metas == ({"a": 1}, {"a": 1})
    assert given.timeout == 60


def test_flags_come_in_any_order(folder: Path) -> None:
    flags = ["--files", "call1.wav", "call2.mp3", *KEY, "--out", "p.json", "--operation", "presign"]
    assert options(*flags) == options(*flags[-2:], *flags[:-2])


def test_upload_needs_neither_server_nor_key(folder: Path) -> None:
    given = options(
        *("--operation", "upload", "--presign-json", "presign.json"),
        *("--files", "call1.wav", "call2.mp3"),
    )
    assert given.presigned is not None
    assert given.api_key == ""


def test_create_takes_the_batch_from_the_presign_answer(folder: Path) -> None:
    create = ["--operation", "create", *KEY, "--presign-json", "presign.json"]
    given = options(*create, "--meta", "call1.json", "call2.json")
    assert given.batch_id == "rb_12345678"


def test_key_and_server_come_from_the_environment(folder: Path) -> None:
    given = options(
        *("--operation", "poll", "--batch-id", "rb_12345678"),
        SLUICE_API_KEY="k",
        SLUICE_BASE_URL="https://sluice.example/",
    )
    assert (given.api_key, given.base_url) == ("k", "https://sluice.example")
    assert "api_key" not in repr(given)


@pytest.mark.parametrize(
    "arguments",
    [
        "demo --api-key k --files call1.wav call2.mp3 --meta call1.json",
        "demo --api-key k --files call1.wav",
        "demo --files call1.wav --meta call1.json",
        "demo --api-key k --files missing.wav --meta call1.json",
        "demo --api-key k --files call1.wav --meta missing.json",
        "demo --api-key k --files call1.wav --meta call1.wav",
        "presign --api-key k",
        "presign --api-key k --files call1.wav --out nowhere/presign.json",
        "presign --api-key k --files call1.wav --base-url ftp://localhost",
        "presign --api-key k --files " + "call1.wav " * 11,
        "upload --files call1.wav call2.mp3",
        "upload --presign-json presign.json --files call1.wav",
        "upload --presign-json presign.json --files call2.mp3 call1.wav",
        "upload --presign-json call1.json --files call1.wav",
        "create --api-key k --presign-json presign.json --meta call1.json",
        "create --api-key k --presign-json presign.json",
        "create --api-key k --presign-json presign.json --meta call1.json call2.json "
        "--idempotency-key short",
        "poll --api-key k",
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(folder: Path, arguments: str) -> None:
    with pytest.raises(UsageError):
        options("--operation", *arguments.split())


def test_an_unknown_operation_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as ended:
        options("--operation", "destroy")
    assert ended.value.code == 2


def test_names_changed_by_the_server_still_match(folder: Path) -> None:
    (folder / "My Call (1).WAV").write_bytes(b"sound")
    (folder / "звонок.wav").write_bytes(b"sound")
    presigned(folder, "My_Call_1_.wav", "file.wav")
    upload = ["--operation", "upload", "--presign-json", "presign.json", "--files"]
    assert options(*upload, "My Call (1).WAV", "звонок.wav").files
