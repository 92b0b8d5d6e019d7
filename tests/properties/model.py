"""What must be: the shop's money in plain Python, told only what people and gateways said.

It knows no table and no lock. It is told each function that was committed, in order, with what it
was asked; it says which orders, payments, refunds, rows of the desk, pieces of stock, uses of a
code and balances there must be afterwards. `differences` lists where the database says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from tests.properties.books import OPEN, Balance, Row, Snapshot
from tests.properties.shop import Said

ZERO: Final = Decimal(0)
UNDER_WAY: Final = ("pending", "processing", "refunded")

REFUND_WAY: Final = {
    "kora": "gateway",
    "mtn": "gateway",
    "orange": "payout",
    "paygate": "manual",
    "payfast": "gateway",
}
PAYOUT_RAIL: Final = {"mtn": "mtn", "orange": "kora"}
PAID_TWICE: Final = ("payfast",)
"""Gateways at which one attempt may be paid more than once."""
DAY: Final = 24 * 3600.0
LONGEST_CHECK: Final = DAY
LONGEST_REFUND: Final = 3 * DAY


@dataclass
class Order:
    """What was bought."""

    id: str
    user_id: str
    row: Row
    pieces: Mapping[str, int]
    """By product."""
    code_id: str | None
    lines: Mapping[str, int]
    """Pieces by line."""
    status: str = "pending"
    was_paid: bool = False
    is_returned: bool = False
    """Whether it was taken back, or its money went back, after it was paid."""

    @property
    def total(self) -> Decimal:
        """What it costs."""
        return Decimal(self.row["total_price"])


@dataclass
class Payment:
    """One attempt."""

    id: str
    order: Order
    gateway: str
    method: str
    reference: str
    amount: Decimal
    currency: str
    account: str | None = None
    status: str = "pending"
    is_winner: bool = False
    collected: Decimal | None = None
    collected_currency: str | None = None
    refunded: Decimal = ZERO
    fee: Decimal | None = None
    unallocated: Decimal = ZERO
    """What it brought that bought nothing and has not gone back."""

    @property
    def is_paid(self) -> bool:
        """Whether its money was received."""
        return self.status in ("paid", "partially_refunded", "refunded")

    @property
    def held(self) -> Decimal:
        """What it collected, or is to collect."""
        return self.amount if self.collected is None else self.collected


@dataclass
class Refund:
    """Money on its way back."""

    payment: Payment
    amount: Decimal
    tax: Decimal
    way: str
    pieces: Mapping[str, int] = field(default_factory=dict)
    """By line of the order, where it is for pieces."""
    id: str | None = None
    """None until its row was found."""
    status: str = "pending"
    is_done_at_once: bool = False

    @property
    def gateway(self) -> str:
        """The rail it goes by."""
        gateway = self.payment.gateway
        return PAYOUT_RAIL[gateway] if self.way == "payout" else gateway


@dataclass(frozen=True)
class Arrival:
    """Money that came on an attempt that was paid before."""

    payment: Payment
    transaction_id: str
    amount: Decimal
    currency: str
    fee: Decimal | None


@dataclass
class Model:
    """The whole shop."""

    on_hand: dict[str, int]
    code_limits: dict[str, int]
    orders: dict[str, Order] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: list[Refund] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    """Second transactions of one attempt: their rows are to be found."""
    desk: set[tuple[str, str]] = field(default_factory=set)
    """(kind, what it is about) of every row that the desk ever had."""
    ledger: Balance = field(default_factory=dict)

    # what it is told

    def take(self, said: Said, before: Snapshot) -> None:
        """A function of the service was committed; `before`: the rows as they were."""
        hearers: dict[str, Callable[[Row, Any, Snapshot], None]] = {
            "begin_payment": self._begun,
            "record_payment_started": self._started,
            "record_payment_start_failed": self._not_started,
            "apply_payment_result": self._told,
            "record_payment_check": self._checked,
            "claim_payment_sweep": self._payments_swept,
            "begin_refund": self._refund_begun,
            "begin_refund_attempt": self._refund_sent,
            "apply_refund_result": self._refund_told,
            "record_refund_refused": self._refund_refused,
            "record_refund_check": self._refund_checked,
            "claim_refund_sweep": self._refunds_swept,
            "release_order_hold": self._released,
        }
        hear = hearers.get(said.name)
        if hear is not None:
            hear(said.args, said.answer, before)

    def placed(self, order: Order) -> None:
        """An order was granted."""
        self.orders[order.id] = order

    def cancelled(self, order: Order) -> None:
        """The shopper took the order back."""
        if order.status == "paid":
            order.status, order.is_returned = "cancelled", True
            winner = next(p for p in self.payments.values() if p.order is order and p.is_winner)
            if self.left(winner) > 0:
                self._refund(winner, self.left(winner), self.tax_of(winner, self.left(winner)))
        elif order.status == "pending":
            order.status = "cancelled"

    def _begun(self, _args: Row, answer: Row, _before: Snapshot) -> None:
        if not answer["is_new"]:
            assert answer["payment_id"] in self.payments
            return
        order = self.orders[answer["order_id"]]
        pushes = answer["method"] in ("mtn_momo", "orange_money") and answer["gateway"] != "orange"
        self.payments[answer["payment_id"]] = Payment(
            answer["payment_id"],
            order,
            answer["gateway"],
            answer["method"],
            answer["reference"],
            order.total,
            order.row["currency"],
            account=answer["phone"] if pushes else None,
        )

    def _started(self, args: Row, _answer: Row, _before: Snapshot) -> None:
        payment = self.payments[args["payment_id"]]
        if payment.status == "pending":
            payment.status = "processing"

    def _not_started(self, args: Row, _answer: Row, _before: Snapshot) -> None:
        payment = self.payments[args["payment_id"]]
        if args["outcome"] == "nothing_created" and payment.status == "pending":
            payment.status = "failed"

    def _released(self, args: Row, answer: Row, _before: Snapshot) -> None:
        order = self.orders[args["order_id"]]
        if answer["released"]:
            assert order.status == "pending"
            order.status = "cancelled"

    # money comes

    def _told(self, args: Row, _answer: Row, before: Snapshot) -> None:
        """The gateway's own word about an attempt."""
        payment = self.payments[args["payment_id"]]
        status, amount = args["status"], args["amount"]
        if status == "paid":
            self._told_paid(payment, args, before)
        elif status in ("failed", "cancelled"):
            if payment.status in OPEN and payment.collected is None:
                payment.status = status
        elif status == "refunded":
            if payment.collected is not None:
                if self._returning(payment) < payment.held:
                    self.desk.add(("reversed_by_gateway", payment.id))
            elif payment.status in OPEN:
                payment.status = "cancelled"
        else:
            assert status == "pending", (status, amount)

    def _told_paid(self, payment: Payment, args: Row, before: Snapshot) -> None:
        transaction = args["gateway_transaction_id"]
        known = before.payments[payment.id]["gateway_transaction_id"]
        is_foreign = transaction is not None and any(
            row["gateway_transaction_id"] == transaction and row["id"] != payment.id
            for row in before.payments.values()
            if row["gateway"] == payment.gateway
        )
        is_other = (
            payment.gateway in PAID_TWICE
            and None not in (transaction, known)
            and transaction != known
        )
        if payment.collected is not None and is_other and not is_foreign:
            self._arrive_twice(payment, args)
        elif payment.is_paid:
            pass  # money that arrived stays arrived
        elif is_foreign:
            self.desk.add(("ambiguous_reference", payment.id))
        elif not self._quarantine(payment, args["amount"], args["currency"]):
            self._receive(payment, args["amount"], args["currency"], args["fee"])

    def _quarantine(self, payment: Payment, amount: Decimal, currency: str) -> bool:
        """Whether it is other money than asked for: then it is kept, and goes before a person."""
        if (amount, currency) == (payment.amount, payment.currency):
            return False
        kind = "amount_mismatch" if currency == payment.currency else "currency_mismatch"
        self._collect(payment, amount, currency)
        self.desk.add((kind, payment.id))
        return True

    def _receive(
        self, payment: Payment, amount: Decimal, currency: str, fee: Decimal | None
    ) -> None:
        """Money came: of the right sum it wins a pending order, else it goes back."""
        order = payment.order
        self._collect(payment, amount, currency)
        payment.status = "paid"
        self._charge_fee(payment, fee)
        if order.status == "pending":
            assert (amount, currency) == (payment.amount, payment.currency)
            self._sell(payment)
            return
        kind = "late_payment" if order.status == "cancelled" else "duplicate_payment"
        self.desk.add((kind, payment.id))
        way = REFUND_WAY[payment.gateway]
        if way == "gateway" or (way == "payout" and payment.account is not None):
            self._refund(payment, self.left(payment), ZERO)

    def _arrive_twice(self, payment: Payment, args: Row) -> None:
        second = Payment(
            "",
            payment.order,
            payment.gateway,
            payment.method,
            "",
            payment.amount,
            payment.currency,
            account=payment.account,
        )
        self.arrivals.append(
            Arrival(
                second,
                args["gateway_transaction_id"],
                args["amount"],
                args["currency"],
                args["fee"],
            )
        )

    def _arrived(self, second: Payment, found: Arrival) -> None:
        """The row of a second transaction: it may still win, or is like any other money."""
        is_right = (found.amount, found.currency) == (second.amount, second.currency)
        if not is_right and second.order.status == "pending":
            self._collect(second, found.amount, found.currency)
            self.desk.add(("amount_mismatch", second.id))
        else:
            self._receive(second, found.amount, found.currency, found.fee)

    def _collect(self, payment: Payment, amount: Decimal, currency: str) -> None:
        """The gateway holds this much now, whatever it said before."""
        for sign, held, unit in (
            (-1, payment.collected, payment.collected_currency),
            (1, amount, currency),
        ):
            if held is not None and unit is not None:
                self._post(("gateway_receivable", payment.gateway, unit), sign * held)
                self._post(("unallocated_receipts", None, unit), -sign * held)
        payment.collected, payment.collected_currency = amount, currency
        payment.unallocated = amount

    def _charge_fee(self, payment: Payment, fee: Decimal | None) -> None:
        if fee is None or payment.fee is not None or not 0 <= fee <= payment.held:
            return
        payment.fee = fee
        currency = payment.collected_currency or payment.currency
        self._post(("gateway_fees", None, currency), fee)
        self._post(("gateway_receivable", payment.gateway, currency), -fee)

    def _sell(self, payment: Payment) -> None:
        """The payment becomes the price of its order."""
        order, row = payment.order, payment.order.row
        payment.is_winner = True
        order.status, order.was_paid = "paid", True
        received = min(payment.held, order.total)
        payment.unallocated -= received
        shipping_tax = Decimal(row["shipping_tax_amount"])
        for account, amount in (
            ("unallocated_receipts", received),
            ("payment_differences", order.total - received),
            ("sales", row["tax_amount"] - shipping_tax - row["subtotal_price"]),
            ("discounts", row["discount_amount"]),
            ("shipping_income", shipping_tax - row["shipping_amount"]),
            ("duty_payable", -row["duty_amount"]),
            ("vat_payable", -row["tax_amount"]),
        ):
            self._post((account, None, row["currency"]), Decimal(amount))

    # questions

    def _checked(self, args: Row, _answer: Row, before: Snapshot) -> None:
        """A poll was counted; after a day the attempt is closed or a person's."""
        payment = self.payments[args["payment_id"]]
        if payment.status not in OPEN:
            return
        if before.age(before.payments[payment.id]) <= LONGEST_CHECK:
            return
        if args["outcome"] == "not_found" and payment.collected is None:
            payment.status = "failed"
        else:
            self._ask_a_person(payment)

    def _ask_a_person(self, payment: Payment) -> None:
        """Nobody can say how it ended; or it has money that nobody has decided about."""
        kind = "amount_mismatch"
        if payment.collected is None:
            kind = "unknown_outcome"
        elif payment.collected_currency != payment.currency:
            kind = "currency_mismatch"
        self.desk.add((kind, payment.id))

    def _payments_swept(self, _args: Row, answer: Sequence[str], before: Snapshot) -> None:
        for payment_id in answer:
            payment = self.payments[payment_id]
            is_old = before.age(before.payments[payment_id]) > LONGEST_CHECK + 3600
            if is_old and payment.status in OPEN:
                self._ask_a_person(payment)

    # money goes back

    def left(self, payment: Payment) -> Decimal:
        """What of a payment has neither gone back nor is on its way."""
        return payment.held - self._returning(payment)

    def refunds_of(self, payment: Payment) -> list[Refund]:
        """All of them, the failed too."""
        return [one for one in self.refunds if one.payment is payment]

    def refund(self, refund_id: str) -> Refund:
        """The refund of that row."""
        return next(one for one in self.refunds if one.id == refund_id)

    def _returning(self, payment: Payment) -> Decimal:
        return sum(
            (one.amount for one in self.refunds_of(payment) if one.status in UNDER_WAY), ZERO
        )

    def tax_of(self, payment: Payment, amount: Decimal) -> Decimal:
        """The tax in a sum of a payment's money: in the sale's proportion, at last all the rest."""
        if not payment.is_winner:
            return ZERO
        row = payment.order.row
        taxed = sum((one.tax for one in self.refunds_of(payment) if one.status in UNDER_WAY), ZERO)
        rest = Decimal(row["tax_amount"]) - taxed
        if amount < self.left(payment):
            share = amount * Decimal(row["tax_amount"]) / payment.order.total
            rest = min(rest, share.quantize(unit_of(row["currency"]), ROUND_HALF_UP))
        return max(min(rest, amount), ZERO)

    def _refund(
        self, payment: Payment, amount: Decimal, tax: Decimal, way: str | None = None
    ) -> Refund:
        way = way or REFUND_WAY[payment.gateway]
        if way == "payout" and (payment.account is None or payment.gateway not in PAYOUT_RAIL):
            way = "manual"
        refund = Refund(payment, amount, tax, way)
        self.refunds.append(refund)
        return refund

    def _refund_begun(self, args: Row, answer: Row, _before: Snapshot) -> None:
        """An admin asked; what it comes to is checked by `check_refund`."""
        payment = self.payments[args["payment_id"]]
        refund = self._refund(payment, answer["amount"], answer["tax_amount"])
        refund.id = answer["refund_id"]
        refund.pieces = {one["order_item_id"]: one["quantity"] for one in answer["items"]}
        self._note_manual(refund)

    def _note_manual(self, refund: Refund) -> None:
        if refund.way == "manual" and refund.id is not None and not refund.is_done_at_once:
            self.desk.add(("manual_refund", refund.id))

    def _refund_sent(self, args: Row, _answer: Row, _before: Snapshot) -> None:
        refund = self.refund(args["refund_id"])
        if refund.status == "pending" and not self._fits(refund):
            refund.status = "cancelled"
        elif refund.status == "pending" and refund.way != "manual":
            refund.status = "processing"

    def _fits(self, refund: Refund) -> bool:
        """Whether its sum and its pieces are still there to be given back."""
        own = refund.amount if refund.status in OPEN else ZERO
        if refund.amount > self.left(refund.payment) + own:
            return False
        return refund.status != "failed" or all(
            self.pieces_back(refund.payment.order, line) + count <= refund.payment.order.lines[line]
            for line, count in refund.pieces.items()
        )

    def pieces_back(self, order: Order, line: str) -> int:
        """Pieces of a line that went back or are about to."""
        return sum(
            one.pieces.get(line, 0)
            for one in self.refunds
            if one.payment.order is order and one.status in UNDER_WAY
        )

    def _make_room(self, refund: Refund) -> bool:
        """A refund went through that was given up: what is not sent yet makes way.

        What is for the same pieces goes first, then the newest.
        """
        while not self._fits(refund):
            waiting = [
                (bool(one.pieces.keys() & refund.pieces.keys()), place, one)
                for place, one in enumerate(self.refunds)
                if one.payment is refund.payment and one.status == "pending" and one is not refund
            ]
            is_short = refund.amount > self.left(refund.payment)
            fitting = [one for one in waiting if one[0] or is_short]
            if not fitting:
                return False
            max(fitting, key=lambda one: one[:2])[2].status = "cancelled"
        return True

    def _refund_told(self, args: Row, _answer: Row, _before: Snapshot) -> None:
        """The rail's own word about a refund."""
        refund = self.refund(args["refund_id"])
        if refund.status in ("refunded", "cancelled"):
            return
        if args["status"] == "refunded":
            currency = refund.payment.collected_currency
            if (
                args["amount"] not in (None, refund.amount)
                or args["currency"] not in (None, currency)
                or not self._make_room(refund)
            ):
                self.desk.add(("refund_mismatch", args["refund_id"]))
            else:
                self.complete(refund)
        elif args["status"] == "failed" and refund.status != "failed":
            refund.status = "failed"
            self.desk.add(("failed_refund", args["refund_id"]))

    def complete(self, refund: Refund) -> None:
        """The money is back."""
        payment = refund.payment
        refund.status = "refunded"
        payment.refunded += refund.amount
        payment.status = "refunded" if payment.refunded == payment.held else "partially_refunded"
        if payment.is_winner and payment.status == "refunded":
            payment.order.is_returned = True
        currency = payment.collected_currency or payment.currency
        unallocated = min(refund.amount, payment.unallocated)
        tax = min(refund.tax, refund.amount - unallocated)
        payment.unallocated -= unallocated
        self._post(("unallocated_receipts", None, currency), unallocated)
        self._post(("refunds", None, currency), refund.amount - unallocated - tax)
        self._post(("vat_payable", None, currency), tax)
        self._post(("gateway_receivable", refund.gateway, currency), -refund.amount)

    def _refund_refused(self, args: Row, _answer: Row, _before: Snapshot) -> None:
        """The rail surely did not take it."""
        refund = self.refund(args["refund_id"])
        if refund.status not in OPEN:
            return
        refund.status = "failed"
        if args["code"] == "refund_unsupported" and refund.way == "gateway":
            self._replace(refund, "payout")
        else:
            self.desk.add(("failed_refund", args["refund_id"]))

    def _refund_checked(self, args: Row, _answer: Row, before: Snapshot) -> None:
        refund = self.refund(args["refund_id"])
        if refund.status not in OPEN or refund.way == "manual":
            return
        if args["outcome"] == "nothing_created":
            refund.status = "pending"
        if before.age(before.refunds[args["refund_id"]]) > LONGEST_REFUND:
            self.desk.add(("unknown_refund", args["refund_id"]))

    def _refunds_swept(self, _args: Row, answer: Sequence[str], before: Snapshot) -> None:
        for refund_id in answer:
            self._refund_checked({"refund_id": refund_id, "outcome": "unavailable"}, {}, before)

    # the desk

    def resolved(self, exception: Row, action: str, before: Snapshot) -> None:
        """An admin decided; `before`: the rows as they were."""
        refund_id, payment_id = exception["refund_id"], exception["payment_id"]
        refund = None if refund_id is None else self.refund(refund_id)
        payment = None if payment_id is None else self.payments[payment_id]
        if action == "dismiss":
            if refund is not None and refund.status == "pending" and refund.way == "manual":
                refund.status = "cancelled"
            if payment is not None and payment.status in OPEN:
                is_asked = before.payments[payment.id]["next_check_at"] is not None
                payment.status = payment.status if is_asked else "failed"
            return
        if action == "recheck" or payment is None:
            return
        if action == "accept" and exception["kind"] != "reversed_by_gateway":
            payment.status = "paid"
            excess = payment.held - payment.amount
            self._sell(payment)
            if excess > 0:
                self._refund(payment, excess, ZERO)
            return
        if not payment.is_paid:
            payment.status = "paid"
        self._give_back(payment, refund, action)

    def _give_back(self, payment: Payment, refund: Refund | None, action: str) -> None:
        by_hand = action in ("mark_refunded", "accept")
        if refund is None:
            left = self.left(payment)
            refund = self._refund(
                payment, left, self.tax_of(payment, left), "manual" if by_hand else None
            )
            refund.is_done_at_once = by_hand
        elif action in ("retry", "pay_out"):
            refund.status = {"pending": "cancelled", "processing": "failed"}.get(
                refund.status, refund.status
            )
            self._replace(refund, "payout" if action == "pay_out" else refund.way)
        if by_hand:
            self.complete(refund)

    def _replace(self, refund: Refund, way: str) -> None:
        """The same once more."""
        again = self._refund(refund.payment, refund.amount, refund.tax, way)
        again.pieces = refund.pieces

    # statements

    def read_in_statement(self, payment: Payment, fee: Decimal | None) -> None:
        """A statement shows a payment as the books have it."""
        if fee is not None:
            self._charge_fee(payment, fee)

    # what there must be

    def _post(self, key: tuple[str, str | None, str], amount: Decimal) -> None:
        self.ledger[key] = self.ledger.get(key, ZERO) + amount

    def stock(self) -> dict[str, list[int]]:
        """By product: on hand, reserved."""
        found = {product: [count, 0] for product, count in self.on_hand.items()}
        for order in self.orders.values():
            for product, pieces in order.pieces.items():
                found[product][0] -= pieces if order.status == "paid" else 0
                found[product][1] += pieces if order.status == "pending" else 0
        return found

    def uses(self) -> dict[str, list[int]]:
        """By promo code: held by unpaid orders, used by those that were paid and still are."""
        found = {code: [0, 0] for code in self.code_limits}
        for order in self.orders.values():
            if order.code_id is not None:
                found[order.code_id][0] += order.status == "pending"
                found[order.code_id][1] += order.was_paid and not order.is_returned
        return found

    def balance(self, payouts: Sequence[Row]) -> Balance:
        """What stands on every account; zeros are left out."""
        total = dict(self.ledger)
        for payout in (one for one in payouts if one["payout_status"] != "cancelled"):
            for account, sign in (("commission_expense", 1), ("commissions_payable", -1)):
                key = (account, None, payout["currency"])
                total[key] = total.get(key, ZERO) + sign * Decimal(payout["payout_amount"])
        return {key: amount for key, amount in total.items() if amount}

    def adopt(self, now: Snapshot) -> list[str]:
        """Find the rows that the model knows only by what they must hold; what is wrong with it."""
        wrong = []
        for payment_id in sorted(now.payments.keys() - self.payments.keys()):
            row = now.payments[payment_id]
            found = next(
                (a for a in self.arrivals if a.transaction_id == row["gateway_transaction_id"]),
                None,
            )
            if found is None:
                wrong.append(f"payment {payment_id} came from nowhere")
                continue
            self.arrivals.remove(found)
            second = found.payment
            second.id, second.reference = payment_id, row["reference"]
            self.payments[payment_id] = second
            self._arrived(second, found)
        wrong += [f"a second payment {one.transaction_id} is missing" for one in self.arrivals]
        unnamed = [refund for refund in self.refunds if refund.id is None]
        named = {refund.id for refund in self.refunds}
        for refund_id in sorted(now.refunds.keys() - named):
            row = now.refunds[refund_id]
            match = next(
                (
                    refund
                    for refund in unnamed
                    if (refund.payment.id, refund.amount, refund.way)
                    == (row["payment_id"], row["amount"], row["way"])
                ),
                None,
            )
            if match is None:
                wrong.append(f"refund of {row['amount']} by {row['way']} came from nowhere")
                continue
            unnamed.remove(match)
            match.id = refund_id
            self._note_manual(match)
        wrong += [f"a refund of {one.amount} by {one.way} is missing" for one in unnamed]
        return wrong

    def differences(self, now: Snapshot) -> list[str]:
        """Where the database says something else."""
        wrong = self.adopt(now)
        for order in self.orders.values():
            _compare(wrong, "order", order.id, now.orders[order.id], {"status": order.status})
        for payment in self.payments.values():
            expected = {
                "status": payment.status,
                "is_winner": payment.is_winner,
                "collected_amount": payment.collected,
                "collected_currency": payment.collected_currency,
                "refunded_amount": payment.refunded,
                "fee_amount": payment.fee,
            }
            _compare(wrong, "payment", payment.id, now.payments[payment.id], expected)
        for refund in self.refunds:
            if refund.id is not None:
                expected = {
                    "status": refund.status,
                    "amount": refund.amount,
                    "tax_amount": refund.tax,
                    "gateway": refund.gateway,
                    "way": refund.way,
                }
                _compare(wrong, "refund", refund.id, now.refunds[refund.id], expected)
        for name, here, there in (
            ("orders", len(self.orders), len(now.orders)),
            ("stock", self.stock(), now.stock),
            ("promo codes", self.uses(), now.codes),
            ("statistics", sum(used for _, used in self.uses().values()), now.statistics),
            ("ledger", self.balance(now.payouts), now.balance),
            ("desk", self._desk(now), _desk_of(now)),
        ):
            if here != there:
                wrong.append(f"{name}: {_contrast(there, here)}")
        return wrong

    def _desk(self, now: Snapshot) -> set[tuple[str, str]]:
        """What the desk must hold, with the notices and lines that belong to nobody."""
        kinds = {"unknown": "unknown_in_statement", "differs": "statement_differs"}
        return (
            self.desk
            | {("unmatched_notice", event_id) for event_id in now.unmatched}
            | {(kinds[outcome], line) for line, outcome in now.lines.items() if outcome in kinds}
        )


def unit_of(currency: str) -> Decimal:
    """The smallest sum of a currency."""
    return Decimal(1) if currency == "XAF" else Decimal("0.01")


def _desk_of(now: Snapshot) -> set[tuple[str, str]]:
    return {(row["kind"], row["subject_id"]) for row in now.exceptions.values()}


def _compare(wrong: list[str], what: str, id_: str, row: Row, expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        if row[name] != value:
            wrong.append(f"{what} {id_}: {name} is {row[name]}, must be {value}")


def _contrast(is_: Any, must: Any) -> str:
    """Only what differs of two sets or mappings."""
    if isinstance(is_, set) and isinstance(must, set):
        return f"is {sorted(is_ - must)}, must be {sorted(must - is_)}"
    if isinstance(is_, dict) and isinstance(must, dict):
        keys = sorted((k for k in is_.keys() | must.keys() if is_.get(k) != must.get(k)), key=str)
        return "; ".join(f"{key} is {is_.get(key)}, must be {must.get(key)}" for key in keys)
    return f"is {is_}, must be {must}"
