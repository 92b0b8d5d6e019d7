"""The suppliers' sandbox checks what the real platforms check, and its catalogue keeps its word."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contracts.profiles import ProviderValues
from tests.contracts.suppliers import Connection
from tests.sandbox import supplier_catalogue as catalogue
from tests.sandbox.open_platform import sign
from tests.sandbox.running import (
    ALIEXPRESS_API_KEY,
    ALIEXPRESS_API_SECRET,
    OPEN_EXCHANGE_RATES_APP_ID,
    RunningSandbox,
)

CODE = "3_500102_JxZ05Ux3cnnSSUm6dCxYg6Q26"
OFFICIAL = {
    "app_key": "12345678",
    "code": CODE,
    "timestamp": "1517820392000",
    "sign_method": "sha256",
}
"""The documentation's own vector V1, secret `helloworld`."""


@pytest.fixture
def token(sandbox: RunningSandbox, values: ProviderValues) -> Iterator[str]:
    """An access token of AliExpress, its dials and catalogue as they are at first."""
    yield Connection("aliexpress", values).tokens.value()
    sandbox.client.put(f"{sandbox.url}/_sandbox/dials/aliexpress", json={}).raise_for_status()
    sandbox.client.put(f"{sandbox.url}/_sandbox/suppliers", json={}).raise_for_status()


def signed(path: str, **more: str) -> dict[str, str]:
    """Parameters with the common ones and their signature."""
    given = {
        "app_key": ALIEXPRESS_API_KEY,
        "timestamp": str(int(time.time() * 1000)),
        "sign_method": "sha256",
        **more,
    }
    return {**given, "sign": sign(ALIEXPRESS_API_SECRET, given, path)}


def ask(sandbox: RunningSandbox, path: str, given: dict[str, str], method: str = "POST") -> Any:
    """The body of an answer, which always has status 200."""
    url = f"{sandbox.url}/aliexpress{path}"
    if method == "GET":
        answer: httpx.Response = sandbox.client.get(url, params=given)
    else:
        answer = sandbox.client.post(url, data=given)
    assert answer.status_code == 200
    return answer.json()


def refused(sandbox: RunningSandbox, given: dict[str, str]) -> str:
    """The code of an error of `/sync`."""
    error = ask(sandbox, "/sync", given)["error_response"]
    assert error["msg"]
    assert error["request_id"]
    return str(error["code"])


def test_it_computes_the_documentations_signatures() -> None:
    assert sign("helloworld", OFFICIAL, "/auth/token/create") == (
        "35607762342831B6A417A0DED84B79C05FEFBF116969C48AD6DC00279A9F4D81"
    )
    assert sign("helloworld", OFFICIAL, "/rest/auth/token/create") == (
        "9F5B7C504E6B68392A59D35062F07E1CF90A5F7EB6947CC903CA883C04024917"
    )


