"""The gateway that AliExpress and Alibaba.com share: signed calls, tokens, errors inside a 200.

Every call is signed with HMAC-SHA256 over its path (path APIs alone) and its sorted parameters, in
upper hex. What is empty is neither signed nor sent. Almost every error comes with status 200, as
`{"error_response": {type, code, msg, sub_code}}` or as `{type, code, message}`; what a body says
decides, never the status line.
Sources: openservice.aliexpress.com documents 1366, 1367, 1369; openapi.alibaba.com document 125.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import structlog

from edge_workers.providers.contracts.money import amount_from
from edge_workers.providers.contracts.suppliers import (
    SupplierLine,
    SupplierToken,
    SupplierTokens,
)
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable
from edge_workers.providers.transport import Answer, Transport

MAX_ANSWER_BYTES: Final = 8_000_000
"""A whole tree of categories, or a description that a seller filled with styled tables."""
LONGEST_BAN_SECONDS: Final = 86_400

_breaks = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_unkeepable = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_ban = re.compile(r"last\s+(\d{1,7})\s+second", re.IGNORECASE)

TOKEN_REFUSED: Final = frozenset({"IllegalAccessToken", "25", "26", "27"})
_LIMITED: Final = frozenset(
    {"ApiCallLimit", "AppCallLimit", "AppApiCallLimit", "FlowControlLimited", "7"}
)
_LIMITED_SUB: Final = "accesscontrol.limited-by"
_CLOCK: Final = "IllegalTimestamp"
_MISCONFIGURED: Final = {
    "IncompleteSignature": "signature_refused",
    "InvalidAppKey": "app_key_refused",
    "InvalidApiPath": "api_unknown",
    "AppWhiteIpLimit": "address_refused",
    "InsufficientPermission": "permission_missing",
    "IllegalRefreshToken": "consent_needed",
    "InvalidCode": "consent_needed",
    _CLOCK: "clock_refused",
}
_REFUSED: Final = frozenset(
    {"MissingParameter", "UnsupportedParamMapping", "InvalidParameter", "40", "41"}
)

_log = structlog.get_logger(__name__)


def signature(secret: str, parameters: Mapping[str, str], path: str = "") -> str:
    """Upper hex over the parameters that will be sent, `sign` itself and empty ones left out.

    `path` is that of a path API without the gateway's own prefix: `/auth/token/create`.
    """
    text = path + "".join(
        name + parameters[name]
        for name in sorted(parameters)
        if name != "sign" and parameters[name] != ""
    )
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest().upper()


class OpenPlatform:
    """One app at the gateway. `line` decides when a call may leave; `now` gives its timestamp."""

    def __init__(
        self,
        *,
        provider: str,
        app_key: str,
        app_secret: str,
        transport: Transport,
        line: SupplierLine,
        now: Callable[[], datetime],
    ) -> None:
        for secret in (app_key, app_secret):
            if not secret or not secret.isascii() or not secret.isprintable():
                raise Misconfigured(f"The app key or secret of {provider} is not ASCII.")
        self.provider = provider
        self.app_key = app_key
        self._app_secret = app_secret
        self._transport = transport
        self._line = line
        self._now = now

    def call_path(self, operation: str, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """A path API: `/rest` + path. Raises what `providers.errors` names."""
        return self._call(operation, f"/rest{path}", path, parameters)

    def call_method(
        self, operation: str, method: str, parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        """A dotted method at `/sync`."""
        return self._call(
            operation,
            "/sync",
            "",
            {"method": method, "format": "json", "simplify": "true", **parameters},
        )

    def _call(
        self, operation: str, address: str, signed_path: str, parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        try:
            return self._send(operation, address, signed_path, parameters)
        except Misconfigured as error:
            if error.code != "clock_refused":
                raise
        # A timestamp that was minutes old when it left: once more with a new one.
        return self._send(operation, address, signed_path, parameters)

    def _send(
        self, operation: str, address: str, signed_path: str, parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        """The body of a call that the gateway let through; a limit lets the whole line rest."""
        try:
            answer = self._line.send(
                lambda: self._exchange(operation, address, signed_path, parameters)
            )
            body = answer.json()
            if not isinstance(body, dict) or not body:
                raise Unavailable(
                    f"{self.provider} answered no JSON object.", code="answer_malformed"
                )
            refused = refusal(self.provider, body)
            if refused is not None:
                raise refused
        except Unavailable as error:
            if error.code == "rate_limited":
                self._line.rest(error.retry_after)
            raise
        self._line.go_on()
        return body

    def _exchange(
        self, operation: str, address: str, signed_path: str, parameters: Mapping[str, str]
    ) -> Answer:
        sent = {
            "app_key": self.app_key,
            "timestamp": str(int(self._now().timestamp() * 1000)),
            "sign_method": "sha256",
            **{name: value for name, value in parameters.items() if value != ""},
        }
        sent["sign"] = signature(self._app_secret, sent, signed_path)
        return self._transport.send(
            "POST",
            address,
            operation=operation,
            headers={
                "content-type": "application/x-www-form-urlencoded;charset=utf-8",
                "accept": "application/json",
            },
            content=urlencode(sent).encode(),
        )


def with_token(tokens: SupplierTokens, call: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """A call with the access token; when that one is refused, one more with a newer one."""
    token = tokens.value()
    try:
        return call(token)
    except Misconfigured as error:
        if error.code != "token_refused":
            raise
    return call(tokens.renewed(token))


class OpenPlatformAuthority:
    """The token endpoints of the gateway and the page where a person consents."""

    def __init__(self, platform: OpenPlatform, *, consent_url: str, consent_extra: str) -> None:
        """`consent_extra`: what this platform wants in the page's query beside the usual."""
        self._platform = platform
        self._consent_url = consent_url
        self._consent_extra = consent_extra

    def consent_page(self, redirect_uri: str) -> str:
        """Where a person goes to let the shop act for them; `&state=` is to be added."""
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._platform.app_key,
                "redirect_uri": redirect_uri,
            }
        )
        return f"{self._consent_url}?{query}{self._consent_extra}"

    def create_token(self, code: str, now: datetime) -> SupplierToken:
        """The first token for the code of a consent."""
        body = self._platform.call_path("token_create", "/auth/token/create", {"code": code})
        return token_from(self._platform.provider, body, now)

    def refresh_token(self, refresh_token: str, now: datetime) -> SupplierToken:
        """The next token."""
        body = self._platform.call_path(
            "token_refresh", "/auth/token/refresh", {"refresh_token": refresh_token}
        )
        return token_from(self._platform.provider, body, now)


