"""The gateway that AliExpress and Alibaba share, as their documentation has it.

Calls are signed over exactly the parameters that arrive, with the path of a path API before them;
errors come with status 200. A person's consent is one redirect here: `/oauth/authorize` sends the
browser back with a code. `sandbox-consent` is a code that is always good, for seeds and tests.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, redirect, request

from tests.sandbox.faults import Fault
from tests.sandbox.journal import Journal
from tests.sandbox.supplier_catalogue import ITEMS, WHOLESALE_ITEMS
from tests.sandbox.world import Decision, World, answered

STANDING_CODE = "sandbox-consent"
TOKEN_SECONDS = 2_592_000
REFRESH_SECONDS = 5_184_000
CODE_SECONDS = 1800
CLOCK_SECONDS = 7200
SHELF = "suppliers.shelf"
DIALS = ("token_seconds", "refresh_seconds", "calls_per_second", "ban_seconds")


class Refusal(Exception):
    """An answer of the gateway's own: a type, a code and a message."""

    def __init__(self, type_: str, code: str, message: str, sub_code: str = "") -> None:
        super().__init__(message)
        self.type, self.code, self.message, self.sub_code = type_, code, message, sub_code


class Shelf:
    """What stands in both platforms' catalogues: the day, and how many things there are."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def read(self) -> dict[str, int]:
        """`day`, `items` and `wholesale_items`."""
        turned = self._journal.get(SHELF, "shelf") or {}
        return {"day": 0, "items": ITEMS, "wholesale_items": WHOLESALE_ITEMS} | turned

    def turn(self, body: dict[str, Any]) -> bool:
        """Set some of them; `{}` sets all back. False for what is none of them."""
        most = {"day": 365, "items": ITEMS, "wholesale_items": WHOLESALE_ITEMS}
        for name, value in body.items():
            if name not in most or type(value) is not int or not 0 <= value <= most[name]:
                return False
        self._journal.put(SHELF, "shelf", {**self.read(), **body} if body else {})
        return True

    @property
    def day(self) -> int:
        """The day of the catalogue."""
        return self.read()["day"]


class OpenPlatform:
    """One platform with one app. Subclasses add their methods to `acts`."""

    name = ""
    error_key = "message"

    def __init__(self, world: World, shelf: Shelf, app_key: str, app_secret: str) -> None:
        self._world = world
        self._journal = world.journal
        self.shelf = shelf
        self._app_key = app_key
        self._app_secret = app_secret
        self._lock = threading.RLock()
        self._recent: deque[float] = deque()
        self._banned_until = 0.0
        self._style = threading.local()

    # what controls and people use: nobody pays here

    def decide(self, reference: str, decision: Decision) -> dict[str, Any] | None:  # noqa: ARG002
        """Nothing is paid at a supplier's sandbox."""
        return None

    def recent(self) -> list[dict[str, Any]]:
        """Nothing."""
        return []

    def resume(self) -> None:
        """Nothing waits."""

    # views

    def blueprint(self) -> Blueprint:
        """`/<name>/rest/…`, `/<name>/sync`, `/<name>/oauth/authorize`, pictures and dials."""
        views = Blueprint(self.name, __name__)
        views.add_url_rule(
            f"/{self.name}/rest/<path:path>", "rest", self._rest, methods=["GET", "POST"]
        )
        views.add_url_rule(f"/{self.name}/sync", "sync", self._sync, methods=["GET", "POST"])
        views.add_url_rule(f"/{self.name}/oauth/authorize", "consent", self._consent)
        views.add_url_rule(f"/{self.name}/media/<int:number>.png", "media", picture)
        views.add_url_rule(f"/_sandbox/dials/{self.name}", "dials", self._turn, methods=["PUT"])
        return views

    def methods(self) -> dict[str, tuple[str, Callable[[dict[str, str]], dict[str, Any]]]]:
        """By path (`/…`) or dotted name: the operation's name, and what answers it."""
        return {}

    def _rest(self, path: str) -> Response:
        return self._answer(f"/{path}", f"/{path}")

    def _sync(self) -> Response:
        method = parameters().get("method", "")
        return self._answer(method, method if method.startswith("/") else "")

    def _answer(self, method: str, signed_path: str) -> Response:
        known = {
            "/auth/token/create": ("token_create", self._create_token),
            "/auth/token/refresh": ("token_refresh", self._refresh_token),
            "/auth/token/security/create": ("token_create", self._create_token),
            "/auth/token/security/refresh": ("token_refresh", self._refresh_token),
            **self.methods(),
        }
        operation, act = known.get(method, ("unknown", None))
        return answered(
            self._world,
            self.name,
            operation,
            lambda: self._respond(act, signed_path),
            self._spoil,
        )

    def _respond(
        self, act: Callable[[dict[str, str]], dict[str, Any]] | None, signed_path: str
    ) -> Response:
        try:
            given = parameters()
            self._check_limits()
            self._check_call(given, signed_path)
            if act is None:
                raise Refusal("ISV", "InvalidApiPath", "The specified API path is invalid")
            is_token_call = signed_path.startswith("/auth/token/")
            if not is_token_call:
                self._check_token(given)
            return self._json(act(given))
        except Refusal as refusal:
            return self._refuse(refusal)

    def _json(self, body: dict[str, Any]) -> Response:
        body = {**body, "request_id": f"2101{secrets.token_hex(6)}"}
        return Response(json.dumps(body, ensure_ascii=False), 200, mimetype="application/json")

    def _refuse(self, refusal: Refusal) -> Response:
        error = {"type": refusal.type, "code": refusal.code, self.error_key: refusal.message}
        if refusal.sub_code:
            error["sub_code"] = refusal.sub_code
        if request.path.endswith("/sync"):
            inner = {**error, "msg": refusal.message, "request_id": "2101abcd00000001"}
            inner.pop("message", None)
            return self._json({"error_response": inner})
        return self._json(error)

    # what is checked

    def _check_call(self, given: dict[str, str], signed_path: str) -> None:
        for name in ("app_key", "timestamp", "sign_method", "sign"):
            if not given.get(name):
                raise Refusal("ISV", "MissingParameter", f"The parameter {name} is missing")
        if given["app_key"] != self._app_key:
            raise Refusal("ISV", "InvalidAppKey", "The specified App Key is invalid")
        if given["sign_method"] != "sha256":
            raise _incomplete()
        if not hmac.compare_digest(sign(self._app_secret, given, signed_path), given["sign"]):
            raise _incomplete()
        moment = given["timestamp"]
        is_near = moment.isdigit() and abs(int(moment) / 1000 - time.time()) <= CLOCK_SECONDS
        if not is_near:
            raise Refusal("ISV", "IllegalTimestamp", "The specified timestamp is invalid")

    def _check_limits(self) -> None:
        dials = self._dials()
        with self._lock:
            now = time.monotonic()
            if now < self._banned_until:
                raise _banned(int(self._banned_until - now) + 1)
            if not dials["calls_per_second"]:
                return
            while self._recent and now - self._recent[0] >= 1:
                self._recent.popleft()
            self._recent.append(now)
            if len(self._recent) > dials["calls_per_second"]:
                self._banned_until = now + dials["ban_seconds"]
                raise _banned(dials["ban_seconds"])

    def _check_token(self, given: dict[str, str]) -> None:
        value = given.get("session") or given.get("access_token") or ""
        if not value:
            raise Refusal("ISV", "MissingParameter", "The parameter access_token is missing")
        token = self._journal.get(f"{self.name}.token", value)
        revoked = (self._journal.get(f"{self.name}.dials", "revoked") or {"at": 0})["at"]
        if token is None or token["ends_at"] <= time.time() or token["given_at"] <= revoked:
            raise _illegal_token()

    # tokens

    def _consent(self) -> Any:
        """A person says yes, at once."""
        back = request.args.get("redirect_uri", "")
        if request.args.get("client_id") != self._app_key or not back.startswith("http"):
            return jsonify({"error": "unknown client or redirect_uri"}), 400
        code = f"3_{self._app_key}_{secrets.token_urlsafe(18)}"
        self._journal.put(f"{self.name}.code", code, {"given_at": time.time(), "is_spent": False})
        query = urlencode({"code": code, "state": request.args.get("state", "")})
        return redirect(f"{back}{'&' if '?' in back else '?'}{query}", 303)

    def _create_token(self, given: dict[str, str]) -> dict[str, Any]:
        code = given.get("code", "")
        known = self._journal.get(f"{self.name}.code", code)
        is_good = code == STANDING_CODE or (
            known is not None
            and not known["is_spent"]
            and known["given_at"] + CODE_SECONDS > time.time()
        )
        if not is_good:
            raise Refusal("ISV", "InvalidCode", "Invalid authorization code")
        if known is not None:
            self._journal.put(f"{self.name}.code", code, {**known, "is_spent": True})
        return self._new_token()

    def _refresh_token(self, given: dict[str, str]) -> dict[str, Any]:
        known = self._journal.get(f"{self.name}.refresh", given.get("refresh_token", ""))
        if known is None or known["is_spent"] or known["ends_at"] <= time.time():
            raise Refusal("ISV", "IllegalRefreshToken", "The specified refresh token is invalid")
        self._journal.put(f"{self.name}.refresh", known["token"], {**known, "is_spent": True})
        return self._new_token()

    def _new_token(self) -> dict[str, Any]:
        dials, now = self._dials(), time.time()
        access, refresh = f"at_{secrets.token_hex(20)}", f"rt_{secrets.token_hex(20)}"
        life, refresh_life = dials["token_seconds"], dials["refresh_seconds"]
        self._journal.put(f"{self.name}.token", access, {"given_at": now, "ends_at": now + life})
        self._journal.put(
            f"{self.name}.refresh",
            refresh,
            {"token": refresh, "ends_at": now + refresh_life, "is_spent": False},
        )
        return {
            "access_token": access,
            "refresh_token": refresh,
            # The life is a text here and a number there.
            "expires_in": str(life),
            "expire_time": int((now + life) * 1000),
            "refresh_expires_in": refresh_life,
            "refresh_token_valid_time": int((now + refresh_life) * 1000),
            "account_id": "100001",
            "user_id": "100001",
            "seller_id": "100001",
            "user_nick": "buyer1",
            "account": "buyer@example.test",
            "account_platform": "buyerApp",
            "sp": "ae",
            "locale": "zh_CN",
            "code": "0",
        }

    # faults and dials

    def _spoil(self, fault: Fault, act: Callable[[], Response]) -> Response | None:
        if fault.kind == "rate_limit":
            return self._refuse(_banned(int(fault.seconds or 1)))
        if fault.kind == "expired":
            return self._refuse(_illegal_token())
        if fault.kind == "empty":
            if fault.acts:
                act()
            return Response("", 200)
        if fault.kind == "error":
            if fault.acts:
                act()
            return Response("<html><h1>502 Bad Gateway</h1></html>", 502, mimetype="text/html")
        if fault.kind == "shape":
            self._style.is_odd = True
            try:
                return act()
            finally:
                self._style.is_odd = False
        return None

    @property
    def is_odd(self) -> bool:
        """Whether this call's answer shall have another of its shapes."""
        return bool(getattr(self._style, "is_odd", False))

    def _turn(self) -> Any:
        """Dials; `{}` sets them back. `revoke_tokens: true` ends the access tokens given so far."""
        body = request.get_json(force=True, silent=True)
        if not isinstance(body, dict):
            return jsonify({"error": "a JSON object is wanted"}), 400
        revokes = body.pop("revoke_tokens", False)
        if not set(body) <= set(DIALS) or not all(
            type(value) is int and value >= 0 for value in body.values()
        ):
            return jsonify({"error": f"{', '.join(DIALS)} are whole numbers"}), 400
        with self._lock:
            self._journal.put(f"{self.name}.dials", "dials", body)
            self._recent.clear()
            self._banned_until = 0.0
            if revokes is True:
                self._journal.put(f"{self.name}.dials", "revoked", {"at": time.time()})
        return jsonify(self._dials())

    def _dials(self) -> dict[str, int]:
        turned = self._journal.get(f"{self.name}.dials", "dials") or {}
        usual = {"token_seconds": TOKEN_SECONDS, "refresh_seconds": REFRESH_SECONDS}
        return {**usual, "calls_per_second": 0, "ban_seconds": 1, **turned}

    def picture_url(self, number: int) -> str:
        """Where the picture of that number is, without a scheme, as the platforms write it."""
        return f"{self._world.settings.url}/{self.name}/media/{number}.png"


