"""The error tree: one class a code, a sentence each, and texts that may be away."""

import re
import time

import pytest

from edge_workers.errors import (
    BY_STATUS,
    AppError,
    AuthenticationError,
    AuthorizationError,
    ConflictError,
    DatabaseUnavailable,
    ErrorTexts,
    ExternalServiceError,
    InternalError,
    NotFoundError,
    RateLimitError,
    ValidationError,
    class_of,
    error_classes,
    error_for,
)

ROWS = [{"code": "not_found", "status": 404, "message_en": "Nothing.", "message_fr": "Rien."}]


def test_the_seeds_classes_have_the_seeds_statuses() -> None:
    assert {
        ValidationError: 400,
        AuthenticationError: 401,
        AuthorizationError: 403,
        NotFoundError: 404,
        ConflictError: 409,
        RateLimitError: 429,
        ExternalServiceError: 503,
        InternalError: 500,
    } == {c: c.status for c in BY_STATUS.values() if c.status not in {405, 413, 415}}


def test_every_class_has_a_code_of_its_own_and_a_sentence() -> None:
    classes = [c for c in error_classes() if c is not AppError]
    assert len({c.code for c in classes}) == len(classes)
    for error_class in classes:
        assert re.fullmatch(r"[a-z][a-z0-9_]{2,62}", error_class.code)
        assert re.fullmatch(r"[A-Z][^\n]*\.", error_class.default_message())


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("token_expired", 401, class_of("token_expired")),
        ("order_not_found", 404, NotFoundError),
        ("total_changed", 409, ConflictError),
        ("something_odd", 418, ValidationError),
        ("something_worse", 507, InternalError),
        ("not_found", 409, ConflictError),
    ],
)
def test_a_refusal_of_the_database_finds_its_class(
    code: str, status: int, expected: type[AppError]
) -> None:
    error = error_for(code, status, "detail")
    assert type(error) is expected
    assert (error.code, error.http_status, error.detail) == (code, status, "detail")


def test_texts_are_loaded_once_and_kept() -> None:
    calls: list[int] = []

    def load() -> object:
        calls.append(1)
        return ROWS

    texts = ErrorTexts(load)
    assert texts.find("not_found", "fr") == "Rien."
    assert texts.find("not_found", "en") == "Nothing."
    assert texts.find("unheard_of", "en") is None
    assert len(calls) == 1


def test_texts_are_loaded_anew_when_they_are_old() -> None:
    now = [0.0]
    rows = list(ROWS)
    texts = ErrorTexts(lambda: rows, clock=lambda: now[0])
    assert texts.find("not_found", "en") == "Nothing."
    rows[0] = {**ROWS[0], "message_en": "Changed."}
    now[0] = 599.0
    assert texts.find("not_found", "en") == "Nothing."
    now[0] = 601.0
    assert texts.find("not_found", "en") == "Changed."


def test_a_failed_load_is_not_tried_again_at_once_and_keeps_what_was_there() -> None:
    now = [0.0]
    calls: list[int] = []
    is_away = [False]

    def load() -> object:
        calls.append(1)
        if is_away[0]:
            raise DatabaseUnavailable
        return ROWS

    texts = ErrorTexts(load, clock=lambda: now[0])
    assert texts.find("not_found", "en") == "Nothing."
    is_away[0] = True
    now[0] = 601.0
    assert texts.find("not_found", "en") == "Nothing."
    assert texts.find("not_found", "en") == "Nothing."
    assert len(calls) == 2
    now[0] = 632.0
    texts.find("not_found", "en")
    assert len(calls) == 3


def test_an_error_does_not_wait_for_a_database_that_hangs() -> None:
    def load() -> object:
        time.sleep(2)
        return ROWS

    texts = ErrorTexts(load)
    began = time.monotonic()
    assert texts.find("not_found", "en") is None
    assert time.monotonic() - began < 1.0