def token_from(provider: str, body: Mapping[str, Any], now: datetime) -> SupplierToken:
    """What a token endpoint gave. Lives may be numbers or texts, relative or absolute."""
    access_token = text_of(body.get("access_token"))
    if not access_token:
        raise Unavailable(f"{provider} gave no access token.", code="answer_malformed")
    expires_at = _moment(body, "expires_in", "expire_time", now)
    if expires_at is None:
        raise Unavailable(f"{provider} gave a token without an end.", code="answer_malformed")
    user = body.get("user_info")
    accounts = [body, user] if isinstance(user, dict) else [body]
    return SupplierToken(
        access_token=access_token,
        refresh_token=text_of(body.get("refresh_token")) or None,
        access_expires_at=expires_at,
        refresh_expires_at=_moment(body, "refresh_expires_in", "refresh_token_valid_time", now),
        account_id=next(
            (
                found
                for account in accounts
                for name in ("account_id", "user_id", "seller_id")
                if (found := id_of(account.get(name)))
            ),
            "",
        ),
    )


def _moment(
    body: Mapping[str, Any], seconds_name: str, milliseconds_name: str, now: datetime
) -> datetime | None:
    """Seconds from now where they are given, since clocks differ; else what is absolute."""
    seconds = whole_number(body.get(seconds_name))
    milliseconds = whole_number(body.get(milliseconds_name))
    try:
        if seconds is not None and seconds > 0:
            return now + timedelta(seconds=seconds)
        if milliseconds is not None and milliseconds > 0:
            return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return None


def refusal(provider: str, body: Mapping[str, Any]) -> ProviderError | None:
    """The error that a body of status 200 tells of; None when the gateway let the call through."""
    inner = body.get("error_response")
    error = inner if isinstance(inner, dict) else body
    code, kind = text_of(error.get("code")), text_of(error.get("type"))
    if not isinstance(inner, dict):
        is_told = bool(kind) or "message" in error
        if code in ("", "0") or not is_told or kind.lower() == "nil":
            return None
    message = text_of(error.get("msg") or error.get("message") or error.get("sub_msg"))
    sub_code = text_of(error.get("sub_code"))
    _log.info(
        "supplier.refused",
        provider=provider,
        type=kind,
        code=code,
        sub_code=sub_code,
        trace=text_of(error.get("request_id")),
    )
    return _classified(provider, code, kind, sub_code, message)


def _classified(provider: str, code: str, kind: str, sub_code: str, message: str) -> ProviderError:
    says = safe_text(f"{provider} refused: {code or sub_code} {message}")
    if code in _LIMITED or sub_code.startswith(_LIMITED_SUB):
        ban = _ban.search(message)
        return Unavailable(
            says,
            code="rate_limited",
            outcome="nothing_created",
            retry_after=min(int(ban[1]), LONGEST_BAN_SECONDS) if ban else None,
        )
    if code in TOKEN_REFUSED:
        return Misconfigured(says, code="token_refused")
    if code in _MISCONFIGURED:
        return Misconfigured(says, code=_MISCONFIGURED[code])
    if code == "15" and kind.upper() == "ISV":
        return Misconfigured(says, code="permission_missing")
    if code in _REFUSED:
        return Rejected(says, code="request_refused")
    if kind.upper() == "ISV":
        return Rejected(says, code="request_refused")
    return Unavailable(says, code="server_error")