def parameters() -> dict[str, str]:
    """All text parameters of a call, query and form together."""
    request.get_data()  # kept for who reads it after the form
    return {**request.args.to_dict(), **request.form.to_dict()}


def sign(secret: str, given: dict[str, str], signed_path: str) -> str:
    """The signature of what arrived."""
    pairs = sorted((name, value) for name, value in given.items() if name != "sign")
    base = signed_path + "".join(name + value for name, value in pairs)
    return hmac.new(secret.encode(), base.encode(), hashlib.sha256).hexdigest().upper()


def wanted(given: dict[str, str], name: str) -> str:
    """A parameter that must be there."""
    value = given.get(name, "")
    if not value:
        raise Refusal("ISV", "MissingParameter", f"The parameter {name} is missing")
    return value


def wanted_object(given: dict[str, str], name: str) -> dict[str, Any]:
    """A parameter that must be a JSON object."""
    try:
        value = json.loads(wanted(given, name))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal("ISV", "InvalidParameter", f"The parameter {name} is invalid")
    return value


def page_of(given: Any, usual: int) -> int:
    """A page or a page's size; the usual one for nothing."""
    text = str(given or usual)
    if not re.fullmatch("[0-9]{1,6}", text) or int(text) < 1:
        raise Refusal("ISV", "InvalidParameter", "The page is invalid")
    return int(text)


