"""Mails leave once, in the right language, and say so in the database."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers.errors import Misconfigured, Unavailable
from tests.worker.jobs.conftest import Shop, Shopper
from worker.jobs import notifications
from worker.task import Task

MakeTask = Callable[..., Task]


def ask_for_mail(
    shop: Shop,
    template: str,
    shopper: Shopper,
    order_id: str | None = None,
    exception_id: str | None = None,
    refund_id: str | None = None,
) -> str:
    """A wanted mail, without the outbox row that the stack's worker would take."""
    shop.admin.execute(
        "delete from private.emails where template = %s and user_id = %s", [template, shopper.id]
    )
    row = shop.read(
        "insert into private.emails (template, user_id, order_id, exception_id, refund_id) "
        "values (%s, %s, %s, %s, %s) returning id",
        template,
        shopper.id,
        order_id,
        exception_id,
        refund_id,
    )
    return str(row["id"])


def mail_row(shop: Shop, email_id: str) -> dict[str, Any]:
    return shop.read("select * from private.emails where id = %s", email_id)


def wish(shop: Shop, shopper: Shopper, product_id: str) -> dict[str, Any]:
    return shop.read(
        "select * from public.wishlist_items where user_id = %s and listing_id = %s",
        shopper.id,
        product_id,
    )


def test_a_mail_arrives_in_the_language_of_the_order(shop: Shop, make_task: MakeTask) -> None:
    shopper = shop.register(language="fr")
    order = shop.place_order(shopper, shop.stock(amount=12500), quantity=2)
    email_id = ask_for_mail(shop, "order_placed", shopper, str(order["id"]))

    notifications.send_email(make_task(), email_id=email_id)

    [mail] = shop.sandbox.listed("mail", to=shopper.email)
    assert mail["message_id"] == f"<{email_id}@mallgram.example>"
    assert mail["language"] == order["language"]
    assert order["order_number"] in mail["subject"]
    assert f"{shop.settings.frontend_url}/orders/{order['id']}" in mail["html"]
    assert mail_row(shop, email_id)["message_id"] == mail["message_id"]
    assert mail_row(shop, email_id)["sent_at"] is not None


@pytest.mark.usefixtures("own_refunds")
def test_a_refund_is_told_to_the_shopper(shop: Shop, make_task: MakeTask) -> None:
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock(), country="ZA")
    payment = shop.start_payment(shopper, str(order["id"]), "card", "payfast")
    shop.pay(payment)
    refund_id = shop.begin_refund(payment, Decimal("100.50"))
    email_id = ask_for_mail(shop, "refund_sent", shopper, str(order["id"]), refund_id=refund_id)

    notifications.send_email(make_task(), email_id=email_id)

    [mail] = shop.sandbox.listed("mail", to=shopper.email)
    assert order["order_number"] in mail["subject"]
    assert "100,50" in mail["subject"]
    assert f"{shop.settings.frontend_url}/orders/{order['id']}" in mail["html"]


def test_an_exception_is_told_to_an_admin_with_the_way_to_the_desk(
    shop: Shop, make_task: MakeTask
) -> None:
    admin = shop.register("Amina Bello", language="fr")
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock())
    payment = shop.start_payment(shopper, str(order["id"]))
    row = shop.read(
        "select private.open_payment_exception("
        "kind => 'unknown_outcome', payment_id => %s, detail => 'unavailable', "
        "is_handled => true) as id",
        payment.id,
    )
    email_id = ask_for_mail(shop, "exception_opened", admin, exception_id=str(row["id"]))

    notifications.send_email(make_task(), email_id=email_id)

    [mail] = shop.sandbox.listed("mail", to=admin.email)
    assert mail["language"] == "fr"
    assert order["order_number"] in mail["subject"]
    assert f"{shop.settings.frontend_url}/admin/exceptions/{row['id']}" in mail["html"]


