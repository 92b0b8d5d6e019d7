"""Published and computed vectors of PayFast's three signatures, wrong ways of making them too."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from edge_workers.providers import form_text
from edge_workers.providers.errors import Misconfigured
from edge_workers.providers.payfast import notice, signature

PASSPHRASE = "jt7NOE43FZPn"

BLANK_CUSTOMS = tuple((f"custom_{kind}{n}", "") for kind in ("str", "int") for n in range(1, 6))

F1 = (
    ("m_payment_id", "000000020"),
    ("pf_payment_id", "1579137"),
    ("payment_status", "COMPLETE"),
    ("item_name", "Order #000000020"),
    ("item_description", ""),
    ("amount_gross", "15.00"),
    ("amount_fee", "-2.30"),
    ("amount_net", "12.70"),
    *BLANK_CUSTOMS,
    ("name_first", "Tom"),
    ("name_last", "Tom"),
    ("email_address", "lindley+user1@appinlet.com"),
    ("merchant_id", "10027938"),
)
F2 = (
    ("m_payment_id", "1234"),
    ("pf_payment_id", "1221576"),
    ("payment_status", "COMPLETE"),
    ("item_name", "Order#123"),
    ("item_description", ""),
    ("amount_gross", "10.00"),
    ("amount_fee", "-0.23"),
    ("amount_net", "9.77"),
    *BLANK_CUSTOMS,
    ("name_first", "First"),
    ("name_last", "Last"),
    ("email_address", "test@test.com"),
    ("merchant_id", "10000100"),
)
F3 = (
    ("merchant_id", "10000100"),
    ("merchant_key", "46f0cd694581a"),
    ("return_url", "https://your.domain/return.php"),
    ("cancel_url", "https://your.domain/cancel.php"),
    ("notify_url", "https://your.domain/notify.php"),
    ("name_first", "First Name"),
    ("name_last", "Last Name"),
    ("email_address", "test@test.com"),
    ("m_payment_id", "1234"),
    ("amount", "10.00"),
    ("item_name", "Order#123"),
)
F4 = (
    ("merchant_id", "10000100"),
    ("merchant_key", "46f0cd694581a"),
    ("amount", "199.90"),
    ("item_name", "Tee-shirt (S) d'été & co ~ 50% *new*"),
)
F5 = (
    "m_payment_id=order-000042&pf_payment_id=1089250&payment_status=COMPLETE"
    "&item_name=Order+order-000042&item_description=&amount_gross=100.00&amount_fee=-4.60"
    "&amount_net=95.40&custom_str1=&custom_str2=&custom_str3=&custom_str4=&custom_str5="
    "&custom_int1=&custom_int2=&custom_int3=&custom_int4=&custom_int5=&name_first=Thandi"
    "&name_last=Nkosi&email_address=thandi%40example.co.za&merchant_id=10000100"
)
F5_SIGNATURE = "2917fe4b6a89e47b11b8e44da6caca3b"
F6 = {"merchant-id": "10000100", "version": "v1", "timestamp": "2026-01-15T10:30:00+0200"}


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_f1_a_captured_notice_is_signed_with_its_blank_fields() -> None:
    assert signature.notice_signature(F1, "") == "4078bca2c8987e0e0c4e7230f2f46323"
    filled = tuple(field for field in F1 if field[1])
    assert signature.notice_signature(filled, "") == "2fae799cb8cec850e3564858049dd900"


def test_f2_a_notice_is_signed_with_the_passphrase() -> None:
    assert signature.notice_signature(F2, PASSPHRASE) == "ac4c3e993d31b5b9d525dc0087051437"
    assert signature.notice_signature(F2, "") != "ac4c3e993d31b5b9d525dc0087051437"


def test_f3_a_form_is_signed_in_the_documented_order() -> None:
    assert signature.form_signature(F3, "") == "1e8d2b1630a15355a6992d5dbfbb5ba2"
    assert signature.form_signature(F3, PASSPHRASE) == "98971f0cce7d910b4efb9a5b9a7d8daf"


def test_f3_blank_fields_and_spaces_around_values_are_not_signed() -> None:
    spaced = ("item_name", " Order#123 ")
    loose = (*F3[:5], ("notify_method", ""), ("cell_number", "  "), *F3[5:-1], spaced)
    assert signature.form_signature(loose, PASSPHRASE) == "98971f0cce7d910b4efb9a5b9a7d8daf"


def lower_escapes(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text)


def test_f3_the_wrong_ways_come_to_something_else() -> None:
    salt = f"&passphrase={PASSPHRASE}"
    right = form_text.write(F3)
    assert md5(right + salt) == "98971f0cce7d910b4efb9a5b9a7d8daf"
    assert signature.form_signature(sorted(F3), PASSPHRASE) == "f8f777a79e85fb405958e088a07adeb1"
    assert md5(lower_escapes(right) + salt) == "88f78c91b4c03313da2b7c76e5f7622a"
    assert md5(right.replace("+", "%20") + salt) == "d89b15ce0e024e6d5d5659530de35521"


def test_f4_every_awkward_character_is_written_as_php_writes_it() -> None:
    wanted = "Tee-shirt+%28S%29+d%27%C3%A9t%C3%A9+%26+co+%7E+50%25+%2Anew%2A"
    assert form_text.encoded(F4[-1][1]) == wanted
    assert signature.form_signature(F4, PASSPHRASE) == "6c446c1c5073f536db568f0a3e76801b"


def test_f4_the_browsers_own_encoding_is_wrong() -> None:
    browsers = [(name, quote(value, safe="!'()*~").replace("%20", "+")) for name, value in F4]
    joined = "&".join(f"{name}={value}" for name, value in browsers)
    assert md5(f"{joined}&passphrase={PASSPHRASE}") == "09ab2b7ebc0f6a5b873126bf0217ea97"
    assert signature.form_signature(F4, PASSPHRASE) != "09ab2b7ebc0f6a5b873126bf0217ea97"


def test_f5_a_notice_is_read_and_signed_as_it_was_posted() -> None:
    said = notice.read(f"{F5}&signature={F5_SIGNATURE}".encode())
    assert said.parameters == F5
    assert said.signature == F5_SIGNATURE
    assert signature.notice_signature(said.fields, PASSPHRASE) == F5_SIGNATURE
    reordered = tuple(reversed(said.fields))
    assert signature.notice_signature(reordered, PASSPHRASE) != F5_SIGNATURE


def test_f6_an_api_call_is_signed_sorted_with_the_passphrase_among_the_rest() -> None:
    text = (
        "merchant-id=10000100&passphrase=jt7NOE43FZPn"
        "&timestamp=2026-01-15T10%3A30%3A00%2B0200&version=v1"
    )
    assert md5(text) == "c25fc94f866be9b697f33ec437b72ad1"
    assert signature.api_signature(F6, PASSPHRASE) == "c25fc94f866be9b697f33ec437b72ad1"
    body = {"amount": "5000", "reason": "Product returned", "notify_buyer": "1"}
    assert signature.api_signature(F6 | body, PASSPHRASE) == "b27dcc3ad16abf3aab48901d50306211"
    last = md5(form_text.write(sorted((F6 | body).items())) + f"&passphrase={PASSPHRASE}")
    assert last != "b27dcc3ad16abf3aab48901d50306211"


@pytest.mark.parametrize("passphrase", ["with space", "salt&pepper", "é", "a+b", "x" * 101, "a\n"])
def test_a_passphrase_that_others_would_encode_otherwise_is_our_fault(passphrase: str) -> None:
    signatures: tuple[Callable[[], str], ...] = (
        lambda: signature.form_signature(F3, passphrase),
        lambda: signature.notice_signature(F2, passphrase),
        lambda: signature.api_signature(F6, passphrase),
    )
    for sign in signatures:
        with pytest.raises(Misconfigured) as failure:
            sign()
        assert failure.value.code == "passphrase_unusable"


def test_an_api_without_a_passphrase_is_our_fault() -> None:
    with pytest.raises(Misconfigured):
        signature.api_signature(F6, "")


@pytest.mark.parametrize(
    "given", ["", "ac4c", "AC4C3E993D31B5B9D525DC0087051437", "é" * 32, "\udcff"]
)
def test_only_the_very_signature_is_the_same(given: str) -> None:
    right = "ac4c3e993d31b5b9d525dc0087051437"
    assert signature.is_same(right, right)
    assert not signature.is_same(given, right)
