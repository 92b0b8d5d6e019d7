"""What a client sends, checked at the border: types are strict, unknown fields are refused.

Nothing about the business is decided here; SQL decides. This only makes sure that what goes on to
SQL has the right form, and names each field that has not.
"""

import re
import unicodedata
import uuid
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeVar

import pydantic
from flask import request
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from edge_workers.errors import (
    BodyTooLarge,
    FieldError,
    FieldUnknown,
    IdempotencyKeyInvalid,
    IdempotencyKeyRequired,
    JsonMalformed,
    MediaTypeUnsupported,
    TextNotOneLine,
    ValidationError,
    ValueMalformed,
    ValueMissing,
    ValueOutOfRange,
)

MAX_BODY_BYTES: Final = 256 * 1024
_OUT_OF_RANGE: Final = (
    "too_long",
    "too_short",
    "_than",
    "_than_equal",
    "_max_digits",
    "_max_places",
    "_whole_digits",
)


class Body(BaseModel):
    """A JSON request body: no coercion, no unknown field."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Parameters(BaseModel):
    """A query string: texts are converted, unknown and repeated names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_one_line(value: str) -> str:
    if any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in value):
        raise PydanticCustomError(TextNotOneLine.code, TextNotOneLine.default_message())
    return value


Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1),
    AfterValidator(_check_one_line),
]
"""A text on one line, trimmed, without control characters; its user says how long."""

Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        to_lower=True,
        max_length=254,
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$",
    ),
]
Phone = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^\+?[0-9][0-9 ().-]{5,24}$")
]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Language = Literal["en", "fr"]
Channel = Literal["retail", "wholesale"]
Quantity = Annotated[int, Field(ge=1, le=10_000)]
Money = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=2)]
IDEMPOTENCY_KEY_HEADER: Final = "Idempotency-Key"
_IDEMPOTENCY_KEY: Final = r"^[!-~]{8,200}$"
IdempotencyKey = Annotated[str, StringConstraints(pattern=_IDEMPOTENCY_KEY)]

BodyT = TypeVar("BodyT", bound=BaseModel)


def raw_body(most_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The request's body byte for byte. Raises BodyTooLarge (413) beyond `most_bytes`.

    A body sent in chunks has no length to refuse beforehand and is read up to the limit and no
    further; the framework's limit stands one byte above this one so that such a body shows.
    """
    request.max_content_length = most_bytes + 1
    raw = request.get_data(cache=True)
    if len(raw) > most_bytes:
        raise BodyTooLarge
    return raw


def read_body(model: type[BodyT]) -> BodyT:
    """The request's JSON body as `model`.

    Raises MediaTypeUnsupported (415), JsonMalformed or ValidationError (400) naming the fields.
    """
    raw = raw_body()
    if raw and not request.is_json:
        raise MediaTypeUnsupported
    try:
        return model.model_validate_json(raw or b"{}")
    except pydantic.ValidationError as error:
        raise _as_validation_error(error, is_tagged=issubclass(model, RootModel)) from error


def read_parameters(model: type[BodyT]) -> BodyT:
    """The query string as `model`. Raises ValidationError (400) naming the parameters."""
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise ValidationError(errors=[FieldError(name, ValueMalformed.code) for name in repeated])
    try:
        return model.model_validate(request.args.to_dict())
    except pydantic.ValidationError as error:
        raise _as_validation_error(error) from error


def read_id(name: str, value: str) -> str:
    """An id from the address, in canonical form. Raises ValidationError (400) naming it."""
    try:
        if len(value) != 36:
            raise ValueError("not in canonical form")
        return str(uuid.UUID(value))
    except ValueError as error:
        raise ValidationError(errors=[FieldError(name, ValueMalformed.code)]) from error


def read_idempotency_key(in_body: str | None = None) -> str:
    """The key of the header Idempotency-Key, or of the body where that may carry it.

    Raises IdempotencyKeyRequired when there is none, IdempotencyKeyInvalid when the form is wrong
    or the two differ (400).
    """
    in_header = request.headers.get(IDEMPOTENCY_KEY_HEADER)
    key = in_body if in_header is None else in_header
    if key is None:
        raise IdempotencyKeyRequired(
            errors=[FieldError("idempotency_key", IdempotencyKeyRequired.code)]
        )
    if in_body not in {None, key} or not re.fullmatch(_IDEMPOTENCY_KEY, key):
        raise IdempotencyKeyInvalid(
            errors=[FieldError("idempotency_key", IdempotencyKeyInvalid.code)]
        )
    return key


def _as_validation_error(
    error: pydantic.ValidationError, *, is_tagged: bool = False
) -> ValidationError:
    found = error.errors(include_url=False, include_context=True, include_input=False)
    if any(entry["type"] == "json_invalid" for entry in found):
        return JsonMalformed()
    return ValidationError(
        errors=[
            FieldError(_field_of(entry, is_tagged=is_tagged), _code_of(entry["type"]))
            for entry in found
        ]
    )


def _field_of(entry: Any, *, is_tagged: bool) -> str:
    if entry["type"] in {"union_tag_not_found", "union_tag_invalid"}:
        return str(entry["ctx"]["discriminator"]).strip("'")
    # The first place inside a tagged union is the tag, which is no field of the body.
    location = entry["loc"][1:] if is_tagged else entry["loc"]
    return ".".join(str(part) for part in location)


def _code_of(kind: str) -> str:
    if kind == TextNotOneLine.code:
        return TextNotOneLine.code
    if kind in {"missing", "union_tag_not_found"}:
        return ValueMissing.code
    if kind == "extra_forbidden":
        return FieldUnknown.code
    if kind.endswith(_OUT_OF_RANGE):
        return ValueOutOfRange.code
    return ValueMalformed.code
