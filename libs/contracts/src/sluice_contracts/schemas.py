"""JSON Schemas of every message and body, for readers that are not written in Python.

`python -m sluice_contracts.schemas libs/contracts/schemas` writes them; they are committed, so
that a change of a contract is seen in review, and `tests/contract/test_schemas.py` compares.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sluice_contracts.api import BODIES
from sluice_contracts.base import Body
from sluice_contracts.envelope import SCHEMA_ROOT, Envelope
from sluice_contracts.facts import FACTS, Fact, StatusChanged
from sluice_contracts.questions import QUESTIONS, FailureDetail, UploadOutcome

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


class Direction(Enum):
    """Who reads what a schema describes: others what we say, or we what others ask."""

    SAID = auto()
    ASKED = auto()


@dataclass(frozen=True)
class Exported:
    """One model under the name its schema is published as."""

    name: str
    model: type[BaseModel]
    direction: Direction

    @property
    def file_name(self) -> str:
        return f"{self.name}.v1.json"

    def schema(self) -> dict[str, Any]:
        """What a reader has to accept; a field with a default may be missing."""
        return {
            "$schema": _DIALECT,
            "$id": f"{SCHEMA_ROOT}/{self.file_name}",
            **self.model.model_json_schema(mode="validation"),
        }

    def text(self) -> str:
        """The schema as it is committed: sorted, so that a diff shows only what changed."""
        return json.dumps(self.schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def exported() -> list[Exported]:
    """Everything that is published, by name."""
    return sorted(_all(), key=lambda one: one.name)


def _all() -> Iterator[Exported]:
    yield Exported("envelope.event", Envelope, Direction.SAID)
    for fact in FACTS:
        yield Exported(f"fact.{_fact_name(fact)}", fact, Direction.SAID)
    for question in QUESTIONS:
        name = f"{question.SERVICE}.{question.ENTITY}.{question.VERB}"
        yield Exported(f"question.{name}", question, Direction.ASKED)
        yield Exported(f"answer.{name}", question.ANSWER, Direction.SAID)
    for answer in (UploadOutcome, FailureDetail):
        yield Exported(f"answer.{_snake(answer)}", answer, Direction.SAID)
    for body in BODIES:
        if issubclass(body, Body):
            yield Exported(f"request.{_snake(body)}", body, Direction.ASKED)
        else:
            yield Exported(f"response.{_snake(body)}", body, Direction.SAID)


def _fact_name(fact: type[Fact]) -> str:
    return fact.EVENT if fact is StatusChanged else f"{fact.ENTITY}.{fact.EVENT}"


def _snake(model: type[BaseModel]) -> str:
    return _CAPITAL.sub("_", model.__name__).lower()


def write(folder: Path) -> None:
    """Write every schema to `folder`. Files of models that are gone stay for you to judge."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in exported():
        (folder / one.file_name).write_text(one.text(), encoding="utf-8")


def main() -> None:
    """`python -m sluice_contracts.schemas FOLDER`."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m sluice_contracts.schemas FOLDER")
    write(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
