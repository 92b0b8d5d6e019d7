"""Every error of the edge in one shape: application/problem+json (RFC 9457).

`{type, title, status, code, detail, request_id, errors?}`; `detail` is the code's text in the
reader's language, `errors` names the fields: `[{field, code, message, details?}]`.
"""

import re
from typing import Any, Final

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from edge_workers import exact_json
from edge_workers.errors import (
    BY_STATUS,
    AppError,
    FieldError,
    InternalError,
    Language,
    ValidationError,
    class_of,
)
from edge_workers.log import get_logger
from edge_workers.parts import parts

log = get_logger(__name__)

CONTENT_TYPE: Final = "application/problem+json"
_USER_LANGUAGE_SECONDS: Final = 300

# The field that a refusal of the database speaks of, where its name alone does not say.
_FIELD_OF_CODE: Final = {
    "address_country_mismatch": "address.country",
    "address_not_found": "address.id",
    "cart_empty": "items",
    "category_not_found": "category",
    "payment_method_unavailable": "method",
    "payment_phone_invalid": "phone",
    "payment_phone_required": "phone",
    "product_not_found": "items",
    "product_not_sold_in_country": "items",
    "quantity_above_maximum": "items",
    "quantity_below_minimum": "items",
    "quantity_not_in_steps": "items",
    "refund_amount_invalid": "amount",
    "refund_amount_too_large": "amount",
    "refund_items_invalid": "items",
    "saved_method_not_found": "saved_method_id",
    "stock_insufficient": "items",
    "total_changed": "expected_total",
    "variant_required": "items",
}
_FIELD_IN_CODE: Final = re.compile(
    r"^(country|language|sort|page_size|cursor|idempotency_key|reason|promo_code|address|channel)_"
)
_PATH: Final = re.compile(r"^(?:address|items\[\d+\])\.[a-z0-9_]+$")


def reader_language() -> Language | None:
    """En or fr as the request's Accept-Language prefers; None when it names neither."""
    for tag, quality in request.accept_languages:
        primary = tag.lower().partition("-")[0]
        if primary == "en" and quality > 0:
            return "en"
        if primary == "fr" and quality > 0:
            return "fr"
    return None


def problem_of(error: AppError) -> dict[str, Any]:
    """The members of the answer to an error."""
    language = reader_language() or _user_language(error)
    problem: dict[str, Any] = {
        "type": f"urn:mallgram:error:{error.code}",
        "title": type(error).title,
        "status": error.http_status,
        "code": error.code,
        "detail": error.message or _text(error.code, language, type(error)),
        "request_id": g.get("request_id", ""),
    }
    fields = error.errors or _field_of_refusal(error)
    if fields:
        problem["errors"] = [_field_problem(field, language) for field in fields]
    if error.payment_id is not None:
        problem["payment_id"] = error.payment_id
    return problem


def problem_response(error: AppError) -> Response:
    """The answer to an error."""
    response = Response(
        exact_json.dumps(problem_of(error)),
        error.http_status,
        content_type=CONTENT_TYPE,
    )
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.http_status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def register_problems(app: Flask) -> None:
    """Answers every error of the app in this shape, the framework's own included."""
    app.register_error_handler(AppError, _on_app_error)
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(Exception, _on_exception)


def _on_app_error(error: AppError) -> Response:
    g.error_code = error.code
    if error.http_status >= 500:
        log.warning(
            "request.failed",
            code=error.code,
            reason=_plain(error.detail),
            cause=_cause(error),
        )
    return problem_response(error)


def _on_http_exception(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return Response(status=status, headers=error.get_headers())
    error_class = BY_STATUS.get(status, ValidationError if status < 500 else InternalError)
    answer = error_class(status=status)
    g.error_code = answer.code
    response = problem_response(answer)
    for name in ("Allow", "Retry-After"):
        value = dict(error.get_headers()).get(name)
        if value is not None:
            response.headers[name] = value
    return response


def _on_exception(error: Exception) -> Response:
    g.error_code = InternalError.code
    log.error("request.crashed", exc_info=error)
    return problem_response(InternalError())


def _text(code: str, language: Language, fallback: type[AppError] | None = None) -> str:
    found = parts().texts.find(code, language)
    return found or (class_of(code) or fallback or AppError).default_message()


def _field_problem(field: FieldError, language: Language) -> dict[str, Any]:
    entry = {
        "field": field.field,
        "code": field.code,
        "message": _text(field.code, language),
    }
    if field.details is not None:
        entry["details"] = field.details
    return entry


def _field_of_refusal(error: AppError) -> tuple[FieldError, ...]:
    """The field of a refusal that came from SQL: its detail is a path, facts as JSON, or input."""
    detail = error.detail if isinstance(error.detail, str) else ""
    if error.http_status not in {400, 409} and not (error.http_status == 404 and detail):
        return ()
    prefix = _FIELD_IN_CODE.match(error.code)
    if _PATH.match(detail):
        return (FieldError(detail.replace("[", ".").replace("]", ""), error.code),)
    field = _FIELD_OF_CODE.get(error.code) or (prefix.group(1) if prefix else None)
    return (FieldError(field, error.code, error.facts),) if field else ()


def _user_language(error: AppError) -> Language:
    """The signed-in person's own language, where the request names none; else English."""
    caller = g.get("identity")
    if caller is None or error.http_status >= 500:
        return "en"
    app = parts()
    key = f"language:{caller.user_id}"
    known = app.cache.get(key)
    if known is None:
        known = _ask_language(caller.user_id, caller.token)
        app.cache.put(key, known, seconds=_USER_LANGUAGE_SECONDS)
    return "fr" if known == b"fr" else "en"


def _ask_language(user_id: str, token: str) -> bytes:
    api = parts().data_api
    try:
        body = api.send(
            api.as_caller(token).from_("users").select("language").eq("id", user_id).limit(1)
        )
    except AppError:
        return b"en"
    return b"fr" if exact_json.loads(body) == [{"language": "fr"}] else b"en"


def _plain(detail: Any) -> str | None:
    return detail[:200] if isinstance(detail, str) else None


def _cause(error: AppError) -> str | None:
    return type(error.__cause__).__name__ if error.__cause__ is not None else None
