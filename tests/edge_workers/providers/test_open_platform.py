"""The gateway that AliExpress and Alibaba share: signatures, errors, tokens, and odd values."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable
from edge_workers.providers.open_platform import (
    LONGEST_BAN_SECONDS,
    OpenPlatformAuthority,
    absolute_url,
    as_list,
    first_of,
    id_of,
    money,
    prose_of,
    refusal,
    share_as_stars,
    signature,
    stars,
    text_of,
    token_from,
    whole_number,
    with_token,
)
from tests.contracts.peer import Said, peer
from tests.edge_workers.providers.supplier_peer import (
    APP_SECRET,
    NOW,
    FixedTokens,
    OpenLine,
    platform_at,
    refused,
    said,
    sent,
)

COMMON = {"timestamp": "1517820392000", "sign_method": "sha256"}
CODE = "3_500102_JxZ05Ux3cnnSSUm6dCxYg6Q26"
FREIGHT = (
    '{"quantity":"1","shipToCountry":"ZA","productId":"1005006361450153",'
    '"selectedSkuId":"12000036893609536","language":"en_US","locale":"en_US","currency":"USD"}'
)
VECTORS: dict[str, tuple[dict[str, str], str, str]] = {
    "V1 official": (
        {"app_key": "12345678", "code": CODE},
        "/auth/token/create",
        "35607762342831B6A417A0DED84B79C05FEFBF116969C48AD6DC00279A9F4D81",
    ),
    "V2 official": (
        {
            "app_key": "123456",
            "access_token": "test",
            "aliexpress_category_id": "200135143",
            "method": "aliexpress.logistics.redefining.getonlinelogisticsinfo",
        },
        "",
        "F7F7926B67316C9D1E8E15F7E66940ED3059B1638C497D77973F30046EFB5BBB",
    ),
    "V3 accents": (
        {
            "app_key": "12345678",
            "session": "test",
            "method": "aliexpress.ds.text.search",
            "format": "json",
            "keyWord": "téléphone été",
            "countryCode": "ZA",
            "currency": "USD",
            "local": "en_US",
            "pageIndex": "1",
            "pageSize": "20",
            "sortBy": "orders,desc",
        },
        "",
        "816A5E9FD2C6BD1D8BFB86BA5BF9DC7C2C32068F1EC1D0FFAA08EB4F83AE08DF",
    ),
    "V4 product": (
        {
            "app_key": "12345678",
            "access_token": "test",
            "method": "aliexpress.ds.product.get",
            "product_id": "1005006361450153",
            "ship_to_country": "ZA",
            "target_currency": "USD",
            "target_language": "en",
        },
        "",
        "1F71CF703401A30FEE8D46B48041705B991A5B76099043C2A56779D11284640F",
    ),
    "V5 JSON value": (
        {
            "app_key": "12345678",
            "session": "test",
            "method": "aliexpress.ds.freight.query",
            "queryDeliveryReq": FREIGHT,
        },
        "",
        "BB72F888016F4C8C98E8527C698FFA8F7502763C3FAD58D78BFA5C2D58BD65DC",
    ),
    "V6 refresh": (
        {"app_key": "12345678", "refresh_token": "rt_test"},
        "/auth/token/refresh",
        "ED6C0FE0A9B872DAA2173AF6AA9D515B9AF3A99FFC018ADE6D17C607B512D44A",
    ),
    "V8 categories": (
        {
            "app_key": "12345678",
            "session": "test",
            "method": "aliexpress.ds.category.get",
            "language": "en",
        },
        "",
        "370212C72DBD9BF314CE2071C1014D933BF0A83BD2D58AC74F6F49D92DE3C555",
    ),
    "V9 path also as method": (
        {"app_key": "12345678", "code": CODE, "method": "/auth/token/create"},
        "/auth/token/create",
        "85833DD7661196F4F9CBE5FA79870B60F799D4101B7688C2081DDA6755B1ED0F",
    ),
    "Lazada, of the same family": (
        {"app_key": "123456", "access_token": "test", "order_id": "1234"},
        "/order/get",
        "4190D32361CFB9581350222F345CB77F3B19F0E31D162316848A2C1FFD5FAB4A",
    ),
    "A1 Alibaba search": (
        {
            "app_key": "12345678",
            "access_token": "test",
            "param0": '{"index":1,"size":20,"keyword":"solar lamp"}',
        },
        "/eco/buyer/product/search",
        "C98DB25EC6577971D925B58B5262A5839304AE9AF1B6595A425631D45B26C4CF",
    ),
    "A2 Alibaba detail": (
        {
            "app_key": "12345678",
            "access_token": "test",
            "query_req": '{"product_id":1601206892606,"country":"ZA","currency":"USD",'
            '"language":"en-US"}',
        },
        "/eco/buyer/product/description",
        "5A2FB333A54838443DFE76D6857BDC8E04D036EB47E5E3879BDE375AA1E57CC1",
    ),
}


# Signatures


@pytest.mark.parametrize("name", VECTORS)
def test_signs_the_documents_vectors(name: str) -> None:
    parameters, path, wanted = VECTORS[name]
    assert signature(APP_SECRET, {**COMMON, **parameters}, path) == wanted


def test_the_gateways_own_prefix_is_not_signed() -> None:
    parameters, path, good = VECTORS["V1 official"]
    wrong = signature(APP_SECRET, {**COMMON, **parameters}, f"/rest{path}")
    assert wrong == "9F5B7C504E6B68392A59D35062F07E1CF90A5F7EB6947CC903CA883C04024917"
    assert wrong != good


def test_the_signature_itself_and_what_is_empty_are_not_signed() -> None:
    parameters, path, wanted = VECTORS["V1 official"]
    more = {**COMMON, **parameters, "sign": "X", "uuid": ""}
    assert signature(APP_SECRET, more, path) == wanted


def test_names_are_sorted_by_their_bytes() -> None:
    assert signature("s", {"a": "1", "B": "2"}) == signature("s", {"B2a": "1"})


def test_a_path_call_leaves_as_the_vector_has_it() -> None:
    with peer(said({"access_token": "at", "expires_in": "60", "code": "0"})) as gateway:
        authority = OpenPlatformAuthority(
            platform_at(gateway.url, "aliexpress"), consent_url="https://x", consent_extra=""
        )
        authority.create_token(CODE, NOW)
        (heard,) = gateway.heard
    assert (heard.method, heard.path) == ("POST", "/rest/auth/token/create")
    assert sent(heard) == {
        **COMMON,
        "app_key": "12345678",
        "code": CODE,
        "sign": VECTORS["V1 official"][2],
    }


def test_an_empty_parameter_is_neither_signed_nor_sent() -> None:
    with peer(said({"aliexpress_x_response": {}})) as gateway:
        platform_at(gateway.url, "aliexpress").call_method("x", "aliexpress.x", {"a": "", "b": "1"})
        (heard,) = gateway.heard
    given = sent(heard)
    assert "a" not in given
    signed = {name: value for name, value in given.items() if name != "sign"}
    assert given["sign"] == signature(APP_SECRET, signed)


# Errors


@pytest.mark.parametrize(
    ("code", "class_", "ours"),
    [
        ("IncompleteSignature", Misconfigured, "signature_refused"),
        ("InvalidAppKey", Misconfigured, "app_key_refused"),
        ("InvalidApiPath", Misconfigured, "api_unknown"),
        ("InsufficientPermission", Misconfigured, "permission_missing"),
        ("15", Misconfigured, "permission_missing"),
        ("AppWhiteIpLimit", Misconfigured, "address_refused"),
        ("IllegalRefreshToken", Misconfigured, "consent_needed"),
        ("InvalidCode", Misconfigured, "consent_needed"),
        ("IllegalAccessToken", Misconfigured, "token_refused"),
        ("25", Misconfigured, "token_refused"),
        ("26", Misconfigured, "token_refused"),
        ("27", Misconfigured, "token_refused"),
        ("MissingParameter", Rejected, "request_refused"),
        ("UnsupportedParamMapping", Rejected, "request_refused"),
        ("InvalidParameter", Rejected, "request_refused"),
        ("40", Rejected, "request_refused"),
        ("41", Rejected, "request_refused"),
        ("11006", Rejected, "request_refused"),
        ("ApiCallLimit", Unavailable, "rate_limited"),
        ("AppCallLimit", Unavailable, "rate_limited"),
        ("AppApiCallLimit", Unavailable, "rate_limited"),
        ("7", Unavailable, "rate_limited"),
    ],
)
@pytest.mark.parametrize("shape", ["sync", "rest"])
def test_errors_have_their_class(
    code: str, class_: type[ProviderError], ours: str, shape: str
) -> None:
    body = refused(code)
    if shape == "rest":
        body = {"type": "ISV", "code": code, "message": "no", "request_id": "0ba"}
    error = refusal("aliexpress", body)
    assert type(error) is class_
    assert error.code == ours
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("type_", "code"),
    [("ISP", "ServiceTimeout"), ("SYSTEM", "Whatever"), ("ISP", "15"), ("SYSTEM", "isp.error")],
)
def test_a_fault_over_there_is_worth_another_try(type_: str, code: str) -> None:
    error = refusal("aliexpress", refused(code, type_=type_))
    assert isinstance(error, Unavailable)
    assert error.code == "server_error"


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Api access frequency exceeds the limit. this ban will last 1 seconds", 1),
        ("The frequency of app access … this ban will last 14229 seconds", 14_229),
        ("THIS BAN WILL LAST  30  SECOND", 30),
        ("this ban will last 9999999 seconds", LONGEST_BAN_SECONDS),
        ("too many calls", None),
        ("", None),
    ],
)
def test_a_ban_lasts_as_long_as_its_text_says(message: str, seconds: int | None) -> None:
    error = refusal("aliexpress", refused("ApiCallLimit", message))
    assert error is not None
    assert (error.code, error.retry_after, error.outcome) == (
        "rate_limited",
        seconds,
        "nothing_created",
    )


@pytest.mark.parametrize("kind", ["app", "api", "app-api"])
def test_a_quota_is_known_by_its_sub_code(kind: str) -> None:
    body = refused("15", sub_code=f"accesscontrol.limited-by-{kind}-access-count")
    error = refusal("aliexpress", body)
    assert error is not None
    assert error.code == "rate_limited"


@pytest.mark.parametrize(
    "body",
    [
        {"aliexpress_ds_product_get_response": {"rsp_code": 200}},
        {"access_token": "at", "code": "0"},
        {"code": "0", "type": "", "message": "", "result": {}},
        {"code": 0, "result": {}},
        {"code": "200", "result": {}},
        {"code": "130106", "result_msg": "a business code is not the gateway's"},
        {"type": "nil", "code": "1", "message": ""},
        {"error_response": "a text is no error"},
    ],
)
def test_what_is_no_error_of_the_gateway(body: dict[str, Any]) -> None:
    assert refusal("alibaba", body) is None


def test_an_error_tells_no_personal_text() -> None:
    error = refusal("alibaba", refused("InvalidParameter", "buyer@example.test +27 82 123 4567"))
    assert "example" not in str(error)
    assert "4567" not in str(error)


def test_a_ban_lets_the_whole_line_rest() -> None:
    line = OpenLine()
    ban = refused("AppApiCallLimit", "this ban will last 77 seconds")
    with (
        peer(said(ban)) as gateway,
        pytest.raises(Unavailable, match="AppApiCallLimit") as error,
    ):
        platform_at(gateway.url, "aliexpress", line).call_method("x", "aliexpress.x", {})
    assert error.value.retry_after == 77
    assert line.rests == [77]
    assert line.calls == 1


def test_the_status_429_lets_the_line_rest_too() -> None:
    line = OpenLine()
    limit = Said(429, b"", {"retry-after": "9"})
    with peer(limit) as gateway, pytest.raises(Unavailable) as error:
        platform_at(gateway.url, "aliexpress", line).call_method("x", "aliexpress.x", {})
    assert (error.value.code, error.value.retry_after) == ("rate_limited", 9)
    assert line.rests == [9]


@pytest.mark.parametrize("limit", [said(refused("ApiCallLimit", "too many")), Said(429, b"", {})])
def test_a_limit_without_a_time_is_left_to_the_line(limit: Said) -> None:
    line = OpenLine()
    with peer(limit, said({"a_response": {"x": 1}})) as gateway:
        platform = platform_at(gateway.url, "aliexpress", line)
        with pytest.raises(Unavailable) as error:
            platform.call_method("x", "a", {})
        assert (error.value.code, error.value.retry_after) == ("rate_limited", None)
        assert (line.rests, line.calls_taken) == ([None], 0)
        platform.call_method("x", "a", {})
    assert (line.rests, line.calls_taken) == ([None], 1)


def test_a_timestamp_that_was_too_old_is_tried_once_more() -> None:
    with peer(said(refused("IllegalTimestamp")), said({"a_response": {"x": 1}})) as gateway:
        body = platform_at(gateway.url, "aliexpress").call_method("x", "a", {})
        assert body == {"a_response": {"x": 1}}
        assert len(gateway.heard) == 2
    with (
        peer(said(refused("IllegalTimestamp"))) as gateway,
        pytest.raises(Misconfigured) as error,
    ):
        platform_at(gateway.url, "aliexpress").call_method("x", "a", {})
    assert error.value.code == "clock_refused"
    assert len(gateway.heard) == 2


@pytest.mark.parametrize(
    "raw", [b"", b"<html>502</html>", b"[]", b"{}", b"null", b'{"a":', b"\xff\xfe"]
)
def test_what_is_no_object_means_nothing(raw: bytes) -> None:
    with peer(said(raw)) as gateway, pytest.raises(Unavailable) as error:
        platform_at(gateway.url, "aliexpress").call_method("x", "a", {})
    assert error.value.code == "answer_malformed"


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_bad_gateway_is_the_peers_fault(status: int) -> None:
    with (
        peer(said(b"<html>bad gateway</html>", status)) as gateway,
        pytest.raises(Unavailable) as error,
    ):
        platform_at(gateway.url, "aliexpress").call_method("x", "a", {})
    assert error.value.code == "server_error"


@pytest.mark.parametrize("secret", ["", "clé", "a\nb"])
def test_an_unusable_secret_is_said_at_once(secret: str) -> None:
    platform = platform_at("http://127.0.0.1:9", "aliexpress")
    with pytest.raises(Misconfigured):
        type(platform)(
            provider="aliexpress",
            app_key="1",
            app_secret=secret,
            transport=platform._transport,
            line=OpenLine(),
            now=lambda: NOW,
        )


# Tokens


def test_a_refused_token_is_renewed_once_and_the_call_repeated() -> None:
    tokens = FixedTokens("old", "new")
    calls: list[str] = []

    def call(token: str) -> dict[str, Any]:
        calls.append(token)
        if token == "old":
            raise Misconfigured("no", code="token_refused")
        return {"token": token}

    assert with_token(tokens, call) == {"token": "new"}
    assert (calls, tokens.refused) == (["old", "new"], ["old"])


def test_a_token_that_is_refused_again_is_not_renewed_for_ever() -> None:
    tokens = FixedTokens("old", "new")
    calls: list[str] = []

    def call(token: str) -> dict[str, Any]:
        calls.append(token)
        raise Misconfigured("no", code="token_refused")

    with pytest.raises(Misconfigured, match="no"):
        with_token(tokens, call)
    assert calls == ["old", "new"]


def test_another_error_renews_nothing() -> None:
    tokens = FixedTokens("old", "new")

    def call(_token: str) -> dict[str, Any]:
        raise Misconfigured("no", code="permission_missing")

    with pytest.raises(Misconfigured, match="no"):
        with_token(tokens, call)
    assert tokens.refused == []


ANSWER = {
    "access_token": "at_dummy",
    "refresh_token": "rt_dummy",
    "expires_in": 2592000,
    "expire_time": 1760000000000,
    "refresh_expires_in": 5184000,
    "refresh_token_valid_time": 1762592000000,
    "account_id": "100001",
    "user_id": "100002",
    "account_platform": "buyerApp",
    "code": "0",
}


def test_reads_the_documents_token() -> None:
    token = token_from("aliexpress", ANSWER, NOW)
    assert token.access_token == "at_dummy"
    assert token.refresh_token == "rt_dummy"
    assert token.access_expires_at == NOW + timedelta(days=30)
    assert token.refresh_expires_at == NOW + timedelta(days=60)
    assert token.account_id == "100001"
    assert "dummy" not in repr(token)


@pytest.mark.parametrize(
    ("more", "access_at", "refresh_at"),
    [
        (
            {"expires_in": "864000", "refresh_expires_in": "5184000"},
            NOW + timedelta(days=10),
            NOW + timedelta(days=60),
        ),
        (
            {"expires_in": None, "refresh_expires_in": None},
            datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC),
            datetime(2025, 11, 8, 8, 53, 20, tzinfo=UTC),
        ),
        (
            {
                "expires_in": None,
                "expire_time": "1760000000000",
                "refresh_expires_in": 0,
                "refresh_token_valid_time": 0,
            },
            datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC),
            None,
        ),
        (
            {"refresh_expires_in": "soon", "refresh_token_valid_time": 10**30},
            NOW + timedelta(days=30),
            None,
        ),
    ],
)
def test_lives_are_read_as_they_come(
    more: dict[str, Any], access_at: datetime, refresh_at: datetime | None
) -> None:
    token = token_from("alibaba", {**ANSWER, **more}, NOW)
    assert (token.access_expires_at, token.refresh_expires_at) == (access_at, refresh_at)


def test_a_refresh_may_leave_out_what_stays() -> None:
    body = {"access_token": "at", "expires_in": 60}
    token = token_from("aliexpress", body, NOW)
    assert (token.refresh_token, token.refresh_expires_at, token.account_id) == (None, None, "")


def test_the_account_may_stand_in_the_users_object() -> None:
    body = {"access_token": "at", "expires_in": 60, "user_info": {"user_id": 77, "country": "ZA"}}
    assert token_from("alibaba", body, NOW).account_id == "77"


@pytest.mark.parametrize(
    "body",
    [{}, {"access_token": ""}, {"access_token": "at"}, {"access_token": "at", "expires_in": "x"}],
)
def test_a_token_without_value_or_end_is_none(body: dict[str, Any]) -> None:
    with pytest.raises(Unavailable) as error:
        token_from("aliexpress", body, NOW)
    assert error.value.code == "answer_malformed"


def test_a_spent_refresh_token_wants_a_person() -> None:
    body = {"type": "ISV", "code": "IllegalRefreshToken", "message": "gone", "request_id": "1"}
    with peer(said(body)) as gateway:
        authority = OpenPlatformAuthority(
            platform_at(gateway.url, "aliexpress"), consent_url="https://x", consent_extra=""
        )
        with pytest.raises(Misconfigured) as error:
            authority.refresh_token("rt_test", NOW)
        (heard,) = gateway.heard
    assert error.value.code == "consent_needed"
    assert heard.path == "/rest/auth/token/refresh"
    assert sent(heard)["sign"] == VECTORS["V6 refresh"][2]


def test_the_consent_page_names_the_app_and_the_way_back() -> None:
    authority = OpenPlatformAuthority(
        platform_at("http://127.0.0.1:9", "aliexpress"),
        consent_url="https://api-sg.aliexpress.com/oauth/authorize",
        consent_extra="&force_auth=true",
    )
    page = urlsplit(authority.consent_page("https://shop.example/admin?a=1&b=2"))
    assert (page.netloc, page.path) == ("api-sg.aliexpress.com", "/oauth/authorize")
    assert parse_qs(page.query) == {
        "response_type": ["code"],
        "client_id": ["12345678"],
        "redirect_uri": ["https://shop.example/admin?a=1&b=2"],
        "force_auth": ["true"],
    }


# Odd values


@pytest.mark.parametrize(
    ("node", "count"),
    [
        (None, 0),
        ([], 0),
        ({}, 0),
        ("text", 0),
        ([{"a": 1}, {"a": 2}], 2),
        ({"selection_search_product": [{"a": 1}, {"a": 2}]}, 2),
        ({"selection_search_product": {"a": 1, "b": 2}}, 1),
        ({"selection_search_product": [], "new": None}, 0),
        ({"selection_search_product": [{"a": 1}], "new": None}, 1),
        ({"a": 1, "b": {"c": 2}}, 1),
        ({"a": 1}, 1),
        ([{"a": 1}, None, "x"], 1),
        ({"selection_search_product": [{"a": 1}, {"a": 2}], "count": 2, "next": "x"}, 2),
        ({"selection_search_product": [{"a": 1}, {"a": 2}], "filters": [{"b": 1}]}, 1),
    ],
)
def test_a_list_in_any_wrapping(node: Any, count: int) -> None:
    assert len(as_list(node)) == count


def test_a_mark_tells_an_object_from_its_wrapper() -> None:
    thing = {"id": "1", "parts": [{"part": 1}, {"part": 2}]}
    assert as_list(thing, "sku", "id") == [thing]
    assert as_list({"thing": [thing], "count": 1}, "id") == [thing]
    assert as_list({"thing": thing, "count": 1}, "id") == [thing]
    assert as_list(thing) == thing["parts"]


def test_wrappers_are_looked_through_from_the_outside() -> None:
    body = {"x_response": {"resp_result": {"result": {"products": 1}, "resp_code": 200}}}
    assert first_of(body, "products") == 1
    assert first_of(body, "resp_code") == 200
    assert first_of({"products": 2}, "products") == 2
    assert first_of({"x_response": {"products": None}}, "products", "items") is None


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("1005006361450153", "1005006361450153"),
        (12000036893609536, "12000036893609536"),
        (Decimal(12000036893609536), "12000036893609536"),
        (json.loads("12000036893609537"), "12000036893609537"),
        (Decimal("1.2E+16"), ""),
        ("14:29#Bear", ""),
        (0, ""),
        (None, ""),
        (True, ""),
        ("a b", ""),
    ],
)
def test_ids_are_texts(value: Any, wanted: str) -> None:
    assert id_of(value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("5,000+", 5000),
        ("5000+", 5000),
        ("73", 73),
        (27, 27),
        ("27.0", 27),
        (Decimal(3), 3),
        ("", None),
        ("many", None),
        ("2.5", None),
        ("-3", None),
        (None, None),
        (True, None),
    ],
)
def test_counts(value: Any, wanted: int | None) -> None:
    assert whole_number(value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("3.29", "3.29"),
        (Decimal("3.29"), "3.29"),
        (8, "8"),
        ('"8.01"', "8.01"),
        ("3,29€", "3.29"),
        ("0,00€", "0.00"),
        ("US $1,234.50", "1234.50"),
        ("$0.88", "0.88"),
        ("1 234,56 €", "1234.56"),
        ("R 1 234", "1234"),
        ("12,345", "12345"),
        ("1.99", "1.99"),
        ("", None),
        ("$0.88-1.05", None),
        ("free", None),
        ("-3", None),
        (None, None),
        ("NaN", None),
        (True, None),
    ],
)
def test_sums(value: Any, wanted: str | None) -> None:
    assert money(value) == (None if wanted is None else Decimal(wanted))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("4.5", "4.5"), (5, "5"), ("0.0", None), (0, None), ("5.1", None), ("", None), (None, None)],
)
def test_stars(value: Any, wanted: str | None) -> None:
    assert stars(value) == (None if wanted is None else Decimal(wanted))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("89.2", "4.46"), ("97.8%", "4.89"), ("100%", "5.00"), ("0", None), ("120", None), ("", None)],
)
def test_a_share_of_good_ratings_in_stars(value: Any, wanted: str | None) -> None:
    assert share_as_stars(value) == (None if wanted is None else Decimal(wanted))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("//ae01.alicdn.example/a.jpg", "https://ae01.alicdn.example/a.jpg"),
        ("https://s.example/a.jpg", "https://s.example/a.jpg"),
        (" https://s.example/a.jpg ", "https://s.example/a.jpg"),
        ("javascript:alert(1)", None),
        ('https://s.example/"><script>', None),
        ("a.jpg", None),
        ("", None),
        (None, None),
    ],
)
def test_addresses_of_pictures(value: Any, wanted: str | None) -> None:
    assert absolute_url(value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, ""),
        (True, ""),
        (5, "5"),
        (Decimal("1.50"), "1.50"),
        (" a ", "a"),
        ([], ""),
        ("a\nb\x00\u2028c\ud800", "a b c"),
    ],
)
def test_texts(value: Any, wanted: str) -> None:
    assert text_of(value) == wanted


def test_prose_keeps_its_lines() -> None:
    assert prose_of(" <p>\na\x00\ud800é</p>\t") == "<p>\naé</p>"
    assert prose_of(None) == prose_of(5) == ""
