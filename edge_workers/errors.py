"""One error tree. A class's docstring is its default message.

The catalogue in the database holds the English and French text of every code; the docstring is
what a caller reads when the database is away. Nothing here knows HTTP frameworks or SQL.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from edge_workers import exact_json

Language = Literal["en", "fr"]


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: its dotted path and a code of the catalogue."""

    field: str
    code: str
    details: Any = None
    """Facts that help to mend it: the new quote, the stock left."""


class AppError(Exception):
    """Something went wrong on our side. Please try again."""

    status: ClassVar[int] = 500
    code: str = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        code: str | None = None,
        status: int | None = None,
        detail: Any = None,
        *,
        message: str | None = None,
        errors: Sequence[FieldError] = (),
        retry_after: int | None = None,
        payment_id: str | None = None,
    ) -> None:
        """An error to be answered.

        `detail` is the input or fact behind it, for logs and never shown as it is; `message` is a
        text already in the caller's language; `retry_after` is in seconds; `payment_id` is the
        payment whose status tells more.
        """
        self.code = code or type(self).code
        self.http_status = status or type(self).status
        self.detail = detail
        self.message = message
        self.errors = tuple(errors)
        self.retry_after = retry_after
        self.payment_id = payment_id
        super().__init__(self.code)

    @property
    def facts(self) -> Any:
        """What a detail that is a JSON object holds; None for any other detail."""
        if not isinstance(self.detail, str) or not self.detail.startswith("{"):
            return None
        try:
            return exact_json.loads(self.detail)
        except ValueError:
            return None

    @classmethod
    def default_message(cls) -> str:
        """The class's docstring on one line."""
        return " ".join((cls.__doc__ or "").split())


# The classes of the contract, one a status.


class ValidationError(AppError):
    """The request is not valid. See the errors for each field."""

    status = 400
    code = "input_invalid"
    title = "Bad request"


class AuthenticationError(AppError):
    """Sign in to do this."""

    status = 401
    code = "authentication_required"
    title = "Not signed in"


class AuthorizationError(AppError):
    """You may not do this."""

    status = 403
    code = "not_allowed"
    title = "Not allowed"


class NotFoundError(AppError):
    """There is nothing here."""

    status = 404
    code = "not_found"
    title = "Not found"


class ConflictError(AppError):
    """This does not fit the current state. Look again and retry."""

    status = 409
    code = "conflict"
    title = "Conflict"


class RateLimitError(AppError):
    """Too many attempts. Wait a little and try again."""

    status = 429
    code = "rate_limit_exceeded"
    title = "Too many requests"


class ExternalServiceError(AppError):
    """A service that we need does not answer. Please try again in a moment."""

    status = 503
    code = "service_unavailable"
    title = "Service unavailable"


class InternalError(AppError):
    """Something went wrong on our side. Please try again."""


# What a client sends.


class JsonMalformed(ValidationError):
    """The request body is not valid JSON."""

    code = "json_malformed"


class CursorInvalid(ValidationError):
    """The cursor is not one that this list gave out."""

    code = "cursor_invalid"


class IdempotencyKeyRequired(ValidationError):
    """Send an Idempotency-Key header, a new one for each order or refund."""

    code = "idempotency_key_required"


class IdempotencyKeyInvalid(ValidationError):
    """An idempotency key is 8 to 200 printable characters, the same in header and body."""

    code = "idempotency_key_invalid"


class ValueMalformed(ValidationError):
    """A value has the wrong form or is out of range."""

    code = "value_malformed"


class ValueNotAllowed(ValidationError):
    """A value breaks a rule of the shop."""

    code = "value_not_allowed"


class ValueMissing(ValidationError):
    """A required value is missing."""

    code = "value_missing"


class ValueOutOfRange(ValidationError):
    """The value is too small, too large, too short or too long."""

    code = "value_out_of_range"


class CardNumberRefused(ValidationError):
    """Card numbers do not belong here. They are entered on the page of the payment service."""

    code = "card_number_refused"


class TextNotOneLine(ValidationError):
    """The text must be one line without control characters."""

    code = "text_not_one_line"


class FieldUnknown(ValidationError):
    """There is no such field."""

    code = "field_unknown"


class ReferenceUnknown(ValidationError):
    """Something that the request refers to does not exist."""

    code = "reference_unknown"


