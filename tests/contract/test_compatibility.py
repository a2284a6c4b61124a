"""Each kind of break is found, and harmless changes are not called breaks."""

from typing import Any

import pytest

from sluice_contracts.schemas import Direction, exported

from .compatibility import breaking_changes

SAID, ASKED = Direction.SAID, Direction.ASKED
BOTH = (SAID, ASKED)
TEXT: dict[str, Any] = {"type": "string"}
COUNT: dict[str, Any] = {"type": "integer"}
NOTHING: dict[str, Any] = {"type": "null"}


def thing(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def referring(definition: dict[str, Any], **beside: Any) -> dict[str, Any]:
    reference = {"$ref": "#/$defs/Inner", **beside}
    return {**thing(a=reference), "$defs": {"Inner": definition}}


BREAKS_EVERYONE = {
    "removed": (thing(a=TEXT, b=TEXT), thing(a=TEXT), [".b: removed"]),
    "renamed": (
        thing(("a",), a=TEXT),
        thing(("b",), b=TEXT),
        [".a: removed", ".b: newly required"],
    ),
    "newly required": (thing(a=TEXT), thing(("a",), a=TEXT), [".a: newly required"]),
    "added and required": (thing(), thing(("a",), a=TEXT), [".a: newly required"]),
    "number to integer": (
        thing(a={"type": "number"}),
        thing(a=COUNT),
        [".a: number is not taken any more, only integer"],
    ),
    "null not taken": (
        thing(a={"anyOf": [TEXT, NOTHING]}),
        thing(a=TEXT),
        [".a: null is not taken any more, only string"],
    ),
    "anything to something": (
        thing(a={}),
        thing(a=TEXT),
        [".a: anything is not taken any more, only string"],
    ),
    "enum value removed": (
        {"type": "string", "enum": ["x", "y"]},
        {"type": "string", "enum": ["x"]},
        [".: the value 'y' is gone"],
    ),
    "const changed": (
        {"type": "string", "const": "x"},
        {"type": "string", "const": "y"},
        [".: the value 'x' is gone"],
    ),
    "enum introduced": (
        TEXT,
        {"type": "string", "enum": ["x"]},
        [".: only certain values are taken now"],
    ),
    "pattern added": (TEXT, TEXT | {"pattern": "^a$"}, [".: another pattern"]),
    "pattern changed": (
        TEXT | {"pattern": "^a$"},
        TEXT | {"pattern": "^b$"},
        [".: another pattern"],
    ),
    "format added": (TEXT, TEXT | {"format": "date-time"}, [".: another format"]),
    "format removed": (TEXT | {"format": "date-time"}, TEXT, [".: another format"]),
    "maximum lowered": (
        COUNT | {"maximum": 9},
        COUNT | {"maximum": 8},
        [".: maximum lowered to 8"],
    ),
    "maximum added": (COUNT, COUNT | {"maximum": 8}, [".: maximum lowered to 8"]),
    "exclusive maximum added": (
        COUNT,
        COUNT | {"exclusiveMaximum": 8},
        [".: exclusiveMaximum lowered to 8"],
    ),
    "minimum raised": (COUNT | {"minimum": 0}, COUNT | {"minimum": 1}, [".: minimum raised to 1"]),
    "minimum zero added": (COUNT, COUNT | {"minimum": 0}, [".: minimum raised to 0"]),
    "length added": (TEXT, TEXT | {"maxLength": 8}, [".: maxLength lowered to 8"]),
    "shortest raised": (TEXT, TEXT | {"minLength": 1}, [".: minLength raised to 1"]),
    "fewer elements": (
        {"type": "array", "items": TEXT, "maxItems": 10},
        {"type": "array", "items": TEXT, "maxItems": 5},
        [".: maxItems lowered to 5"],
    ),
    "no repeats": (
        {"type": "array"},
        {"type": "array", "uniqueItems": True},
        [".: no element may repeat now"],
    ),
    "element retyped": (
        {"type": "array", "items": {"anyOf": [TEXT, COUNT]}},
        {"type": "array", "items": TEXT},
        ["[]: integer is not taken any more, only string"],
    ),
    "closed": (thing(), thing() | {"additionalProperties": False}, [".*: closed"]),
    "values of free names narrowed": (
        {"type": "object", "additionalProperties": True},
        {"type": "object", "additionalProperties": TEXT},
        [".*: anything is not taken any more, only string"],
    ),
    "names narrowed": (
        {"type": "object"},
        {"type": "object", "propertyNames": {"pattern": "^a$"}},
        [".(names): another pattern"],
    ),
    "deep inside a reference": (
        referring(thing(b=COUNT)),
        referring(thing(("b",), b=COUNT)),
        [".a.b: newly required"],
    ),
    "beside a reference": (
        referring(COUNT),
        referring(COUNT, maximum=3),
        [".a: maximum lowered to 3"],
    ),
    "inside allOf": (
        {"allOf": [thing(a=TEXT), thing(b=TEXT)]},
        {"allOf": [thing(a=TEXT), thing()]},
        [".b: removed"],
    ),
    "alternative removed": (
        {"anyOf": [thing(a=TEXT), TEXT]},
        {"anyOf": [thing(a=TEXT)]},
        [".: string is not taken any more, only object"],
    ),
    "default changed": (
        thing(a=COUNT | {"default": 1}),
        thing(a=COUNT | {"default": 2}),
        [".a: another default"],
    ),
    "a keyword we do not know": (COUNT, COUNT | {"multipleOf": 2}, [".: multipleOf changed"]),
}

BREAKS_READERS_OF_WHAT_WE_SAY = {
    "may be missing": (thing(("a",), a=TEXT), thing(a=TEXT), [".a: may be missing now"]),
    "may be null": (
        thing(a=TEXT),
        thing(a={"anyOf": [TEXT, NOTHING]}),
        [".a: may be null now"],
    ),
    "may be text": (COUNT, {"type": ["integer", "string"]}, [".: may be string now"]),
    "may be anything": (thing(a=TEXT), thing(a={}), [".a: may be anything now"]),
    "integer to number": (COUNT, {"type": "number"}, [".: may be number now"]),
}

HARMLESS = {
    "the same": (thing(("a",), a=TEXT), thing(("a",), a=TEXT)),
    "optional added": (thing(a=TEXT), thing(a=TEXT, b=TEXT)),
    "optional added with default": (thing(), thing(b=COUNT | {"default": 3})),
    "words": (
        TEXT | {"title": "A", "description": "old"},
        TEXT | {"title": "B", "description": "new", "examples": ["x"]},
    ),
    "enum value added": (
        {"type": "string", "enum": ["x"]},
        {"type": "string", "enum": ["x", "y"]},
    ),
    "const to enum": (
        {"type": "string", "const": "x"},
        {"type": "string", "enum": ["x", "y"]},
    ),
    "enum dropped": ({"type": "string", "enum": ["x"]}, TEXT),
    "pattern dropped": (TEXT | {"pattern": "^a$"}, TEXT),
    "maximum raised": (COUNT | {"maximum": 8}, COUNT | {"maximum": 9}),
    "minimum dropped": (COUNT | {"minimum": 8}, COUNT),
    "shortest is nothing": (TEXT, TEXT | {"minLength": 0}),
    "opened": (thing() | {"additionalProperties": False}, thing()),
    "order of required": (thing(("a", "b"), a=TEXT, b=TEXT), thing(("b", "a"), b=TEXT, a=TEXT)),
    "order of alternatives": ({"anyOf": [TEXT, COUNT]}, {"anyOf": [COUNT, TEXT]}),
    "written in place of a reference": (referring(thing(b=TEXT)), thing(a=thing(b=TEXT))),
    "definition renamed": (
        referring(TEXT),
        {**thing(a={"$ref": "#/$defs/Other"}), "$defs": {"Other": TEXT}},
    ),
    "another kind in a union": (
        referring(thing(("kind",), kind={"type": "string", "const": "recording"}, b=TEXT)),
        {
            **thing(a={"oneOf": [{"$ref": "#/$defs/R"}, {"$ref": "#/$defs/C"}]}),
            "$defs": {
                "R": thing(("kind",), kind={"type": "string", "const": "recording"}, b=TEXT),
                "C": thing(("kind",), kind={"type": "string", "const": "call"}, c=TEXT),
            },
        },
    ),
}


@pytest.mark.parametrize("direction", BOTH)
@pytest.mark.parametrize("name", BREAKS_EVERYONE)
def test_a_break_for_everyone_is_found(name: str, direction: Direction) -> None:
    old, new, expected = BREAKS_EVERYONE[name]
    assert breaking_changes(old, new, direction) == expected


def test_another_type_is_found_from_both_sides() -> None:
    old, new = thing(a=TEXT), thing(a=COUNT)
    gone = ".a: string is not taken any more, only integer"
    assert breaking_changes(old, new, ASKED) == [gone]
    assert breaking_changes(old, new, SAID) == [gone, ".a: may be integer now"]


@pytest.mark.parametrize("name", BREAKS_READERS_OF_WHAT_WE_SAY)
def test_saying_more_breaks_readers_and_taking_more_breaks_nobody(name: str) -> None:
    old, new, expected = BREAKS_READERS_OF_WHAT_WE_SAY[name]
    assert breaking_changes(old, new, SAID) == expected
    assert breaking_changes(old, new, ASKED) == []


@pytest.mark.parametrize("direction", BOTH)
@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_change_is_not_called_a_break(name: str, direction: Direction) -> None:
    old, new = HARMLESS[name]
    assert breaking_changes(old, new, direction) == []


def test_a_break_is_found_in_every_alternative_of_a_union_that_shares_a_part() -> None:
    def union(shared: dict[str, Any]) -> dict[str, Any]:
        part = {"$ref": "#/$defs/Part"}
        kinds = [
            thing(("kind",), kind={"type": "string", "const": name}, part=part) for name in "xy"
        ]
        return {"oneOf": kinds, "$defs": {"Part": shared}}

    assert breaking_changes(union(thing(a=TEXT)), union(thing())) == [".part.a: removed"]


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    def tree(leaf: dict[str, Any]) -> dict[str, Any]:
        node = thing(leaf=leaf, children={"type": "array", "items": {"$ref": "#/$defs/Node"}})
        return {"$ref": "#/$defs/Node", "$defs": {"Node": node}}

    assert breaking_changes(tree(TEXT), tree(TEXT)) == []
    assert breaking_changes(tree(TEXT), tree(TEXT | {"maxLength": 3})) == [
        ".leaf: maxLength lowered to 3"
    ]


@pytest.mark.parametrize("one", exported(), ids=lambda one: one.name)
def test_every_property_of_ours_is_missed_when_it_goes(one: Any) -> None:
    schema = one.schema()
    for name in schema.get("properties", {}):
        rest = {key: value for key, value in schema["properties"].items() if key != name}
        required = [other for other in schema.get("required", ()) if other != name]
        poorer = {**schema, "properties": rest, "required": required}
        assert f".{name}: removed" in breaking_changes(schema, poorer, one.direction)