def test_a_path_signed_with_the_gateways_prefix_is_refused(sandbox: RunningSandbox) -> None:
    given = signed("/rest/auth/token/create", code="sandbox-consent")
    body = ask(sandbox, "/rest/auth/token/create", given)
    assert (body["type"], body["code"]) == ("ISV", "IncompleteSignature")
    assert body["message"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_signed_rightly_is_answered_either_way(sandbox: RunningSandbox, method: str) -> None:
    given = signed("/auth/token/create", code="sandbox-consent")
    body = ask(sandbox, "/rest/auth/token/create", given, method)
    assert body["code"] == "0"
    assert body["expires_in"] == "2592000"
    assert body["refresh_expires_in"] == 5184000


def test_a_path_may_come_as_a_method_and_is_signed_with_it(sandbox: RunningSandbox) -> None:
    path = "/auth/token/create"
    assert ask(sandbox, "/sync", signed(path, method=path, code="sandbox-consent"))["code"] == "0"


def test_what_the_gateway_refuses(sandbox: RunningSandbox, token: str) -> None:
    method = "aliexpress.ds.category.get"
    good = signed("", method=method, session=token, language="en")
    assert "aliexpress_ds_category_get_response" in ask(sandbox, "/sync", good)
    old = signed(
        "", method=method, session=token, timestamp=str(int(time.time() * 1000) - 7_300_000)
    )
    for given, code in (
        ({**good, "language": "fr"}, "IncompleteSignature"),
        ({**good, "more": "1"}, "IncompleteSignature"),
        ({**good, "sign": good["sign"].lower()}, "IncompleteSignature"),
        (signed("", method=method, session=token, sign_method="md5"), "IncompleteSignature"),
        (signed("", method=method, session=token, app_key="1"), "InvalidAppKey"),
        (old, "IllegalTimestamp"),
        (signed("", method=method, session="at_other"), "IllegalAccessToken"),
        (signed("", method=method), "MissingParameter"),
        (signed("", method="aliexpress.ds.unknown", session=token), "InvalidApiPath"),
        ({name: value for name, value in good.items() if name != "sign"}, "MissingParameter"),
        (
            signed("", method="aliexpress.ds.product.get", session=token, product_id="1"),
            "MissingParameter",
        ),
    ):
        assert refused(sandbox, given) == code


def test_either_name_of_the_token_is_taken(sandbox: RunningSandbox, token: str) -> None:
    given = signed("", method="aliexpress.ds.category.get", access_token=token)
    assert "error_response" not in ask(sandbox, "/sync", given)


def test_lists_are_wrapped_unless_they_shall_be_simple(sandbox: RunningSandbox, token: str) -> None:
    method = "aliexpress.ds.category.get"
    wrapped = ask(sandbox, "/sync", signed("", method=method, session=token))
    simple = ask(sandbox, "/sync", signed("", method=method, session=token, simplify="true"))

    def categories(body: Any) -> Any:
        return body["aliexpress_ds_category_get_response"]["resp_result"]["result"]["categories"]

    assert categories(wrapped) == {"category": categories(simple)}
    assert len(categories(simple)) == len(catalogue.CATEGORIES)


def test_no_secret_is_remembered(sandbox: RunningSandbox, token: str) -> None:
    ask(sandbox, "/sync", signed("", method="aliexpress.ds.category.get", session=token))
    ask(sandbox, "/rest/auth/token/create", signed("/auth/token/create", code="sandbox-consent"))
    calls = sandbox.listed("calls", provider="aliexpress")
    assert calls[-2]["operation"] == "categories"
    assert calls[-2]["body"]["session"] == "…"
    given = signed("", method="aliexpress.ds.category.get", session=token)
    ask(sandbox, "/sync", given, "GET")
    calls = sandbox.listed("calls", provider="aliexpress")
    assert token not in str(calls)
    assert given["sign"] not in str(calls)
    assert "sandbox-consent" not in str(calls)


# The catalogue


def test_it_has_twenty_thousand_things_on_sale() -> None:
    counts = catalogue.expectations(0)
    assert counts["products"] >= 20_000
    assert counts["listed"] == counts["products"] + counts["aliases"]
    assert catalogue.wholesale_expectations(0)["products"] >= 2_000
    flaws = sum(counts[flaw] for flaw, _ in catalogue.FLAWS)
    assert counts["flawless"] + flaws == counts["products"]
    assert all(counts[flaw] > 0 for flaw, _ in catalogue.FLAWS)


def test_the_same_number_is_the_same_thing_everywhere() -> None:
    one = catalogue.item(4711, 3)
    catalogue.item.cache_clear()
    assert catalogue.item(4711, 3) == one
    # Computed once: another machine, another process and another year say the same.
    assert (one.id, one.title, str(one.price)) == KNOWN


KNOWN = ("1005000000004712", "Eco-Friendly Lace Front Wig F281", "55.48")


def test_every_id_leads_back_to_its_number() -> None:
    for number in range(0, 2_000, 7):
        one = catalogue.item(number)
        assert catalogue.number_of(one.id) == number
        if one.alias is not None:
            assert catalogue.number_of(one.alias) == number
    for stranger in ("", "x", "1", "1005000000021001", "1005900000000002", "٣"):
        assert catalogue.number_of(stranger) is None


def test_a_day_changes_some_and_not_all() -> None:
    numbers = range(4_000)
    today = [catalogue.item(number, 4) for number in numbers]
    tomorrow = [catalogue.item(number, 5) for number in numbers]
    pairs = list(zip(today, tomorrow, strict=True))
    moved = sum(one.price != other.price for one, other in pairs)
    left = sum(one.status == "selling" != other.status for one, other in pairs)
    came = sum(one.status != "selling" == other.status for one, other in pairs)
    assert 200 < moved < 500
    assert 0 < left < 40
    assert 0 < came < 40
    assert all(one.title == other.title for one, other in pairs)


def test_a_copy_is_the_same_thing_at_another_price() -> None:
    copies = [one for number in range(3_000) if (one := catalogue.item(number)).copy_of is not None]
    assert len(copies) > 20
    for one in copies:
        assert one.copy_of is not None
        original = catalogue.item(one.copy_of)
        assert (one.title, one.pictures, one.category) == (
            original.title,
            original.pictures,
            original.category,
        )
        assert one.seller != original.seller


def test_the_control_moves_the_day_and_says_what_is_to_be_found(
    sandbox: RunningSandbox, token: str
) -> None:
    assert token
    url = f"{sandbox.url}/_sandbox/suppliers"
    turned = {"day": 3, "items": 500, "wholesale_items": 100}
    assert sandbox.client.put(url, json=turned).json() == turned
    told = sandbox.client.get(url, params={"country": "CM"}).json()
    assert told["aliexpress"] == catalogue.expectations(3, 500, "CM")
    assert told["alibaba"] == catalogue.wholesale_expectations(3, 100, "CM")
    wrongs: tuple[Any, ...] = ({"day": -1}, {"items": 10**9}, {"dya": 1}, {"day": "3"}, [])
    for wrong in wrongs:
        assert sandbox.client.put(url, json=wrong).status_code == 400
    assert sandbox.client.put(url, json={}).json()["day"] == 0


# Rates


def test_the_paid_source_wants_its_app_id(sandbox: RunningSandbox) -> None:
    url = f"{sandbox.url}/openexchangerates/api/latest.json"
    answer = sandbox.client.get(url, params={"app_id": "other"})
    assert (answer.status_code, answer.json()["message"]) == (401, "invalid_app_id")
    answer = sandbox.client.get(url, params={"app_id": OPEN_EXCHANGE_RATES_APP_ID, "base": "EUR"})
    assert (answer.status_code, answer.json()["message"]) == (403, "access_restricted")


def test_the_bank_does_not_quote_the_franc(sandbox: RunningSandbox) -> None:
    text = sandbox.client.get(f"{sandbox.url}/ecb/stats/eurofxref/eurofxref-daily.xml").text
    assert 'currency="ZAR" rate="19.4600"' in text
    assert "XAF" not in text
