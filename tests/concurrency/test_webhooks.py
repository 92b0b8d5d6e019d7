"""A gateway says the same thing often; it happened once."""

from collections.abc import Callable
from functools import partial

from tests.concurrency.checkout import PAID_ONCE, Checkout
from tests.concurrency.conftest import Stock
from tests.concurrency.rush import Answer, Door, rush
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import Shelf

WEBHOOK = "/api/v1/payments/webhook/kora"


def test_one_genuine_webhook_fifty_times_at_once_is_one_paid_order_and_one_mail(
    crowd: Callable[..., list[Shopper]],
    new_code: Callable[..., str],
    edge_door: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
    stock_of: Callable[[str], Stock],
) -> None:
    (shopper,) = crowd(1, with_mail=True)
    product = shelf.put(stock=10)
    order = checkout.place(shopper, product, code=new_code())
    payment = checkout.initialize(order)
    checkout.pay(payment, notify=False)
    body, headers = checkout.webhook(payment)

    def notify(door: Door) -> Answer:
        return door.post(WEBHOOK, body, headers)

    answers = rush(edge_door, [notify] * 50)

    assert {answer.status for answer in answers} == {200}
    checkout.wait_effects([order], PAID_ONCE)
    assert stock_of(product) == Stock(on_hand=9, reserved=0, ordered=1)
    events = admin.execute(
        "select e.outcome, o.attempts, o.done_at is not null as is_done "
        "from private.webhook_events as e "
        "inner join private.outbox as o on o.dedupe_key = 'handle_webhook/' || e.id "
        "where e.payment_id = %s",
        [payment.id],
    ).fetchall()
    assert events == [{"outcome": "applied", "attempts": 1, "is_done": True}]


def test_webhooks_of_twenty_payments_at_once_pay_twenty_orders_once_each(
    crowd: Callable[..., list[Shopper]],
    new_code: Callable[..., str],
    edge_door: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    stock_of: Callable[[str], Stock],
) -> None:
    product, code = shelf.put(stock=20), new_code()
    orders = [checkout.place(shopper, product, code=code) for shopper in crowd(20, with_mail=True)]
    payments = [checkout.initialize(order) for order in orders]
    for payment in payments:
        checkout.pay(payment, notify=False)

    def notify(body: bytes, headers: dict[str, str], door: Door) -> Answer:
        return door.post(WEBHOOK, body, headers)

    answers = rush(
        edge_door,
        [partial(notify, *checkout.webhook(payment)) for payment in payments for _ in range(3)],
    )

    assert {answer.status for answer in answers} == {200}
    checkout.wait_effects(orders, PAID_ONCE)
    assert stock_of(product) == Stock(on_hand=0, reserved=0, ordered=20)
