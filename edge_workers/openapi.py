"""The OpenAPI 3.1 document, made from the routes themselves.

Each view says with `@operation` what it takes and answers; the request models are the ones that
check the requests, so the document cannot ask for anything else.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from edge_workers.errors import class_of

Access = Literal["anyone", "optional", "signed_in"]
View = TypeVar("View", bound=Callable[..., Any])

_ATTRIBUTE: Final = "openapi_operation"
_REF: Final = "#/components/schemas/{model}"
_STATUS_TEXT: Final = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No content",
    303: "See other",
    304: "Not modified",
    503: "Service unavailable",
}


@dataclass(frozen=True)
class Operation:
    """What one view takes and answers."""

    summary: str
    description: str | None
    tag: str
    access: Access
    answers: Mapping[int, type[BaseModel] | None]
    body: type[BaseModel] | None
    parameters: type[BaseModel] | None
    media: Mapping[str, Any]
    headers: Mapping[str, bool]
    errors: tuple[str, ...]
    refusals: Mapping[int, tuple[str, ...]]


def operation(
    *,
    tag: str,
    access: Access = "anyone",
    answers: Mapping[int, type[BaseModel] | None],
    body: type[BaseModel] | None = None,
    parameters: type[BaseModel] | None = None,
    media: Mapping[str, Any] | None = None,
    headers: Mapping[str, bool] | None = None,
    errors: tuple[str, ...] = (),
    refusals: Mapping[int, tuple[str, ...]] | None = None,
) -> Callable[[View], View]:
    """Declares a view for the document; its docstring gives the summary and the description.

    `media` are the types of a body that is no model, each with an example; `headers` say whether
    they are required. `errors` are codes with a class here, beyond those that every route may
    answer; `refusals` are those that only the catalogue knows, by status.
    """

    def declare(view: View) -> View:
        described = Operation(
            *_summary(view),
            tag,
            access,
            answers,
            body,
            parameters,
            media or {},
            headers or {},
            errors,
            refusals or {},
        )
        setattr(view, _ATTRIBUTE, described)
        return view

    return declare


def _summary(view: Callable[..., Any]) -> tuple[str, str | None]:
    """The first paragraph of the docstring, and the others."""
    first, _, rest = (view.__doc__ or view.__name__).partition("\n\n")
    return " ".join(first.split()).removesuffix("."), " ".join(rest.split()) or None


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str
    code: str
    message: str
    details: dict[str, Any] | None = None


class Problem(BaseModel):
    """An error, as application/problem+json."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldProblem] | None = None
    payment_id: str | None = None


def operations(app: Flask) -> Iterator[tuple[str, str, Operation]]:
    """(path, method, operation) of every declared route."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda r: (r.rule, r.endpoint)):
        found = getattr(app.view_functions[rule.endpoint], _ATTRIBUTE, None)
        if isinstance(found, Operation):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
                yield path, method.lower(), found


def document(app: Flask, *, server_url: str) -> dict[str, Any]:
    """The whole document."""
    models = _models(app)
    references, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF
    )
    schemas = {model: references[(model, "validation")] for model in models}
    paths: dict[str, dict[str, Any]] = {}
    for path, method, found in operations(app):
        paths.setdefault(path, {})[method] = _describe(path, method, found, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mallgram",
            "version": "1",
            "description": (
                "The thin REST edge of the shop. Frontends with supabase-js talk to "
                "PostgREST directly. Amounts are numbers in major units beside their currency."
            ),
        },
        "servers": [{"url": server_url}],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {
                "accessToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                }
            },
        },
    }


def _models(app: Flask) -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {Problem: None}
    for _, _, declared in operations(app):
        for model in (declared.body, declared.parameters, *declared.answers.values()):
            if model is not None:
                found[model] = None
    return list(found)


def _describe(
    path: str,
    method: str,
    declared: Operation,
    schemas: Mapping[type[BaseModel], Mapping[str, Any]],
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method}{path}").strip("_"),
        "summary": declared.summary,
        "tags": [declared.tag],
        "parameters": [
            *_path_parameters(path),
            *_query_parameters(declared.parameters),
        ],
        "responses": _responses(declared, schemas),
    }
    if declared.description is not None:
        described["description"] = declared.description
    for name, is_required in declared.headers.items():
        described["parameters"].append(
            {
                "name": name,
                "in": "header",
                "required": is_required,
                "schema": {"type": "string"},
            }
        )
    if declared.access == "signed_in":
        described["security"] = [{"accessToken": []}]
    elif declared.access == "optional":
        described["security"] = [{}, {"accessToken": []}]
    if declared.body is not None and method in {"post", "put"}:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[declared.body]}},
        }
    elif declared.media:
        described["requestBody"] = {
            "required": True,
            "content": {
                media_type: {
                    "schema": {"type": "string" if isinstance(example, str) else "object"},
                    "example": example,
                }
                for media_type, example in declared.media.items()
            },
        }
    return described


def _responses(
    declared: Operation, schemas: Mapping[type[BaseModel], Mapping[str, Any]]
) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in declared.answers.items():
        responses[str(status)] = {"description": _STATUS_TEXT[status]}
        if model is not None:
            responses[str(status)]["content"] = {"application/json": {"schema": schemas[model]}}
    for status, code in _refused(declared):
        entry = responses.setdefault(
            str(status),
            {
                "description": "",
                "content": {"application/problem+json": {"schema": schemas[Problem]}},
            },
        )
        entry["description"] = f"{entry['description']} {code}".strip()
    responses["default"] = {
        "description": "An error",
        "content": {"application/problem+json": {"schema": schemas[Problem]}},
    }
    return responses


def _refused(declared: Operation) -> Iterator[tuple[int, str]]:
    """(status, code) of every error that the view names."""
    for code in declared.errors:
        error_class = class_of(code)
        if error_class is None:
            raise ValueError(f"{code} has no class")
        yield error_class.status, code
    for status, codes in declared.refusals.items():
        for code in codes:
            yield status, code


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"}
            if name.endswith("_id")
            else {"type": "string"},
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema(ref_template=_REF)
    required = set(schema.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": part}
        for name, part in schema["properties"].items()
    ]
