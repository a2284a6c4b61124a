"""JSON that comes out again as it went in."""

import json
from typing import TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def read_json(shape: TypeAdapter[T], content: bytes) -> T:
    """What `content` holds.

    Raises:
        ValueError: it has another shape, or is no JSON; nor is `NaN`, or a number as large as
            `1e999`, which would come out as null.
    """
    value = shape.validate_json(content)
    json.dumps(value, allow_nan=False)
    return value