def oddly(value: Any) -> Any:
    """The same with every number as text, something nobody knows, and nothing where nothing is."""
    if isinstance(value, dict):
        shaped = {key: oddly(item) for key, item in value.items()}
        return {**shaped, "newFieldOf2026": None}
    if isinstance(value, list):
        return [oddly(item) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value


def wrapped(name: str, rows: list[Any], *, is_simple: bool) -> Any:
    """A list as it goes over the wire: plain, or in an object under its type's name.

    Wrapped, a list of one is the thing itself, and an empty one is missing.
    """
    if is_simple:
        return rows
    if not rows:
        return None
    return {name: rows[0] if len(rows) == 1 else rows}


def without_nulls(body: dict[str, Any]) -> dict[str, Any]:
    """An object without the members that are None."""
    return {key: value for key, value in body.items() if value is not None}


def picture(number: int) -> Response:
    """A small picture whose colour is its number's; every 97th is lost."""
    if number % 97 == 13:
        return Response("not found", 404)
    response = Response(_png(number % 512), 200, mimetype="image/png")
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


@lru_cache(maxsize=512)
def _png(colour: int) -> bytes:
    """A PNG of 64 by 64 pixels in one colour."""
    pixel = bytes((colour * 37 % 256, colour * 91 % 256, colour * 53 % 256))
    rows = (b"\x00" + pixel * 64) * 64

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def _incomplete() -> Refusal:
    return Refusal(
        "ISV",
        "IncompleteSignature",
        "The request signature does not conform to platform standards",
    )


def _illegal_token() -> Refusal:
    return Refusal("ISV", "IllegalAccessToken", "The specified access token is invalid or expired")


def _banned(seconds: int) -> Refusal:
    return Refusal(
        "SYSTEM",
        "ApiCallLimit",
        f"Api access frequency exceeds the limit. this ban will last {seconds} seconds",
    )
