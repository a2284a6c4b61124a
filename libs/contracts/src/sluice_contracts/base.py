"""What every contract model has in common, and the constrained words they are built of."""

import re
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
)


class Contract(BaseModel):
    """A message or a part of one: frozen, and tolerant of fields it does not know.

    Within `v1` fields are only added, and added ones are optional, so an old reader
    and a new writer understand each other.
    """

    # No process uses them all, and each starts sooner when it builds what it does use then.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Body(BaseModel):
    """A request body of the public API: frozen, and strict about fields it does not know.

    A misspelt field is an error for its sender, never a silently dropped wish.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class LenientBody(Body):
    """A request body of clients that were written against another server: they send their whole
    models, and what we do not know of them is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


# A subject token: what may stand between two dots of a NATS subject.
Token = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
BatchId = Annotated[str, StringConstraints(pattern=r"^rb_[a-z0-9]{8,40}$")]
RecordingId = Annotated[str, StringConstraints(pattern=r"^rec_[a-z0-9]{8,40}$")]
UploadId = Annotated[str, StringConstraints(pattern=r"^upl_[a-z0-9]{8,40}$")]
ObjectKey = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
ContentType = Annotated[
    str, StringConstraints(max_length=127, pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$")
]


def _number(value: Any) -> Any:
    if isinstance(value, str | bool):
        raise ValueError("Input should be a valid integer")  # noqa: TRY004 - pydantic knows it
    return value


# Behind what else is said of an integer from JSON: a text that looks like a number is none.
NUMBER = BeforeValidator(_number)
Moment = AwareDatetime
Size = Annotated[int, Field(ge=0, le=2**53)]
JsonObject = dict[str, JsonValue]

_TOKEN = re.compile(r"[a-z0-9_-]{1,64}")


def token(value: Any) -> str:
    """`value` as a subject token.

    Raises:
        ValueError: it holds a dot, a wildcard, a space or a capital.
    """
    text = str(value)
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{text!r} cannot be a subject token")
    return text
