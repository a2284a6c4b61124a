"""How a route takes a form: streamed, under watch, and refused as early as can be."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from sluice_gateway.forms import Form, FormRules
from sluice_gateway.routes.edge import Edge, InvalidRequest, Places, content_length, is_encoded
from sluice_gateway.usecases.watching import (
    Meter,
    metered,
    too_large,
    under_watch,
    watch_pace,
)
from sluice_runtime.errors import Rejected

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

# What the fields of a form and its boundaries may add to its file.
_SLACK_BYTES = 1024**2


async def take_form(
    request: Request,
    rules: FormRules,
    edge: Edge,
    work: Callable[[Form], Awaitable[T]],
    *,
    places: Places | None = None,
) -> T | Response:
    """What `work` makes of the form of a request, or an answer nobody will read.

    `places` are those of senders nobody knows yet; `work` takes a real one once it does.

    Raises:
        Rejected: the form is compressed, malformed, too large or too slow, or what `work` refused
            it with.
        Unavailable: too many uploads are under way.
    """
    if is_encoded(request):
        raise Rejected("Send the form as it is, with no Content-Encoding.", code="not-a-form")
    most = rules.max_file_bytes + _SLACK_BYTES
    if (content_length(request) or 0) > most:
        raise too_large(rules.max_file_bytes)
    meter = Meter()
    body = metered(request.stream(), meter, most)

    async def run() -> T:
        form = await Form.open(request.headers.get("content-type", ""), body, rules)
        return await work(form)

    try:
        with (places or edge.uploads).place():
            return await under_watch(run(), partial(watch_pace, meter, edge.deps))
    except ClientDisconnect:
        # What was sent is removed already.
        return Response(status_code=HTTPStatus.BAD_REQUEST)


def read_fields(
    model: type[M], fields: Mapping[str, Any], refusal: type[InvalidRequest] = InvalidRequest
) -> M:
    """The fields of a form, or of a body that was read, as `model`.

    Raises:
        InvalidRequest: they are not what the model says; it is a `refusal`.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise refusal.of(error.errors(include_input=False, include_url=False)) from error


def check_fields(
    model: type[BaseModel],
    fields: dict[str, str],
    refusal: type[InvalidRequest] = InvalidRequest,
) -> None:
    """Look at those fields of a form that came already; what is missing may still come.

    Raises:
        InvalidRequest: one of them is not what the model says; it is a `refusal`.
    """
    try:
        model.model_validate(fields)
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False)
        wrong = [one for one in errors if one["type"] != "missing"]
        if wrong:
            raise refusal.of(wrong) from error


def form_schema(model: type[BaseModel], file_field: str) -> dict[str, Any]:
    """The form of a route that reads it itself, for OpenAPI."""
    schema = model.model_json_schema()
    schema["properties"] = {
        **schema.get("properties", {}),
        file_field: {"type": "string", "contentMediaType": "application/octet-stream"},
    }
    schema["required"] = [*schema.get("required", []), file_field]
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }
