"""Random customers, gateways, notices, polls, refunds, admins and crashes against the whole shop.

Each rule is something that a person, a gateway or a process does. After every commit the books are
asked for what is broken; after every rule the database is compared, row by row and account by
account, with the model; at the end time is moved on until everything that is planned has happened,
and then nothing may be left that is neither settled nor on the exception desk.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from edge_workers.errors import AppError
from edge_workers.providers.contracts.payments import PaymentResult
from tests.contracts.profiles import PROFILES
from tests.properties.books import (
    OPEN,
    Books,
    Row,
    Snapshot,
    forgotten_payments,
    forgotten_refunds,
    on_the_desk,
)
from tests.properties.model import Model, Order, Payment, unit_of
from tests.properties.pieces import Pieces, bounds, check_pieces, some_pieces
from tests.properties.rail import Collected
from tests.properties.scratch import clear
from tests.properties.shop import Fate, Shop, Told, ways

T = TypeVar("T")

CUSTOMERS: Final = 3
CODE_LIMIT: Final = 4
USES_A_PAYOUT: Final = 2
GOODS: Final = ((12500, "199.90", 40), (700, "49.95", 25), (33333, "1249.99", 12))
"""Price in francs, price in rand, pieces."""
AT_ONCE: Final = 3
"""Jobs that the workers of a step take."""
EXAMPLES_A_SANDBOX: Final = 25
"""A sandbox keeps a thread for all that never ends there by itself."""
TO_THE_END: Final = 5
HOURS_A_ROUND: Final = 25.1
"""Rounds of the end, and hours between them: more than three days."""
TABLES: Final = (
    "public.orders",
    "private.payment_events",
    "private.outbox",
    "private.ledger_transactions",
    "public.product_stock",
)
"""Where a function can be made to wait: before its first write, and after some of them."""
UNSURE: Final = ("unknown_refund", "refund_mismatch")
"""Rows of the desk about refunds that may have gone out."""

MINUTES: Final = (1, 17, 61, 125, 787)
fates = st.one_of(
    st.just(Fate()),
    st.just(Fate()),
    st.builds(Fate, dies_at=st.integers(1, 9)),
    st.builds(Fate, breaks_at=st.integers(0, 3), table=st.sampled_from(TABLES)),
)


@dataclass(frozen=True)
class Roll:
    """The dice of one step. Always the same ones, whatever they come to mean."""

    act: int
    place: int
    """Which of several: 0 is the newest."""
    which: int
    share: int
    yes: bool
    fate: Fate


rolls = st.builds(
    Roll,
    act=st.integers(0, 63),
    place=st.sampled_from((0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 5, 8)),
    which=st.integers(0, 11),
    share=st.integers(1, 99),
    yes=st.booleans(),
    fate=fates,
)


@dataclass
class Figures:
    """What a run amounted to."""

    steps: int = 0
    commits: int = 0
    examples: int = 0
    mismatches: int = 0
    unbalanced: int = 0
    done: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "steps": self.steps,
            "commits": self.commits,
            "examples": self.examples,
            "model_mismatches": self.mismatches,
            "unbalanced_transactions": self.unbalanced,
            "done": dict(sorted(self.done.items())),
        }


class ShopMachine(RuleBasedStateMachine):
    """The state machine. `shop`, `books` and `figures` are set by whoever runs it."""

    shop: ClassVar[Shop]
    books: ClassVar[Books]
    figures: ClassVar[Figures]

    def __init__(self) -> None:
        super().__init__()
        clear(self.shop.admin)
        if self.figures.examples % EXAMPLES_A_SANDBOX == EXAMPLES_A_SANDBOX - 1:
            self.shop.renew_sandbox()
        self.shop.sandbox.clear_faults()
        self.shop.said.clear()
        self.shop.told.clear()
        self.shop.notices.clear()
        self.shop.crashes = self.figures.done
        self.shop.after_commit = self.check_books
        self.figures.examples += 1
        self.returned_before = self.returned(("open", "done"))
        self.delivered: set[int] = set()
        self.pages: dict[str, Any] = {}
        """What the payer was sent to, by payment."""
        self.second_pages: set[str] = set()
        self.keys = 0
        self.open_shop()

    def open_shop(self) -> None:
        """Goods, people and a promo code."""
        people = self.shop.people
        self.goods = [people.put_on_sale(*good) for good in GOODS]
        self.customers = [people.register(f"Customer {n}", "CM") for n in range(CUSTOMERS)]
        self.admin_id = people.register("Amina Bello", "ZA")
        people.appoint(self.admin_id)
        owner = people.register("Paul Biya Ndi", "CM")
        self.code, code_id = people.offer_code(owner, CODE_LIMIT, USES_A_PAYOUT)
        self.model = Model(
            on_hand={product: good[2] for product, good in zip(self.goods, GOODS, strict=True)},
            code_limits={code_id: CODE_LIMIT},
        )
        self.code_id = code_id
        self.rows = self.books.read()

    # what is checked

    def check_books(self) -> None:
        """After every commit: no invariant is broken, and every currency's books sum to zero."""
        self.figures.commits += 1
        broken = self.books.broken()
        if broken:
            self.figures.unbalanced += 1
            raise AssertionError(f"broken after a commit: {broken}")

    def compare(self) -> None:
        """The model is told what was committed since, and agrees with the database."""
        for said in self.shop.said:
            self.model.take(said, self.rows)
        self.shop.said.clear()
        self.rows = self.books.read()
        wrong = self.model.differences(self.rows) + self.forgotten()
        if wrong:
            self.figures.mismatches += 1
            raise AssertionError("the model says otherwise:\n" + "\n".join(wrong))

    def check_told(self) -> None:
        """Gateways called paid only what was paid there, and what they said was handed on."""
        applied = [said for said in self.shop.said if said.name == "apply_payment_result"]
        for told in self.shop.told:
            if not isinstance(told.answer, PaymentResult) or told.answer.status != "paid":
                continue
            taken = [
                one
                for one in self.shop.rail.all_collected(told.gateway)
                if _is_asked(one, told.about) and _is_named(one, told.answer)
            ]
            assert taken, (
                f"{told.gateway} never took {told.answer.amount} for {told.about['reference']}"
            )
        for said in applied:
            assert any(_is_of(told, said.args) for told in self.shop.told), (
                f"no gateway said what was applied: {said}"
            )
        self.shop.told.clear()

    def forgotten(self) -> list[str]:
        """What is neither settled, nor planned, nor on the desk, nor decided by a person."""
        now = self.rows
        return [
            *(f"payment {row['id']} is forgotten" for row in forgotten_payments(now)),
            *(f"refund {row['id']} is forgotten" for row in forgotten_refunds(now)),
        ]

    @invariant()
    def agrees(self) -> None:
        """After every rule."""
        self.compare()

    # what may happen

    @initialize(
        first=st.sampled_from(ways("CM")), second=st.sampled_from(ways("ZA")), code=st.booleans()
    )
    def open_doors(self, first: tuple[str, str], second: tuple[str, str], code: bool) -> None:
        """Two customers are at the checkout already."""
        for country, way in (("CM", first), ("ZA", second)):
            order = self.buy(0, country, {self.goods[0]: 2, self.goods[1]: 1}, code)
            assert order is not None
            self.start(order, way, Fate())

    @rule(roll=rolls)
    def customer(self, roll: Roll) -> None:
        """Somebody buys, starts to pay, or takes an order back."""
        self.act(roll, (4, self.order), (4, self.begin), (1, self.cancel))

    @rule(roll=rolls)
    def payer(self, roll: Roll) -> None:
        """Somebody at a gateway's page or handset pays, or does not."""
        self.act(
            roll,
            (6, self.pay),
            (3, self.give_up),
            (1, self.pay_other_sum),
            (1, self.pay_other_currency),
            (2, self.pay_page_twice),
        )

    @rule(roll=rolls)
    def next_payer(self, roll: Roll) -> None:
        """Paying is what happens most."""
        self.payer(roll)

    @rule(roll=rolls)
    def notice(self, roll: Roll) -> None:
        """A notice arrives: in order or not, late, again, or forged."""
        self.act(roll, (4, self.deliver), (2, self.deliver_again), (1, self.forge))

    @rule(roll=rolls)
    def next_notice(self, roll: Roll) -> None:
        """Notices come in numbers."""
        self.notice(roll)

    @rule(roll=rolls)
    def gateway(self, roll: Roll) -> None:
        """A rail ends a refund, or does not answer the next question."""
        self.act(roll, (3, self.end_refund), (1, self.disturb))

    @rule(roll=rolls)
    def worker(self, roll: Roll) -> None:
        """Jobs are done; a process may die or lose its connection."""
        self.act(
            roll,
            (12, self.work),
            (2, self.poll),
            (1, self.sweep),
            (1, self.expire),
            (1, self.lose_work),
        )

    @rule(roll=rolls)
    def good_worker(self, roll: Roll) -> None:
        """Jobs are done, and nothing happens to those who do them."""
        self.act(replace(roll, fate=Fate()), (14, self.work), (1, self.poll), (1, self.expire))

    @rule(roll=rolls)
    def clock(self, roll: Roll) -> None:
        """Time goes by."""
        self.pass_time(MINUTES[roll.which % len(MINUTES)])

    @rule(roll=rolls)
    def admin(self, roll: Roll) -> None:
        """An admin gives money back, works at the desk, or brings a statement in."""
        self.act(roll, (4, self.refund), (3, self.resolve), (1, self.import_statement))

    def act(self, roll: Roll, *acts: tuple[int, Callable[[Roll], bool]]) -> None:
        """One of the acts, by weight. Where it is not possible, what makes it so sooner."""
        weighed = [act for weight, act in acts for _ in range(weight)]
        chosen = weighed[roll.act % len(weighed)]
        # Not always the plain payment, or it would leave the others nothing to be paid.
        payers = (self.pay, self.pay, self.give_up, self.pay_other_sum, self.pay_other_currency)
        others = (self.begin, self.order, self.work, self.work, self.refund)
        for act in (
            *(chosen, self.deliver, payers[roll.which % 5], self.pay),
            *(others[roll.share % 5], self.order),
        ):
            if act(roll):
                return

    def pass_time(self, minutes: int) -> None:
        """Everything is that much longer ago."""
        self.step("wait", minutes)
        self.shop.wait(minutes)

    # customers

    def order(self, roll: Roll) -> bool:
        """Somebody buys, and goes on to pay."""
        country = ("CM", "ZA")[roll.yes]
        pieces = {
            product: 1 + (roll.share + number) % 3
            for number, product in enumerate(self.goods)
            if (roll.share >> number) % 2
        } or {self.goods[0]: 1}
        with_code = roll.share % 3 == 0
        self.step("order", country, *pieces.values(), with_code)
        order = self.buy(roll.which % CUSTOMERS, country, pieces, with_code)
        if order is not None and roll.place % 4:
            routes = ways(country)
            self.start(order, routes[roll.act % len(routes)], Fate())
        return True

    def begin(self, roll: Roll) -> bool:
        """Somebody starts to pay an order: the first time, again, or at another gateway."""
        orders = [one for one in self.model.orders.values() if one.status == "pending"]
        if not orders:
            return False
        order = pick(orders, roll.place)
        routes = ways(order.row["country"])
        way = routes[roll.which % len(routes)]
        self.step("begin", order.id, way, roll.fate)
        self.start(order, way, fresh(roll.fate))
        return True

    def cancel(self, roll: Roll) -> bool:
        """Somebody takes an order back, paid or not; sometimes a second time."""
        again = roll.share % 5 == 0
        orders = [one for one in self.model.orders.values() if again or one.status != "cancelled"]
        if not orders:
            return False
        order = pick(orders, roll.place)
        self.step(f"cancel {order.status}", order.id)
        self.shop.as_user(
            order.user_id, "select o.status from public.cancel_order(%s) as o", order.id
        )
        self.model.cancelled(order)
        return True

    # payers

    def pay(self, roll: Roll) -> bool:
        """A payer pays; the gateway tells of it, or its notice is lost."""
        return self.decide("pay", self.payable(), roll, "paid")

    def give_up(self, roll: Roll) -> bool:
        """A payer does not pay, or nobody does in time."""
        outcome = ("failed", "cancelled", "expired")[roll.which % 3]
        return self.decide(f"{outcome} there", self.payable(), roll, outcome)

    def pay_other_sum(self, roll: Roll) -> bool:
        """A payer pays another sum than was asked for."""
        payable = self.payable()
        if not payable:
            return False
        payment = pick(payable, roll.place)
        percent = (1, 50, 150)[roll.which % 3]
        amount = (payment.amount * percent / 100).quantize(unit_of(payment.currency))
        return self.decide("pay another sum", payable, roll, "paid", amount=str(amount))

    def pay_other_currency(self, roll: Roll) -> bool:
        """The money comes in another currency."""
        payable = [one for one in self.payable() if PROFILES[one.gateway].other_currency]
        other = PROFILES[pick(payable, roll.place).gateway].other_currency if payable else None
        return self.decide("pay in another currency", payable, roll, "paid", currency=other)

    def pay_page_twice(self, roll: Roll) -> bool:
        """A form is posted a second time and paid again: two payments of one attempt."""
        payments = [
            one
            for one in self.model.payments.values()
            if one.gateway == "payfast"
            and one.id in self.pages
            and one.id not in self.second_pages
            and not self.shop.rail.is_open(one.gateway, one.reference)
        ]
        if payments:
            payment = pick(payments, roll.place)
            self.second_pages.add(payment.id)
            if not self.shop.open_page(self.pages[payment.id]):
                return False
        return self.decide("pay a page twice", payments, roll, "paid")

    def decide(
        self, what: str, among: Sequence[Payment], roll: Roll, outcome: str, **more: Any
    ) -> bool:
        """What becomes of one of the attempts at its gateway."""
        if not among:
            return False
        payment = pick(among, roll.place)
        self.step(what, payment.gateway, payment.method, payment.id, roll.yes, *more.values())
        self.shop.decide(payment.gateway, payment.reference, outcome, notify=roll.yes, **more)
        return True

    # notices

    def deliver(self, roll: Roll) -> bool:
        """One that was on its way arrives."""
        waiting = [one for one in self.shop.notices if id(one) not in self.delivered]
        if not waiting:
            return False
        notice = pick(waiting, roll.place)
        self.step("deliver", notice.gateway)
        self.delivered.add(id(notice))
        self.shop.deliver(notice)
        return True

    def deliver_again(self, roll: Roll) -> bool:
        """One that arrived before arrives again: it is not stored twice."""
        known = [one for one in self.shop.notices if id(one) in self.delivered]
        if not known:
            return False
        notice = pick(known, roll.place)
        self.step("deliver again", notice.gateway)
        self.shop.deliver(notice)
        assert self.books.read().events == self.rows.events
        return True

    def forge(self, roll: Roll) -> bool:
        """One that is not genuine is refused, and nothing of it is kept."""
        if not self.shop.notices:
            return False
        notice = pick(self.shop.notices, roll.place)
        self.step("forge", notice.gateway)
        self.shop.deliver(notice, forged=True)
        assert self.books.read().events == self.rows.events
        return True

    # gateways

    def end_refund(self, roll: Roll) -> bool:
        """A refund or transfer that is under way at a rail ends there, well or badly."""
        returning = self.returning()
        if not returning:
            return False
        gateway, name = pick(returning, roll.place)
        outcome = "failed" if roll.share % 3 == 0 else "paid"
        self.step(f"refund {outcome} at the rail", gateway, name, roll.yes)
        self.shop.decide(gateway, name, outcome, notify=roll.yes)
        return True

    def disturb(self, roll: Roll) -> bool:
        """A gateway's next answer is none; what was asked may be done all the same."""
        gateway = sorted(PROFILES)[roll.place % len(PROFILES)]
        kind = ("error", "malformed", "rate_limit")[roll.which % 3]
        acts = roll.yes and kind != "rate_limit"
        self.step("disturb", gateway, kind, acts)
        self.shop.sandbox.order_fault(gateway, kind, acts=acts)
        return True

    # processes

    def work(self, roll: Roll) -> bool:
        """Jobs that are due are taken and done in any order; the fate befalls one of them."""
        if not self.rows.due:
            self.pass_time(1)
            self.compare()
        claimed = self.shop.claim(1 + roll.which % AT_ONCE)
        if not claimed:
            return False
        first = roll.place % len(claimed)
        for number, row in enumerate(claimed[first:] + claimed[:first]):
            befalls = fresh(roll.fate) if number == roll.share % len(claimed) else Fate()
            self.step(f"work: {row['job']}", befalls)
            self.shop.run(row, befalls)
            self.check_told()
            self.compare()
        return True

    def lose_work(self, roll: Roll) -> bool:
        """A job that is due is lost for good: its workers died as often as it may be tried."""
        if not self.rows.due:
            return False
        self.step("lose a job", self.shop.lose_work(roll.place))
        return True

    def poll(self, roll: Roll) -> bool:
        """Somebody has an attempt looked at."""
        if not self.model.payments:
            return False
        payment = pick(list(self.model.payments.values()), roll.place)
        self.step("poll", payment.gateway, payment.id, roll.fate)
        self.shop.poll(payment.id, fresh(roll.fate))
        self.check_told()
        return True

    def sweep(self, roll: Roll) -> bool:
        """What nobody looks after any more is found."""
        self.step("sweep", roll.fate)
        self.shop.poll(None, fresh(roll.fate))
        return True

    def expire(self, roll: Roll) -> bool:
        """Orders that nobody paid in time are given up."""
        self.step("expire", roll.fate)
        self.shop.release_holds(fresh(roll.fate))
        return True

    # admins

    def refund(self, roll: Roll) -> bool:
        """An admin gives money back: all that is left, a part, some pieces, or too much."""
        paid = [one for one in self.model.payments.values() if one.is_paid]
        if not paid:
            return False
        how = ("all", "part", "pieces", "pieces", "part", "too much")[roll.which % 6]
        payment = pick(paid, roll.place)
        self.step(f"refund {how}", payment.gateway, payment.id, roll.share)
        self.ask_refund(payment, how, roll.share)
        return True

    def resolve(self, roll: Roll) -> bool:
        """An admin takes one of the actions that the desk calls safe."""
        waiting = sorted(
            (row for row in self.rows.exceptions.values() if row["resolved_at"] is None),
            key=lambda row: (row["created_at"], row["kind"], str(row["detail"])),
        )
        if not waiting:
            return False
        exception = pick(waiting, roll.place)
        row = self.shop.as_user(
            self.admin_id,
            "select x.actions from public.exceptions('open', null, 100) as x where x.id = %s",
            exception["id"],
        )
        assert row["actions"], f"nothing can be done about {exception}"
        action = pick(sorted(row["actions"]), roll.which)
        self.step(f"resolve by {action}", exception["kind"], exception["subject_id"])
        self.shop.as_user(
            self.admin_id,
            "select x.id from public.resolve_exception(%s, %s, 'As seen') as x",
            exception["id"],
            action,
        )
        self.model.resolved(exception, action, self.rows)
        return True

    def import_statement(self, roll: Roll) -> bool:
        """An admin brings in what a gateway says it did, rightly or with a mistake in it."""
        gateway = sorted(PROFILES)[roll.place % len(PROFILES)]
        fault = ("", "", "sum", "name")[roll.which % 4]
        if not self.statement_of(gateway):
            return False
        self.step("import a statement", gateway, fault)
        self.bring_statement(gateway, fault)
        return True

    # how

    def step(self, what: str, *about: object) -> None:
        """Counts what happens, and says it when a story that went wrong is told again."""
        self.figures.steps += 1
        self.figures.done[what] += 1
        note(" ".join(str(one) for one in (what, *about)))

    def payable(self) -> list[Payment]:
        """Attempts at which the payer can still do something: none of their money is there."""
        rail = self.shop.rail
        return [
            one
            for one in self.model.payments.values()
            if (one.id in self.pages or one.account is not None)
            and rail.has(one.gateway, one.reference)
            and rail.is_open(one.gateway, one.reference)
        ]

    def buy(
        self, who: int, country: str, pieces: Mapping[str, int], with_code: bool
    ) -> Order | None:
        """An order, or the refusal that must be; None."""
        stock, uses = self.model.stock(), self.model.uses()
        is_scarce = any(sum((stock[p][0], -stock[p][1])) < n for p, n in pieces.items())
        is_used_up = with_code and sum(uses[self.code_id]) >= CODE_LIMIT
        user_id = self.customers[who]
        try:
            placed = self.shop.place_order(
                user_id, country, pieces, self.code if with_code else None
            )
        except AppError as refused:
            if not (is_scarce or is_used_up):
                raise AssertionError("refused for nothing") from refused
            return None
        assert not is_scarce, "more was sold than there is"
        assert not is_used_up, "the code was used too often"
        now = self.books.read()
        row = now.orders[str(placed["id"])]
        lines = {
            line["id"]: line["quantity"]
            for line in now.order_items.values()
            if line["order_id"] == row["id"]
        }
        order = Order(row["id"], user_id, row, pieces, self.code_id if with_code else None, lines)
        self.model.placed(order)
        return order

    def start(self, order: Order, way: tuple[str, str], fate: Fate) -> None:
        """Begins a payment of an order."""
        method, gateway = way
        try:
            attempt = self.shop.start(order.user_id, order.id, method, gateway, fate)
        except AppError as refused:
            if refused.code not in ("order_not_payable", "database_unavailable"):
                raise
            return
        if attempt is not None and "started" in attempt:
            self.pages[attempt["payment_id"]] = attempt["started"]

    def returning(self) -> list[tuple[str, str]]:
        """(gateway, name there) of every refund that a rail has not ended."""
        rail = self.shop.rail
        found = [
            (gateway, f"{one.name}:refunds" if gateway == "payfast" else one.name)
            for gateway in sorted(PROFILES)
            for one in rail.returned(gateway)
            if one.status == "open"
        ]
        return list(dict.fromkeys(found))

    def ask_refund(self, payment: Payment, how: str, share: int) -> None:
        """A refund, or the refusal that must be."""
        left, order = self.model.left(payment), payment.order
        unit = unit_of(payment.collected_currency or payment.currency)
        amount: Decimal | None = None
        items: Pieces | None = None
        possible: set[str | None] = {None}
        if how == "part":
            amount = (left * share / 100).quantize(unit)
            possible = {None if amount > 0 else "refund_amount_invalid"}
        elif how == "too much":
            amount = left + unit
            possible = {"refund_amount_too_large"}
        elif how == "pieces":
            items = some_pieces(self.model, order, self.rows, share)
            possible = self.fates_of_pieces(payment, items)
        if left <= 0:
            possible = {"payment_not_refundable"}
        tax = self.model.tax_of(payment, left if amount is None else amount)
        self.keys += 1
        try:
            answer = self.shop.call(
                "begin_refund",
                actor_id=self.admin_id,
                payment_id=payment.id,
                amount=amount,
                items=items,
                reason="Returned",
                idempotency_key=f"refund-{self.keys:06}",
            )
        except AppError as refused:
            if refused.code not in possible:
                raise AssertionError(f"{refused.code} instead of {possible}") from refused
            return
        assert None in possible, f"granted in spite of {possible}"
        if items is None:
            assert answer["amount"] == (left if amount is None else amount)
            assert answer["tax_amount"] == tax
        else:
            assert answer["amount"] == sum(item["amount"] for item in answer["items"])
            check_pieces(order, self.books.read())

    def fates_of_pieces(self, payment: Payment, items: Pieces) -> set[str | None]:
        """What a refund of pieces may come to: they may cost more than what is left."""
        if not payment.is_winner or not items:
            return {"refund_items_invalid"}
        least, most = bounds(payment.order, items, self.rows)
        left = self.model.left(payment)
        found: set[str | None] = set()
        if least <= left:
            found.add(None)
        if most > left:
            found.add("refund_amount_too_large")
        return found

    def bring_statement(self, gateway: str, fault: str) -> None:
        """A statement of all that the gateway took; what comes of each line is foretold."""
        taken = self.statement_of(gateway)
        if not taken:
            return
        self.keys += 1
        lines = [statement_line(gateway, one, self.rows, self.keys) for one in taken]
        names = STATEMENT_NAMES.get(gateway, {})
        if fault == "sum":
            lines[-1][names.get("gross", "gross")] = str(taken[-1].amount + 1)
        elif fault == "name":
            lines[-1][names.get("reference", "reference")] = "somebody-elses"
            lines[-1][names.get("transaction_id", "transaction_id")] = f"other-{self.keys}"
        answer = self.shop.call(
            "import_statement",
            actor_id=self.admin_id,
            gateway=gateway,
            file_name=f"{gateway}-{self.keys}.csv",
            lines=lines,
        )
        expected = [self.foretold(one) for one in taken]
        if fault:
            expected[-1] = {"sum": "differs", "name": "unknown"}[fault]
        rows = self.shop.admin.execute(
            "select l.outcome, l.reference, l.transaction_id, l.gross, "
            "p.gateway_transaction_id, p.status, p.collected_amount "
            "from private.gateway_statement_lines as l "
            "left join public.payments as p on l.payment_id = p.id "
            "where l.statement_id = %s order by l.line_number",
            [answer["statement_id"]],
        ).fetchall()
        for row, must in zip(rows, expected, strict=True):
            assert row["outcome"] == must, (row, must)

    def statement_of(self, gateway: str) -> list[Collected]:
        """What the gateway took of this shop's payers."""
        known = {payment.reference for payment in self.model.payments.values()}
        taken = self.shop.rail.all_collected(gateway)
        return [one for one in taken if one.reference in known]

    def foretold(self, one: Collected) -> str:
        """What a rightful line comes to: money that the books do not have differs."""
        rows = [row for row in self.rows.payments.values() if row["gateway"] == one.gateway]
        found = next(
            (
                row
                for row in rows
                if one.transaction_id in (row["gateway_transaction_id"], row["gateway_session"])
                and one.transaction_id is not None
            ),
            next(row for row in rows if row["reference"] == one.reference),
        )
        payment = self.model.payments[found["id"]]
        is_same = (payment.collected, payment.collected_currency) == (one.amount, one.currency)
        is_this = found["gateway_transaction_id"] in (None, one.transaction_id)
        return "matched" if payment.is_paid and is_same and is_this else "differs"

    # the end

    def teardown(self) -> None:
        """Whatever is planned happens; then everything is settled or before a person."""
        try:
            self.finish()
        finally:
            self.shop.after_commit = lambda: None

    def finish(self) -> None:
        self.shop.sandbox.clear_faults()
        for _ in range(TO_THE_END):
            self.shop.wait(HOURS_A_ROUND * 60)
            self.compare()
            for gateway, name in self.returning():
                self.shop.decide(gateway, name, "paid", notify=False)
            self.shop.poll(None, Fate())
            self.shop.release_holds(Fate())
            self.compare()
            while claimed := self.shop.claim(50):
                for row in claimed:
                    self.shop.run(row, Fate())
                    self.check_told()
                    self.compare()
            if not self.is_moving():
                break
        assert not self.is_moving(), self.moving()
        self.check_rails()

    def is_moving(self) -> bool:
        return bool(self.moving())

    def moving(self) -> list[str]:
        """What has not come to an end and is on no desk."""
        on_desk = on_the_desk(self.rows)
        return [
            *(
                f"payment {row['id']} is {row['status']}"
                for row in self.rows.payments.values()
                if row["status"] in OPEN and row["id"] not in on_desk
            ),
            *(
                f"refund {row['id']} is {row['status']}"
                for row in self.rows.refunds.values()
                if row["status"] in OPEN and row["id"] not in on_desk
            ),
            *(
                f"order {row['id']} is pending"
                for row in self.rows.orders.values()
                if row["status"] == "pending"
            ),
        ]

    def check_rails(self) -> None:
        """No more went back than came; what no notice and no poll told, the statements show."""
        for gateway in sorted(PROFILES):
            self.bring_statement(gateway, "")
            self.compare()
        self.check_returned()

    def check_returned(self) -> None:
        """What the books call given back was given back, once, and nothing else was.

        Unless a person knows: an admin may say that it was, and what nobody could find out is an
        admin's to send again.
        """
        told, unsure = self.refunds_of_people()
        booked: defaultdict[str, Decimal] = defaultdict(Decimal)
        ended: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in self.rows.refunds.values():
            if row["way"] == "manual":
                continue
            name, amount = self.name_at_rail(row), Decimal(row["amount"])
            if row["status"] in ("processing", "refunded") or row["id"] in unsure:
                booked[name] += amount
            if row["status"] == "refunded" and row["id"] not in told:
                ended[name] += amount
        for name, amount in self.returned(("open", "done")).items():
            left = amount - self.returned_before[name]
            assert left <= booked[name], f"{name}: {left} left, {booked[name]} is booked"
        done = self.returned(("done",))
        for name, amount in ended.items():
            assert done[name] >= amount, f"{name}: {amount} is booked and never went back"

    def returned(self, standings: Sequence[str]) -> defaultdict[str, Decimal]:
        """What the rails gave back or, where it is open, are about to, by its name there."""
        found: defaultdict[str, Decimal] = defaultdict(Decimal)
        for gateway in PROFILES:
            for one in self.shop.rail.returned(gateway):
                if one.status in standings:
                    found[one.name] += one.amount
        return found

    def refunds_of_people(self) -> tuple[set[str], set[str]]:
        """Refunds that an admin called done, and those of which nobody could say what they did."""
        rows = self.rows.exceptions.values()
        return (
            {row["refund_id"] for row in rows if row["resolution"] == "mark_refunded"},
            {row["refund_id"] for row in rows if row["kind"] in UNSURE},
        )

    def name_at_rail(self, row: Row) -> str:
        """What a refund is called over there."""
        if row["gateway"] == "payfast":
            return str(self.rows.payments[row["payment_id"]]["gateway_transaction_id"])
        return str(row["reference"])


STATEMENT_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "payfast": {
        "reference": "M Payment ID",
        "transaction_id": "PF Payment ID",
        "gross": "Gross",
        "currency": "Currency",
        "occurred_at": "Date",
        "kind": "Type",
    }
}
"""The columns of statements that do not have our own names."""


def statement_line(gateway: str, one: Collected, now: Snapshot, number: int) -> dict[str, str]:
    """A line as the gateway's statement has it."""
    named = STATEMENT_NAMES.get(gateway, {})
    values = {
        "kind": "payment received",
        "reference": one.reference,
        "transaction_id": one.transaction_id or "",
        "gross": str(one.amount),
        "currency": one.currency,
        "occurred_at": (now.now + timedelta(seconds=number)).isoformat(),
    }
    return {named.get(name, name): value for name, value in values.items()}


def pick(among: Sequence[T], place: int) -> T:
    """One of several, the newest at place 0."""
    return among[-1 - place % len(among)]


def fresh(fate: Fate) -> Fate:
    """The same fate for a process that has not begun."""
    return Fate(dies_at=fate.dies_at, breaks_at=fate.breaks_at, table=fate.table)


def _is_asked(one: Collected, about: Row) -> bool:
    """Whether this is money of the payment that was asked about."""
    return one.reference == about["reference"] or (
        one.transaction_id is not None and one.transaction_id == about["gateway_transaction_id"]
    )


def _is_named(one: Collected, answer: PaymentResult) -> bool:
    """Whether this is the money that the answer speaks of."""
    return (one.amount, one.currency) == (answer.amount, answer.currency) and (
        answer.gateway_transaction_id in (None, one.transaction_id)
    )


def _is_of(told: Told, args: Mapping[str, Any]) -> bool:
    """Whether what was applied is what a gateway said, of the payment it was asked about."""
    answer = told.answer
    if not isinstance(answer, PaymentResult):
        return False
    status = answer.status if answer.is_found else "pending"
    return (
        told.about["payment_id"],
        status,
        answer.amount,
        answer.currency,
        answer.gateway_transaction_id,
    ) == (
        args["payment_id"],
        args["status"],
        args["amount"],
        args["currency"],
        args["gateway_transaction_id"],
    )
