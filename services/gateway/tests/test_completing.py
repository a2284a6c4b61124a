"""What a client says it sent, against what the store has."""

import pytest

from sluice_contracts.api import CompleteRequest, GivenPart
from sluice_contracts.questions import DirectContents, DirectView, FoundPart, OpenDirect, Principal
from sluice_contracts.statuses import UploadStatus
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.completing import Completed, check_sent, complete_direct
from sluice_gateway.usecases.direct import refuse_ended
from sluice_runtime.errors import Conflict, Rejected, SluiceError

from .fakes import NOW, FakeWorld

MIB = 1024**2


def view(size: int | None = None, *, in_parts: bool = True, **changes: object) -> DirectView:
    return DirectView.model_validate(
        {
            "upload_id": "upl_00000001",
            "filename": "a.wav",
            "content_type": "audio/wav",
            "bucket": "media",
            "key": "k",
            "session_id": "s" if in_parts else None,
            "part_size": 8 * MIB if in_parts else None,
            "size_bytes": size,
            "status": "uploading",
            "created_at": NOW,
            "created_by": "me",
            "deadline": NOW,
            **changes,
        }
    )


def there(*sizes: int, first: int = 1) -> DirectContents:
    parts = [
        FoundPart(number=number, etag=f"e{number}", size_bytes=size)
        for number, size in enumerate(sizes, start=first)
    ]
    return DirectContents(parts=tuple(parts))


def given(*numbers: int) -> tuple[GivenPart, ...]:
    return tuple(GivenPart(number=number, etag=f'"e{number}"') for number in numbers)


def code_of(
    upload: DirectView, contents: DirectContents, named: tuple[GivenPart, ...] | None = None
) -> str:
    with pytest.raises(SluiceError) as caught:
        check_sent(upload, contents, named)
    return caught.value.code


def test_parts_are_joined_as_the_store_has_them() -> None:
    session = check_sent(view(16 * MIB + 1), there(8 * MIB, 8 * MIB, 1), None)
    assert session is not None
    assert [(part.number, part.etag) for part in session.parts] == [
        (1, "e1"),
        (2, "e2"),
        (3, "e3"),
    ]


def test_only_the_parts_that_are_named_are_joined() -> None:
    session = check_sent(view(), there(8 * MIB, 8 * MIB, 1), given(1, 3))
    assert session is not None
    assert [part.number for part in session.parts] == [1, 3]


@pytest.mark.parametrize("in_parts", [True, False])
def test_an_object_that_is_there_needs_no_joining(in_parts: bool) -> None:
    contents = DirectContents(size_bytes=10)
    assert check_sent(view(10, in_parts=in_parts), contents, None) is None


def test_more_than_was_promised_is_for_storage_to_refuse() -> None:
    assert check_sent(view(5), there(8 * MIB), None) is not None


@pytest.mark.parametrize(
    ("upload", "contents", "named", "code"),
    [
        (view(10, in_parts=False), DirectContents(), None, "not-uploaded"),
        (view(), there(), None, "not-uploaded"),
        (view(), there(8 * MIB, first=2), None, "part-missing"),
        (view(), there(8 * MIB), given(1, 2), "part-missing"),
        (view(), there(8 * MIB, 1), given(2, 1), "part-order-wrong"),
        (view(), there(8 * MIB, 1), given(1, 1), "part-order-wrong"),
        (view(), there(8 * MIB), (GivenPart(number=1, etag="e2"),), "part-mismatch"),
        (view(), there(MIB, 1), None, "part-too-small"),
        (view(8 * MIB + 1), there(8 * MIB), None, "upload-incomplete"),
    ],
)
def test_what_does_not_fit_leaves_the_upload_open(
    upload: DirectView,
    contents: DirectContents,
    named: tuple[GivenPart, ...] | None,
    code: str,
) -> None:
    assert code_of(upload, contents, named) == code


@pytest.mark.parametrize("status", [UploadStatus.CREATED, UploadStatus.UPLOADING])
def test_an_open_upload_goes_on(status: UploadStatus) -> None:
    refuse_ended(view(status=status))


def test_a_failed_upload_says_why_for_ever() -> None:
    with pytest.raises(Rejected) as caught:
        refuse_ended(view(status="failed", failure_code="digest-mismatch"))
    assert caught.value.code == "digest-mismatch"


@pytest.mark.parametrize("status", ["cancelled", "expired", "registered"])
def test_an_upload_that_ended_takes_nothing(status: str) -> None:
    with pytest.raises(Conflict, match=f"is {status}") as caught:
        refuse_ended(view(status=status))
    assert caught.value.code == "upload-ended"


ME = Principal(tenant="dev", subject="me", scopes=frozenset({"uploads:write"}))
DIGEST, OTHER = "1" * 64, "2" * 64


@pytest.mark.parametrize("named", [None, DIGEST])
async def test_a_registered_upload_is_registered_however_often_one_asks(named: str | None) -> None:
    completed = await complete_again(named)
    assert (completed.answer, completed.upload.sha256) == (Answer.REGISTERED, DIGEST)


async def test_a_repeat_that_names_other_bytes_is_told_so() -> None:
    with pytest.raises(Conflict, match=DIGEST) as caught:
        await complete_again(OTHER)
    assert caught.value.code == "digest-differs"


async def complete_again(sha256: str | None) -> Completed:
    async def registered(_: OpenDirect) -> DirectView:
        return view(10, status="registered", sha256=DIGEST)

    deps = FakeWorld(answers={OpenDirect: registered}).deps()
    return await complete_direct(ME, "upl_00000001", CompleteRequest(sha256=sha256), deps)