# Reading answers whose shape differs from call to call.

_WRAPPERS: Final = ("resp_result", "result", "data", "value", "result_data")


def layers(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The objects of an answer from the outside in, wrapper by wrapper."""
    node: Mapping[str, Any] | None = body
    while node is not None:
        yield node
        node = _inside(node)


def _inside(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for name, value in node.items():
        if (name in _WRAPPERS or name.endswith("_response")) and isinstance(value, dict):
            return value
    return None


def first_of(body: Mapping[str, Any], *names: str) -> Any:
    """The outermost member of one of these names that is not null; None when there is none."""
    for layer in layers(body):
        for name in names:
            if layer.get(name) is not None:
                return layer[name]
    return None


def as_list(node: Any, *marks: str) -> list[dict[str, Any]]:
    """The objects of a list that may be wrapped in a type's name, be one object, or be missing.

    A wrapper may count them, too: of its members only the objects and lists matter. `marks` are
    members that tell one of the list's own objects from a wrapper, for it may have a list in it.
    """
    if isinstance(node, dict):
        inner = [value for value in node.values() if isinstance(value, (dict, list))]
        if len(inner) != 1 or any(node.get(mark) is not None for mark in marks):
            return [node] if any(value is not None for value in node.values()) else []
        node = inner if isinstance(inner[0], dict) else inner[0]
    if isinstance(node, list):
        return [item for item in node if isinstance(item, dict)]
    return []


def text_of(value: Any) -> str:
    """A text or number as one line, without spaces around it; empty for all else."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, (int, Decimal)):
        return str(value)
    return _breaks.sub(" ", value).strip() if isinstance(value, str) else ""


def prose_of(value: Any) -> str:
    """A longer text with its line breaks, without what no database keeps."""
    return _unkeepable.sub("", value).strip() if isinstance(value, str) else ""


def id_of(value: Any) -> str:
    """An id as text; empty when it is none. A number that came with an exponent is no id."""
    text = text_of(value)
    return text if re.fullmatch(r"[0-9A-Za-z_.:-]{1,80}", text) and text != "0" else ""


def whole_number(value: Any) -> int | None:
    """A count that may be written `5,000+`, `"27"` or 27; None when it says nothing."""
    text = text_of(value).replace(",", "").rstrip("+").strip()
    if re.fullmatch(r"[0-9]{1,15}", text):
        return int(text)
    number = amount_from(text)
    is_count = number is not None and number >= 0 and number == number.to_integral_value()
    return int(number) if number is not None and is_count else None


def money(value: Any) -> Decimal | None:
    """A sum that may be a number, a text, a text with quotes around it, or for display: `0,00€`.

    None for what is none, for less than nothing, and for a range. The last separator is the
    decimal one when at most two digits follow it.
    """
    text = text_of(value).strip("\"' ")
    plain = amount_from(text)
    if plain is not None:
        return plain if plain >= 0 else None
    shown = re.fullmatch(r"[^0-9,.\-]{0,6}([0-9][0-9., \u00a0\u202f]{0,18}?)[^0-9,.\-]{0,6}", text)
    if shown is None:
        return None
    digits = re.sub(r"[ \u00a0\u202f]", "", shown[1])
    whole, separator, cents = digits, "", ""
    found = re.fullmatch(r"(.*)([.,])([0-9]{1,2})", digits)
    if found is not None:
        whole, separator, cents = found[1], ".", found[3]
    whole = re.sub(r"[.,]", "", whole)
    return amount_from(f"{whole}{separator}{cents}")


def stars(value: Any) -> Decimal | None:
    """A rating from above 0 to 5: a new thing's 0 says that nobody rated it yet."""
    rating = amount_from(text_of(value))
    return rating if rating is not None and 0 < rating <= 5 else None


def share_as_stars(value: Any) -> Decimal | None:
    """Stars from the share of good ratings in percent: `"89.2"` or `"97.8%"`."""
    share = amount_from(text_of(value).rstrip("% "))
    if share is None or not 0 < share <= 100:
        return None
    return (share / 20).quantize(Decimal("0.01"))


def absolute_url(value: Any) -> str | None:
    """A picture's or page's address with its scheme; None when it is none."""
    text = text_of(value)
    if text.startswith("//"):
        text = f"https:{text}"
    return text if re.fullmatch(r"https?://[^\s\"'<>]{4,2000}", text) else None
