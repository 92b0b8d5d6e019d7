"""Mails as people read them: words, money, dates, addresses, and nothing smuggled in."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import psycopg
import pytest
from jinja2 import UndefinedError

from worker import mail

SHOP_URL = "https://shop.mallgram.example"
PAGE_URL = f"{SHOP_URL}/orders/7"


def cameroon_order(**changes: Any) -> dict[str, Any]:
    """Two lines in XAF with an affiliate's code, as `begin_email` gives them."""
    return {
        "first_name": "Chantal",
        "order_number": "MG-000123",
        "placed_at": "2026-11-22T17:05:00+00:00",
        "expires_at": "2026-11-22T18:05:00+00:00",
        "paid_at": "2026-11-22T17:09:30+00:00",
        "currency": "XAF",
        "minor_unit": 0,
        "lines": [
            {
                "name": "Pagne wax « Soleil », 6 yards",
                "quantity": 2,
                "unit_price": Decimal("12500.00"),
                "subtotal": Decimal("25000.00"),
            },
            {
                "name": "Lampe solaire",
                "quantity": 1,
                "unit_price": Decimal("8950.00"),
                "subtotal": Decimal("8950.00"),
            },
        ],
        "subtotal": Decimal("33950.00"),
        "discount": Decimal("3395.00"),
        "shipping": Decimal("2500.00"),
        "tax": Decimal("5346.00"),
        "total": Decimal("33055.00"),
        "promo_code": "AMINA10",
        "address": {
            "recipient_name": "Chantal Mbarga",
            "phone": "+237677123456",
            "country": "CM",
            "city": "Yaoundé",
            "district": "Bastos",
            "landmark": "Derrière la pharmacie",
            "line1": None,
        },
        **changes,
    }


def south_african_order(**changes: Any) -> dict[str, Any]:
    """One line in ZAR, no code, free delivery."""
    return cameroon_order(
        **{
            "currency": "ZAR",
            "minor_unit": 2,
            "lines": [
                {
                    "name": "Potjie pot",
                    "quantity": 1,
                    "unit_price": Decimal("1234.50"),
                    "subtotal": Decimal("1234.50"),
                }
            ],
            "subtotal": Decimal("1234.50"),
            "discount": Decimal("0.00"),
            "shipping": Decimal("0.00"),
            "tax": Decimal("161.02"),
            "total": Decimal("1234.50"),
            "promo_code": None,
            "address": {"recipient_name": "Thabo Nkosi", "country": "ZA", "city": "Soweto"},
            **changes,
        }
    )