class MethodNotAllowed(AppError):
    """This address does not take this method."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"


class BodyTooLarge(AppError):
    """The request body is too large."""

    status = 413
    code = "body_too_large"
    title = "Too large"


class MediaTypeUnsupported(AppError):
    """Send the body as application/json."""

    status = 415
    code = "media_type_unsupported"
    title = "Unsupported media type"


class StatementInvalid(ValidationError):
    """The statement cannot be read. The errors name the line and the column."""

    code = "statement_invalid"


class StatementColumnInvalid(ValidationError):
    """The first line must name every column, each once."""

    code = "statement_column_invalid"


class StatementLineUneven(ValidationError):
    """The line has not as many cells as the first line."""

    code = "statement_line_uneven"


class StatementQuoteInvalid(ValidationError):
    """A quotation mark stands alone or is never closed."""

    code = "statement_quote_invalid"


class StatementTypeUnsupported(MediaTypeUnsupported):
    """Send the statement as text/csv."""

    code = "statement_type_unsupported"


# Who is asking.


class TokenExpired(AuthenticationError):
    """Your session has ended. Sign in again."""

    code = "token_expired"


class TokenInvalid(AuthenticationError):
    """The access token is not valid."""

    code = "token_invalid"


class InvalidCredentials(AuthenticationError):
    """The e-mail address or the password is wrong."""

    code = "invalid_credentials"


class WebhookSignatureInvalid(AuthenticationError):
    """The notification is not signed as it should be."""

    code = "webhook_signature_invalid"


class EmailNotConfirmed(AuthorizationError):
    """Confirm your e-mail address first, with the code that we mailed to you."""

    code = "email_not_confirmed"


class AdminRequired(AuthorizationError):
    """Only an administrator may do this."""

    code = "admin_required"


class WeakPassword(ValidationError):
    """This password is too weak. Take a longer one."""

    code = "weak_password"


class VerificationCodeInvalid(ValidationError):
    """The code is wrong or has expired. Ask for a new one."""

    code = "verification_code_invalid"


# State.


class AlreadyExists(ConflictError):
    """This exists already."""

    code = "already_exists"


class StillReferenced(ConflictError):
    """This is still in use."""

    code = "still_referenced"


class PaymentRejected(ConflictError):
    """The payment service refused the payment; nothing was charged. Please choose another way."""

    code = "payment_rejected"


# What we depend on.


class DatabaseUnavailable(ExternalServiceError):
    """The database does not answer. Please try again in a moment."""

    code = "database_unavailable"


class DatabaseTimeout(ExternalServiceError):
    """The database took too long. Please try again in a moment."""

    code = "database_timeout"


class DatabaseBusy(ExternalServiceError):
    """Many people want the same thing at once. Please try again."""

    code = "database_busy"


class DataApiUnavailable(ExternalServiceError):
    """The data service does not answer. Please try again in a moment."""

    code = "data_api_unavailable"


class AuthUnavailable(ExternalServiceError):
    """The sign-in service does not answer. Please try again in a moment."""

    code = "auth_unavailable"


class PaymentGatewayUnavailable(ExternalServiceError):
    """No payment service took the payment; nothing was charged. Please try again."""

    code = "payment_gateway_unavailable"


class PaymentOutcomeUnknown(ExternalServiceError):
    """The payment service has not answered yet. Ask for the payment's status; do not pay twice."""

    code = "payment_outcome_unknown"


class WebhookNotVerifiable(ExternalServiceError):
    """The notification cannot be checked just now. Please send it again."""

    code = "webhook_not_verifiable"


BY_STATUS: Final[Mapping[int, type[AppError]]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: AuthorizationError,
    404: NotFoundError,
    405: MethodNotAllowed,
    409: ConflictError,
    413: BodyTooLarge,
    415: MediaTypeUnsupported,
    429: RateLimitError,
    500: InternalError,
    503: ExternalServiceError,
}


def error_classes(root: type[AppError] = AppError) -> Iterator[type[AppError]]:
    """Every class of the tree below `root`, itself included."""
    yield root
    for child in root.__subclasses__():
        yield from error_classes(child)


def class_of(code: str) -> type[AppError] | None:
    """The class that carries a code; None for a code that only the catalogue knows."""
    return next((c for c in error_classes() if c.code == code), None)


def error_for(
    code: str,
    status: int,
    detail: Any = None,
    *,
    message: str | None = None,
    retry_after: int | None = None,
) -> AppError:
    """The error of a refusal that came from the database: by its code, else by its status."""
    error_class = class_of(code)
    if error_class is None or error_class.status != status:
        error_class = BY_STATUS.get(status) or _class_of_family(status)
    return error_class(code, status, detail, message=message, retry_after=retry_after)


def _class_of_family(status: int) -> type[AppError]:
    return ValidationError if 400 <= status < 500 else InternalError


class ErrorTexts:
    """The catalogue's texts, loaded on first use, kept while they are fresh.

    While the database is away texts stay as last seen, or None: an error waits at most a moment for
    its own text, and a load that failed is not tried again for half a minute.
    """

    _REFRESH_SECONDS = 600.0
    _RETRY_SECONDS = 30.0
    _WAIT_SECONDS = 0.3

    def __init__(
        self,
        load: Callable[[], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._clock = clock
        self._lock = threading.Lock()
        self._texts: Mapping[str, Mapping[str, str]] = {}
        self._due = float("-inf")

    def find(self, code: str, language: Language) -> str | None:
        """The text of a code in a language; None when the catalogue has none or is away."""
        if self._clock() >= self._due and self._lock.acquire(blocking=False):
            loader = threading.Thread(target=self._refresh, daemon=True)
            loader.start()
            loader.join(self._WAIT_SECONDS)
        return self._texts.get(code, {}).get(language)

    def _refresh(self) -> None:
        try:
            self._texts = {
                row["code"]: {"en": row["message_en"], "fr": row["message_fr"]}
                for row in self._load() or []
            }
            self._due = self._clock() + self._REFRESH_SECONDS
        except AppError:
            self._due = self._clock() + self._RETRY_SECONDS
        finally:
            self._lock.release()