def test_who_waits_for_something_is_told_once_that_it_is_there_again(
    shop: Shop, make_task: MakeTask
) -> None:
    shopper = shop.register(language="fr")
    product_id = shop.stock(amount=12500, on_hand=0)
    shop.admin.execute(
        "insert into public.wishlist_items (user_id, product_id) values (%s, %s)",
        [shopper.id, product_id],
    )
    notifications.announce_stock(make_task(), listing_id=product_id)
    assert wish(shop, shopper, product_id)["notified_at"] is None

    # The stack's own worker may be faster than this test: each is told once all the same.
    shop.admin.execute(
        "update public.product_stock set on_hand = 3 where product_id = %s", [product_id]
    )
    notifications.announce_stock(make_task(), listing_id=product_id)
    notifications.announce_stock(make_task(), listing_id=product_id)

    assert wish(shop, shopper, product_id)["notified_at"] is not None
    email = shop.read(
        "with told as ("
        "  delete from private.emails as e using public.notifications as n "
        "  where e.notification_id = n.id and e.user_id = %s and n.data ->> 'product_id' = %s "
        "  returning e.template, e.user_id, e.notification_id"
        ") insert into private.emails (template, user_id, notification_id) "
        "select template, user_id, notification_id from told returning id",
        shopper.id,
        product_id,
    )
    # Written anew, without the outbox row that the stack's own worker takes.
    notifications.send_email(make_task(), email_id=str(email["id"]))

    [mail] = shop.sandbox.listed("mail", to=shopper.email)
    assert "Lampe solaire" in mail["subject"]
    assert mail["language"] == "fr"
    assert f"{shop.settings.frontend_url}/products/{product_id}" in mail["html"]


def test_a_sent_mail_is_not_sent_again(shop: Shop, make_task: MakeTask) -> None:
    shopper = shop.register()
    email_id = ask_for_mail(shop, "welcome", shopper)

    notifications.send_email(make_task(), email_id=email_id)
    notifications.send_email(make_task(), email_id=email_id)

    assert len(shop.sandbox.listed("mail", to=shopper.email)) == 1


def test_a_mail_to_a_forgotten_person_is_dropped(shop: Shop, make_task: MakeTask) -> None:
    shopper = shop.register()
    email_id = ask_for_mail(shop, "welcome", shopper)
    shop.admin.execute("update public.users set email = null where id = %s", [shopper.id])

    notifications.send_email(make_task(), email_id=email_id)

    assert shop.sandbox.listed("mail", to=shopper.email) == []


def test_a_mail_server_that_is_busy_leaves_the_mail_for_later(
    shop: Shop, make_task: MakeTask
) -> None:
    shopper = shop.register()
    email_id = ask_for_mail(shop, "welcome", shopper)
    shop.sandbox.order_fault("smtp", "error")

    with pytest.raises(Unavailable):
        notifications.send_email(make_task(), email_id=email_id)
    assert mail_row(shop, email_id)["sent_at"] is None

    notifications.send_email(make_task(), email_id=email_id)
    assert len(shop.sandbox.listed("mail", to=shopper.email)) == 1


def test_an_address_that_takes_no_mail_is_a_fact_not_a_retry(
    shop: Shop, make_task: MakeTask
) -> None:
    shopper = shop.register()
    shop.admin.execute(
        "update public.users set email = %s where id = %s", [f"not {shopper.email}", shopper.id]
    )
    email_id = ask_for_mail(shop, "welcome", shopper)

    notifications.send_email(make_task(), email_id=email_id)

    row = mail_row(shop, email_id)
    assert row["sent_at"] is None
    assert row["reject_reason"] == "address_invalid"


def test_without_a_mail_server_the_job_says_so(shop: Shop, make_task: MakeTask) -> None:
    shopper = shop.register()
    email_id = ask_for_mail(shop, "welcome", shopper)
    task = make_task()
    settings = task.settings.model_copy(update={"smtp_host": None})

    with pytest.raises(Misconfigured):
        notifications.send_email(Task(database=task.database, settings=settings), email_id=email_id)