def refunded(order: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An order of which one piece's price went back."""
    line = order["lines"][0]
    return {
        **order,
        "refund_amount": line["unit_price"],
        "refund_currency": order["currency"],
        "refund_items": [{"name": line["name"], "quantity": 1, "amount": line["unit_price"]}],
        "is_full": False,
        **changes,
    }


def doubtful(**changes: Any) -> dict[str, Any]:
    """Money that a person has to look at, as `begin_email` gives it to an admin."""
    return {
        "first_name": "Amina",
        "exception_id": "3f0c1f3e-93a1-4c53-9d0b-6a2f7a3f5a11",
        "kind": "amount_mismatch",
        "title": "Another sum was collected than the order asks for.",
        "detail": "gateway says 12000.00 XAF, order says 12500.00 XAF",
        "gateway": "kora",
        "amount": Decimal("12500.00"),
        "currency": "XAF",
        "minor_unit": 0,
        "order_number": "MG-000123",
        "opened_at": "2026-11-22T17:05:00+00:00",
        "actions": ["recheck", "accept", "refund", "dismiss"],
        **changes,
    }


def wished(**changes: Any) -> dict[str, Any]:
    """Something wished for that is there again, as `begin_email` gives it."""
    return {
        "first_name": "Chantal",
        "product_id": "3f0c1f3e-93a1-4c53-9d0b-6a2f7a3f5a11",
        "product_name": "Lampe solaire",
        "price": Decimal("8950.00"),
        "currency": "XAF",
        "minor_unit": 0,
        "min_order_quantity": 1,
        "available": 4,
        **changes,
    }


def render(template: str, language: str, data: dict[str, Any]) -> mail.Message:
    return mail.render(template, language, data, shop_url=SHOP_URL, page_url=PAGE_URL)


@pytest.mark.parametrize(
    ("amount", "currency", "language", "minor_unit", "spoken"),
    [
        ("12500.00", "XAF", "fr", 0, "12\u202f500\u00a0FCFA"),
        ("12500", "XAF", "en", 0, "XAF\u00a012,500"),
        ("1234.5", "ZAR", "en", 2, "R1,234.50"),
        ("1234.50", "ZAR", "fr", 2, "R\u00a01\u202f234,50"),
        ("0.05", "ZAR", "en", 2, "R0.05"),
        ("9999999999.99", "ZAR", "en", 2, "R9,999,999,999.99"),
        ("1234.50", "USD", "en", 2, "USD\u00a01,234.50"),
        ("1234.50", "EUR", "fr", 2, "1\u202f234,50\u00a0EUR"),
    ],
)
def test_money_reads_as_people_write_it(
    amount: str, currency: str, language: str, minor_unit: int, spoken: str
) -> None:
    assert mail.format_money(Decimal(amount), currency, language, minor_unit) == spoken


@pytest.mark.parametrize(
    ("language", "country", "spoken"),
    [
        ("en", "ZA", "1 March 2026, 00:30"),
        ("fr", "CM", "28 février 2026 à 23:30"),
        ("en", None, "28 February 2026, 22:30 UTC"),
        ("fr", "US", "28 février 2026 à 22:30 UTC"),
    ],
)
def test_a_moment_is_told_in_the_country_s_own_time(
    language: str, country: str | None, spoken: str
) -> None:
    moment = datetime(2026, 2, 28, 22, 30, tzinfo=UTC)

    assert mail.format_moment(moment, language, country) == spoken
    assert mail.format_moment(moment.isoformat(), language, country) == spoken


def test_order_placed_in_french() -> None:
    message = render("order_placed", "fr", cameroon_order())

    assert message.subject == "Votre commande MG-000123\u00a0: 33\u202f055\u00a0FCFA à payer"
    assert message.text == (
        "Nous avons bien reçu votre commande MG-000123.\n"
        "\n"
        "Vos articles vous sont réservés jusqu’au 22 novembre 2026 à 19:05.\n"
        "Payez d’ici là et nous les expédions.\n"
        "\n"
        "* Pagne wax « Soleil\u00a0», 6 yards\n"
        "  2 × 12\u202f500\u00a0FCFA = 25\u202f000\u00a0FCFA\n"
        "* Lampe solaire\n"
        "  1 × 8\u202f950\u00a0FCFA = 8\u202f950\u00a0FCFA\n"
        "\n"
        "Articles\u00a0: 33\u202f950\u00a0FCFA\n"
        "Remise (AMINA10)\u00a0: −3\u202f395\u00a0FCFA\n"
        "Livraison\u00a0: 2\u202f500\u00a0FCFA\n"
        "TOTAL\u00a0: 33\u202f055\u00a0FCFA\n"
        "(dont TVA 5\u202f346\u00a0FCFA)\n"
        "\n"
        "Livraison à\n"
        "  Chantal Mbarga\n"
        "  Derrière la pharmacie\n"
        "  Bastos, Yaoundé\n"
        "  Cameroun\n"
        "  +237677123456\n"
        "\n"
        f"Payer ou voir la commande\u00a0: {PAGE_URL}\n"
        "\n"
        "-- \n"
        f"Mallgram, {SHOP_URL}\n"
        "Vous recevez ce message en raison de votre compte ou de votre commande chez Mallgram. "
        "Aucune réponse n’est nécessaire.\n"
    )


def test_payment_received_in_english() -> None:
    message = render("payment_received", "en", south_african_order())

    assert message.subject == "Payment received for order MG-000123: R1,234.50"
    assert message.text == (
        "Thank you, your payment has arrived.\n"
        "\n"
        "Order MG-000123 is paid (22 November 2026, 19:09).\n"
        "We are preparing it now and write again when it leaves.\n"
        "\n"
        "* Potjie pot\n"
        "  1 × R1,234.50 = R1,234.50\n"
        "\n"
        "Items: R1,234.50\n"
        "Delivery: free\n"
        "TOTAL: R1,234.50\n"
        "(of which VAT R161.02)\n"
        "\n"
        "Delivery to\n"
        "  Thabo Nkosi\n"
        "  Soweto\n"
        "  South Africa\n"
        "\n"
        f"See your order: {PAGE_URL}\n"
        "\n"
        "-- \n"
        f"Mallgram, {SHOP_URL}\n"
        "You receive this message because of your account or order at Mallgram. "
        "No reply is needed.\n"
    )


def test_refund_sent_in_french_names_what_it_is_for() -> None:
    message = render("refund_sent", "fr", refunded(cameroon_order()))

    assert message.subject == (
        "Remboursement partiel de la commande MG-000123\u00a0: 12\u202f500\u00a0FCFA"
    )
    assert message.text == (
        "Une partie de votre argent vous est rendue.\n"
        "\n"
        "Commande MG-000123\u00a0: 12\u202f500\u00a0FCFA sont en route vers vous.\n"
        "Selon votre opérateur ou votre banque, vous les verrez dans quelques\n"
        "minutes ou d’ici dix jours.\n"
        "\n"
        "* 1 × Pagne wax « Soleil\u00a0», 6 yards\n"
        "  12\u202f500\u00a0FCFA\n"
        "\n"
        "REMBOURSÉ\u00a0: 12\u202f500\u00a0FCFA\n"
        "\n"
        f"Voir la commande\u00a0: {PAGE_URL}\n"
        "\n"
        "-- \n"
        f"Mallgram, {SHOP_URL}\n"
        "Vous recevez ce message en raison de votre compte ou de votre commande chez Mallgram. "
        "Aucune réponse n’est nécessaire.\n"
    )


@pytest.mark.parametrize("refund_items", [None, []])
def test_a_whole_refund_needs_no_lines(refund_items: list[Any] | None) -> None:
    order = refunded(
        south_african_order(),
        refund_amount=Decimal("1234.50"),
        refund_items=refund_items,
        is_full=True,
    )

    message = render("refund_sent", "en", order)

    assert message.subject == "Refund for order MG-000123: R1,234.50"
    assert message.text.startswith(
        "We have given your money back.\n"
        "\n"
        "Order MG-000123: R1,234.50 is on its way to you.\n"
        "Your operator or bank shows it after a few minutes to ten days.\n"
        "\n"
        "GIVEN BACK: R1,234.50\n"
        "\n"
        "See your order:"
    )


def test_a_refund_in_another_currency_is_written_as_that_one_is() -> None:
    order = refunded(cameroon_order(), refund_amount=Decimal("19.90"), refund_currency="ZAR")

    assert "GIVEN BACK: R19.90\n" in render("refund_sent", "en", order).text


def test_an_exception_tells_the_admin_what_is_known_and_what_can_be_done() -> None:
    message = render("exception_opened", "en", doubtful())

    assert message.subject == (
        "To decide: Another sum was collected than the order asks for (MG-000123)"
    )
    assert message.text == (
        "Another sum was collected than the order asks for.\n"
        "\n"
        "A person has to look at this.\n"
        "\n"
        "Order: MG-000123\n"
        "Amount: XAF\u00a012,500\n"
        "Gateway: kora\n"
        "Since: 22 November 2026, 17:05 UTC\n"
        "\n"
        "  gateway says 12000.00 XAF, order says 12500.00 XAF\n"
        "\n"
        "What can be done:\n"
        "* Ask the gateway once more how it stands.\n"
        "* Take it as it is.\n"
        "* Give back what was collected.\n"
        "* Close it without doing anything, with a note that says why.\n"
        "\n"
        f"Decide: {PAGE_URL}\n"
        "\n"
        "-- \n"
        f"Mallgram, {SHOP_URL}\n"
        "You receive this message because you are an administrator of Mallgram. "
        "No reply is needed.\n"
    )


def test_an_exception_of_which_little_is_known_says_that_little() -> None:
    unknown = dict.fromkeys(
        ("title", "detail", "gateway", "amount", "currency", "minor_unit", "order_number")
    )

    message = render(
        "exception_opened", "fr", doubtful(kind="unknown_in_statement", actions=[], **unknown)
    )

    assert message.subject == "À décider\u00a0: Unknown in statement"
    assert message.text.startswith(
        "Unknown in statement\n"
        "\n"
        "Quelqu’un doit s’en occuper.\n"
        "\n"
        "Depuis\u00a0: 22 novembre 2026 à 17:05 UTC\n"
        "\n"
        f"Décider\u00a0: {PAGE_URL}\n"
    )
    assert "Ce qui peut être fait" not in message.html


@pytest.mark.parametrize("language", mail.LANGUAGES)
def test_every_action_of_the_desk_has_words(
    language: str, admin: psycopg.Connection[dict[str, Any]]
) -> None:
    rows = admin.execute(
        "select distinct unnest(actions) as action from private.payment_exception_kinds"
    ).fetchall()
    actions = [row["action"] for row in rows]

    text = render("exception_opened", language, doubtful(actions=actions)).text

    assert text.count("\n* ") == len(actions) > 0
    assert not [action for action in actions if f"* {action}\n" in text]


def test_back_in_stock_in_french() -> None:
    message = render("back_in_stock", "fr", wished())

    assert message.subject == "De nouveau disponible\u00a0: Lampe solaire"
    assert message.text == (
        "Bonne nouvelle, Chantal\u202f!\n\n"
        "L’article que vous souhaitiez est de nouveau en stock.\n\n"
        "* Lampe solaire\n"
        "  8\u202f950\u00a0FCFA\n\n"
        f"Voir l’article et commander\u00a0: {PAGE_URL}\n\n"
        "Rien n’est mis de côté pour vous\u00a0: le premier qui commande l’obtient. C’est le\n"
        "seul message à ce sujet.\n\n"
        "-- \n"
        f"Mallgram, {SHOP_URL}\n"
        "Vous recevez ce message parce que cet article est sur votre liste de souhaits chez "
        "Mallgram. Aucune réponse n’est nécessaire.\n"
    )


def test_back_in_stock_in_bulk_names_the_smallest_order() -> None:
    message = render(
        "back_in_stock",
        "en",
        wished(
            first_name=None,
            min_order_quantity=10,
            price=Decimal("12.50"),
            currency="ZAR",
            minor_unit=2,
        ),
    )

    assert message.text.startswith("Good news!\n")
    assert "* Lampe solaire\n  R12.50 a piece\n  Smallest order: 10\n" in message.text
    assert "R12.50 a piece" in message.html
    assert "Smallest order: 10" in message.html


def test_back_in_stock_shows_the_picture_that_there_is() -> None:
    picture_url = "https://api.shop.example/storage/v1/object/public/products/seed/lamp.webp"
    message = mail.render(
        "back_in_stock",
        "en",
        wished(),
        shop_url=SHOP_URL,
        page_url=PAGE_URL,
        picture_url=picture_url,
    )

    assert f'<img src="{picture_url}" alt=""' in message.html
    assert "<img" not in render("back_in_stock", "en", wished()).html


def test_back_in_stock_of_something_no_longer_sold_there_names_no_price() -> None:
    message = render("back_in_stock", "en", wished(price=None, currency=None, minor_unit=None))

    assert "* Lampe solaire\n\nSee it and order: " in message.text
    assert "None" not in message.text + message.html


@pytest.mark.parametrize(
    ("language", "first_name", "subject"),
    [
        ("en", "Thabo", "Welcome to Mallgram, Thabo"),
        ("en", None, "Welcome to Mallgram"),
        ("fr", "Aïcha-Noëlle", "Bienvenue chez Mallgram, Aïcha-Noëlle"),
        ("pt", "Ana", "Welcome to Mallgram, Ana"),
    ],
)
def test_welcome_greets_by_name_when_there_is_one(
    language: str, first_name: str | None, subject: str
) -> None:
    assert render("welcome", language, {"first_name": first_name}).subject == subject


class Figures(HTMLParser):
    """The visible words of a message, cell by cell."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self.hidden += tag in {"style", "title"}

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in {"style", "title"}

    def handle_data(self, data: str) -> None:
        if data.strip() and not self.hidden:
            self.words.append(data.strip())


@pytest.mark.parametrize("language", mail.LANGUAGES)
@pytest.mark.parametrize("template", mail.TEMPLATES)
@pytest.mark.parametrize("order", [cameroon_order, south_african_order])
def test_the_screen_says_the_same_figures_as_the_text(
    template: str, language: str, order: Any
) -> None:
    data = {**wished(), **doubtful(), **refunded(order())}
    message = render(template, language, data)

    figures = re.compile(r"(?:XAF\u00a0|R\u00a0?)?\d[\d.,\u202f]*\d(?:\u00a0FCFA)?")
    seen = " ".join(Figures(message.html).words)
    for figure in figures.findall(message.text.split("-- \n")[0]):
        assert figure in seen or figure in message.html
    assert f'<html lang="{language}">' in message.html
    assert "<img" not in message.html
    assert len(message.html.encode()) < 20_000


def test_what_people_typed_is_text_on_the_screen() -> None:
    order = cameroon_order()
    order["lines"][0]["name"] = "<img src=x onerror=alert(1)>"
    order["address"]["recipient_name"] = '"><script>alert(1)</script>'

    name = order["lines"][0]["name"]
    for template in ("order_placed", "refund_sent", "exception_opened", "back_in_stock"):
        typed = {**wished(product_name=name), **doubtful(detail=name), **refunded(order)}
        message = render(template, "en", typed)

        assert "<img" not in message.html
        assert "<script" not in message.html
        assert "&lt;img src=x onerror=alert(1)&gt;" in message.html


def test_a_subject_is_one_line_whatever_the_data_hold() -> None:
    order = cameroon_order(order_number="MG-1\r\nBcc: a@b.example\u2028\x00\x1b[31m")

    for template in ("order_placed", "payment_received", "refund_sent", "exception_opened"):
        subject = render(template, "en", {**doubtful(), **refunded(order)}).subject
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", subject)
        assert "MG-1 Bcc: a@b.example" in subject
    subject = render(
        "back_in_stock", "en", wished(product_name="Lamp\r\nBcc: a@b.example\u2028\x00")
    ).subject
    assert subject == "There again: Lamp Bcc: a@b.example"


@pytest.mark.parametrize(
    "name", ["Win $900", "https://evil.example", "evil.example", "Call 0800", "A" * 41]
)
def test_a_name_cannot_advertise(name: str) -> None:
    assert render("welcome", "en", {"first_name": name}) == render("welcome", "en", {})


@pytest.mark.parametrize("name", ["N\u2019Golo", "O'Brien", "Aïcha-Noëlle", "Nguyễn", "宝"])
def test_names_of_people_are_spoken(name: str) -> None:
    assert mail.spoken_name(f" {name}\n") == name


def test_a_mail_with_a_hole_is_not_written() -> None:
    order = cameroon_order()
    del order["total"]

    with pytest.raises(UndefinedError):
        render("order_placed", "fr", order)


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(KeyError):
        render("../../etc/passwd", "en", {})


def test_an_address_leaves_out_what_is_not_filled_in() -> None:
    address = {"recipient_name": "  ", "country": "CM", "city": "Douala\nX", "district": ""}

    assert mail.format_address(address, "fr") == ["Douala X", "Cameroun"]
