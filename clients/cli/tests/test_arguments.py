"""Flags and the rules between them."""

import json
from pathlib import Path
from typing import Any

import pytest

from sluice_cli.arguments import Options, checked_batch_id, checked_key, checked_url, parse
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
        "create --api-key k --presign-json presign.json --meta call1.json call2.json "
        "--idempotency-key no-text-\udcff",
        "poll --api-key k",
        "poll --api-key k --batch-id " + "x" * 65,
        "presign --api-key k --files call1.wav --batch-id " + "x" * 65,
        "demo --api-key k --files call1.wav --meta call1.json --batch-id " + "x" * 65,
        "presign --api-key k --files " + "x" * 5000,
        "presign --api-key k --files call1.wav --out " + "x" * 5000,
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(folder: Path, arguments: str) -> None:
    with pytest.raises(UsageError):
        options("--operation", *arguments.split())


def test_an_empty_batch_is_no_batch_rather_than_a_new_one(folder: Path) -> None:
    """As in `--batch-id "$BATCH_ID"`, where nothing was in the variable."""
    with pytest.raises(UsageError, match="batch"):
        options("--operation", "presign", *KEY, "--files", "call1.wav", "--batch-id", "")


@pytest.mark.parametrize(
    "batch_id", ["rb_\udcff", "rb_ü", ".", "..", "a/b", "a b", "rb_1\n", "%2e"]
)
def test_what_no_batch_can_be_called_is_refused(batch_id: str) -> None:
    with pytest.raises(UsageError):
        checked_batch_id(batch_id)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "http://",
        "http://[::1",
        "http://localhost:none",
        "http://localhost:0",
        "http://localhost:-1",
        "http://localhost:99999",
        "http://localhost:8000\n",
        "http://localhost/\udcff",
        "http://\udcff",
        "http://xn--a",
        "http://local host",
        "http://localhost?tenant=t",
        "http://localhost#top",
        "http://localhost/" + "x" * 70_000,
    ],
)
def test_an_address_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        checked_url(url)


def test_a_server_may_have_a_path_and_any_name() -> None:
    for url in ("http://[::1]:8000/sluice", "https://müsli.example", "http://127.0.0.1"):
        assert checked_url(url + "/") == url


@pytest.mark.parametrize("key", ["", "ключ", "a\nb", " a", "a ", "\udcff"])
def test_a_key_that_is_none_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(UsageError) as refused:
        checked_key(key)
    assert not key.strip() or key not in str(refused.value)


@pytest.mark.parametrize("number", ["NaN", "1e999", "[-Infinity]"])
def test_metadata_that_json_cannot_say_is_not_sent_as_something_else(
    folder: Path, number: str
) -> None:
    (folder / "call1.json").write_text(f'{{"a": {number}}}')
    with pytest.raises(UsageError, match=r"call1\.json"):
        options(
            *("--operation", "demo", *KEY, "--files", "call1.wav", "--meta", "call1.json"),
        )


@pytest.mark.parametrize(
    "change",
    [
        {"upload_url": "http://localhost:none/"},
        {"upload_url": "/relative"},
        {"required_headers": {"Content-Type": "ü"}},
        {"required_headers": {"Content-Type": "a\nb"}},
        {"required_headers": {"Content-\nType": "a"}},
    ],
)
def test_a_presign_answer_somebody_spoiled_is_refused(folder: Path, change: dict[str, Any]) -> None:
    answer = json.loads((folder / "presign.json").read_text())
    answer["items"][0] |= change
    (folder / "presign.json").write_text(json.dumps(answer))
    with pytest.raises(UsageError):
        options(
            *("--operation", "upload", "--presign-json", "presign.json"),
            *("--files", "call1.wav", "call2.mp3"),
        )


def test_a_presign_answer_without_items_suits_nothing(folder: Path) -> None:
    presigned(folder)
    with pytest.raises(UsageError, match="differ in number"):
        options("--operation", "upload", "--presign-json", "presign.json", "--files", "call1.wav")


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
