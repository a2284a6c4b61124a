"""The description of the API, as `/docs` shows it and as generators and contract tests read it."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from sluice_contracts.api import Problem

Json = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_OWN_DEFINITIONS = "#/$defs/"
_REFUSAL = {"$ref": f"{_SCHEMAS}{Problem.__name__}"}
# What FastAPI would answer to a wrong request; here that is a problem as well.
_NOT_OURS = ("HTTPValidationError", "ValidationError")
_REFUSALS = (_REFUSAL, {"$ref": f"{_SCHEMAS}{_NOT_OURS[0]}"})
_CONTENT = {"application/problem+json": {"schema": _REFUSAL}}


class Api(FastAPI):
    """An application whose description says what clients meet.

    FastAPI says of a refusal that it is plain JSON, leaves out those that no route declares, and
    takes over the schemas of bodies with references that lead nowhere in a larger document.
    """

    def openapi(self) -> Json:
        is_new = self.openapi_schema is None
        document = super().openapi()
        if is_new:
            schemas = document["components"]["schemas"]
            for operation in _operations(document):
                _lift_definitions(operation, schemas)
                _describe_refusals(operation["responses"])
            for name in _NOT_OURS:
                schemas.pop(name, None)
        return document


def _operations(document: Json) -> Iterator[Json]:
    for methods in document["paths"].values():
        yield from methods.values()


def _lift_definitions(node: Any, schemas: Json) -> None:
    """Have what a schema brings with it stand where all the others do.

    Raises:
        ValueError: two schemas have one name.
    """
    if isinstance(node, list):
        for one in node:
            _lift_definitions(one, schemas)
    elif isinstance(node, dict):
        for name, schema in node.pop("$defs", {}).items():
            _lift_definitions(schema, schemas)
            if schemas.setdefault(name, schema) != schema:
                raise ValueError(f"Two schemas of the API are called {name}.")
        reference = node.get("$ref", "")
        if reference.startswith(_OWN_DEFINITIONS):
            node["$ref"] = _SCHEMAS + reference.removeprefix(_OWN_DEFINITIONS)
        for one in node.values():
            _lift_definitions(one, schemas)


def _describe_refusals(responses: Json) -> None:
    """Every refusal is a problem document; which there are besides those named, its code says."""
    for response in responses.values():
        shown = [kind.get("schema") for kind in response.get("content", {}).values()]
        if any(schema in _REFUSALS for schema in shown):
            response["content"] = _CONTENT
    responses["default"] = {"description": "Any other refusal.", "content": _CONTENT}
