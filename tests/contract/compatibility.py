"""Which changes of a JSON Schema break somebody. Pure; knows nothing of Sluice.

Services are upgraded one at a time, the stream keeps facts for two weeks, and clients are never
upgraded on our day. So in both directions a new reader meets what an old writer wrote:

- a property that is newly required, a property that disappears (a rename is both), a type that
  changes, and everything that narrows a value is a break, whoever reads.

For what we say (facts, answers, HTTP answers) an old reader also meets what a new writer writes:

- a property that may be missing from now on, or that may take a type it never had (also null), is
  a break: readers reach into it without looking.
- An enum value more, a wider limit, or an object more in a union told apart by its `kind` is not.
  Statuses and kinds grow with every door, and a `v2` of everything for each would help nobody.
  The price: readers of ours go out before the writers, and readers outside are told to take a
  value they do not know for one more of its sort.

For what others ask (questions, request bodies) only we read, so taking more than before is fine.

A changed default is a break in both directions: what was left out means something else now.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sluice_contracts.schemas import Direction

Schema = Mapping[str, Any]

_ANNOTATIONS = frozenset(
    {"title", "description", "examples", "deprecated", "$comment", "$schema", "$id", "$defs"}
) | {"default", "discriminator"}
_FLOORS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_CEILINGS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SHAPES = frozenset(
    {"type", "enum", "pattern", "format", "uniqueItems", *_FLOORS, *_CEILINGS}
    | {"properties", "required", "additionalProperties", "propertyNames", "items"}
)
_TYPE = "type"
_ANYTHING = "anything"


def breaking_changes(old: Schema, new: Schema, direction: Direction = Direction.SAID) -> list[str]:
    """What in `new` breaks somebody who relies on `old`, a line each; empty when nothing does."""
    comparison = _Comparison(old, new, direction is Direction.SAID, [])
    return list(dict.fromkeys(comparison.compare("", old, new)))


@dataclass(frozen=True)
class _Comparison:
    old_root: Schema
    new_root: Schema
    said: bool
    inside: list[tuple[str, str]]

    def compare(self, path: str, old: Schema | bool, new: Schema | bool) -> Iterator[str]:
        pair = (_reference(old), _reference(new))
        if all(pair) and pair in self.inside:
            return  # a schema that contains itself: the answer is being worked out further up
        self.inside.append(pair)
        was, now = _alternatives(old, self.old_root), _alternatives(new, self.new_root)
        for one in was:
            yield from self._find_home(path, one, now)
        if self.said:
            yield from _new_types(path, was, now)
        self.inside.pop()

    def _find_home(self, path: str, old: Schema, now: list[Schema]) -> Iterator[str]:
        """Breaks of the new alternative that is nearest to an old one."""
        homes = [one for one in now if _covers(_type(one), _type(old))]
        if not homes:
            types = ", ".join(sorted({_type(one) for one in now})) or "nothing"
            yield f"{path or '.'}: {_type(old)} is not taken any more, only {types}"
            return
        trials = [list(self._compare_one(path, old, home)) for home in homes]
        yield from min(trials, key=len)

    def _compare_one(self, path: str, old: Schema, new: Schema) -> Iterator[str]:
        yield from _values(path, old, new)
        yield from _limits(path, old, new)
        yield from self._properties(path, old, new)
        yield from self._inner(path, old, new)
        for keyword in sorted((old.keys() | new.keys()) - _SHAPES - _ANNOTATIONS):
            if old.get(keyword) != new.get(keyword):
                yield f"{path or '.'}: {keyword} changed"

    def _properties(self, path: str, old: Schema, new: Schema) -> Iterator[str]:
        was, now = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(was.keys() - now.keys()):
            yield f"{path}.{name}: removed"
        for name in sorted(needs - needed):
            yield f"{path}.{name}: newly required"
        if self.said:
            for name in sorted((needed - needs) & now.keys()):
                yield f"{path}.{name}: may be missing now"
        for name in sorted(was.keys() & now.keys()):
            yield from self.compare(f"{path}.{name}", was[name], now[name])
            if _changed_default(was[name], now[name]):
                yield f"{path}.{name}: another default"

    def _inner(self, path: str, old: Schema, new: Schema) -> Iterator[str]:
        """Schemas of what lies inside: elements, values of free names, the names themselves."""
        for keyword, step in (
            ("items", "[]"),
            ("additionalProperties", ".*"),
            ("propertyNames", ".(names)"),
        ):
            was, now = old.get(keyword, True), new.get(keyword, True)
            if was is False or was is now is True:
                continue  # closed, so nobody misses or trips over anything; or open as before
            if now is False:
                yield f"{path}{step}: closed"
            else:
                yield from self.compare(f"{path}{step}", was, now)


def _reference(schema: Schema | bool) -> str:
    return "" if isinstance(schema, bool) else str(schema.get("$ref", ""))


def _alternatives(schema: Schema | bool, root: Schema) -> list[Schema]:
    """`schema` as a list of plain schemas, each with one type, without references."""
    if isinstance(schema, bool):
        return [{}] if schema else []
    rest = {k: v for k, v in schema.items() if k not in ("$ref", "allOf", "anyOf", "oneOf")}
    found: list[Schema] = [rest]
    for group in _groups(schema, root):
        found = [_merge(one, other) for one in found for other in group]
    return [single for one in found for single in _single_typed(_plain_enum(one))]


def _groups(schema: Schema, root: Schema) -> Iterator[list[Schema]]:
    """Each list holds alternatives; one of every list applies."""
    if "$ref" in schema:
        yield _alternatives(_resolve(schema["$ref"], root), root)
    for one in schema.get("allOf", ()):
        yield _alternatives(one, root)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            yield [found for one in schema[keyword] for found in _alternatives(one, root)]


def _resolve(reference: str, root: Schema) -> Schema:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    resolved: Schema = found
    return resolved


def _merge(one: Schema, other: Schema) -> Schema:
    """Both at once; where both limit the same thing, the stricter limit counts."""
    merged = {**one, **other}
    for keyword in one.keys() & other.keys():
        if keyword in _FLOORS:
            merged[keyword] = max(one[keyword], other[keyword])
        elif keyword in _CEILINGS:
            merged[keyword] = min(one[keyword], other[keyword])
        elif keyword == "properties":
            merged[keyword] = {**one[keyword], **other[keyword]}
        elif keyword == "required":
            merged[keyword] = sorted({*one[keyword], *other[keyword]})
        elif keyword == "enum":
            merged[keyword] = [value for value in one[keyword] if value in other[keyword]]
    return merged


def _plain_enum(schema: Schema) -> Schema:
    if "const" not in schema:
        return schema
    return {**{k: v for k, v in schema.items() if k != "const"}, "enum": [schema["const"]]}


def _single_typed(schema: Schema) -> Iterator[Schema]:
    types = schema.get(_TYPE)
    if isinstance(types, list):
        for name in types:
            yield {**schema, _TYPE: name}
    else:
        yield schema


def _type(schema: Schema) -> str:
    return str(schema.get(_TYPE, _ANYTHING))


def _covers(new: str, old: str) -> bool:
    return new in (old, _ANYTHING) or (new, old) == ("number", "integer")


def _new_types(path: str, was: list[Schema], now: list[Schema]) -> Iterator[str]:
    known = {_type(one) for one in was}
    for name in sorted({_type(one) for one in now}):
        if not any(_covers(old, name) for old in known):
            yield f"{path or '.'}: may be {name} now"


def _values(path: str, old: Schema, new: Schema) -> Iterator[str]:
    """Enums, patterns and formats: removed values, and rules that are new or different."""
    where = path or "."
    if "enum" in new:
        if "enum" not in old:
            yield f"{where}: only certain values are taken now"
        for value in old.get("enum", ()):
            if value not in new["enum"]:
                yield f"{where}: the value {value!r} is gone"
    if new.get("pattern") not in (None, old.get("pattern")):
        yield f"{where}: another pattern"
    if new.get("format") != old.get("format"):
        yield f"{where}: another format"
    if new.get("uniqueItems", False) and not old.get("uniqueItems", False):
        yield f"{where}: no element may repeat now"


def _limits(path: str, old: Schema, new: Schema) -> Iterator[str]:
    where = path or "."
    for keyword in _FLOORS:
        if keyword in new and (keyword not in old or new[keyword] > old[keyword]):
            if keyword.startswith("min") and keyword != "minimum" and new[keyword] == 0:
                continue  # no limit at all
            yield f"{where}: {keyword} raised to {new[keyword]}"
    for keyword in _CEILINGS:
        if keyword in new and (keyword not in old or new[keyword] < old[keyword]):
            yield f"{where}: {keyword} lowered to {new[keyword]}"


def _changed_default(old: Schema | bool, new: Schema | bool) -> bool:
    if isinstance(old, bool) or isinstance(new, bool) or "default" not in old:
        return False
    return "default" in new and old["default"] != new["default"]
