"""What the database says: its rows read at one moment, and the rules that hold at every commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from psycopg import sql

from tests.concurrency.shoppers import Admin

Row = Mapping[str, Any]
Balance = dict[tuple[str, str | None, str], Decimal]
"""What stands on (account, gateway that holds it, currency): debit positive; zeros are left out."""

OPEN: Final = ("pending", "processing")
"""Of payments and refunds: nobody knows the end yet."""

_ROWS = {
    "orders": "public.orders",
    "order_items": "public.order_items",
    "payments": "public.payments",
    "refunds": "public.refunds",
    "exceptions": "private.payment_exceptions",
}

_READ = sql.SQL(
    """
    select jsonb_build_object(
        'now', now(),
        {rows},
        'refund_items', (select coalesce(jsonb_agg(to_jsonb(i)), '[]') from public.refund_items i),
        'stock', (
            select coalesce(jsonb_object_agg(
                s.listing_id, jsonb_build_array(s.on_hand, s.reserved)
            ), '{{}}')
            from public.product_stock s
        ),
        'codes', (
            select coalesce(jsonb_object_agg(
                c.id, jsonb_build_array(c.reserved_count, c.usage_count)
            ), '{{}}')
            from public.promo_codes c
        ),
        'statistics', (
            select count(*) from public.affiliate_stats s where s.reversed_at is null
        ),
        'payouts', (select coalesce(jsonb_agg(to_jsonb(p)), '[]') from public.affiliate_payouts p),
        'events', (select count(*) from private.webhook_events),
        'unmatched', (
            select coalesce(jsonb_agg(e.id), '[]')
            from private.webhook_events e
            where e.payment_id is null and e.handled_at is not null
                and e.kind in ('payment', 'refund')
        ),
        'lines', (
            select coalesce(jsonb_object_agg(l.id, l.outcome), '{{}}')
            from private.gateway_statement_lines l
        ),
        'work', (
            select coalesce(jsonb_agg(o.args), '[]')
            from private.outbox o
            where o.done_at is null and o.failed_at is null
        ),
        'due', (
            select count(*)
            from private.outbox o
            inner join private.jobs j on o.job = j.job
            where o.done_at is null and o.failed_at is null and o.available_at <= now()
                and j.queue = 'payments'
        ),
        'ledger', (
            select coalesce(jsonb_agg(to_jsonb(b)), '[]')
            from (
                select e.account, e.gateway, e.currency, sum(e.amount) as amount
                from private.ledger_entries e
                group by e.account, e.gateway, e.currency
                having sum(e.amount) <> 0
            ) b
        )
    ) as found
    """
)

_BROKEN = sql.SQL(
    """
    select coalesce(jsonb_agg(to_jsonb(b)), '[]') as found
    from (
        {views}
        union all
        select 'trial_balance', null::uuid, format('%s %s', sum(e.amount), e.currency)
        from private.ledger_entries e
        group by e.currency
        having sum(e.amount) <> 0
        union all
        select 'one_winner', p.order_id, format('%s winners', count(*))
        from public.payments p
        where p.is_winner
        group by p.order_id
        having count(*) > 1
        union all
        select 'refunds_fit', p.id, format('%s of %s', sum(r.amount), p.collected_amount)
        from public.payments p
        inner join public.refunds r on r.payment_id = p.id
        where r.status in ('pending', 'processing', 'refunded')
        group by p.id
        having sum(r.amount) > coalesce(p.collected_amount, p.amount)
    ) b
    """
)


@dataclass(frozen=True)
class Snapshot:
    """All rows of money and goods at one moment, by id."""

    now: datetime
    orders: dict[str, Row]
    order_items: dict[str, Row]
    payments: dict[str, Row]
    refunds: dict[str, Row]
    exceptions: dict[str, Row]
    refund_items: list[Row]
    stock: dict[str, list[int]]
    """By product: on hand, reserved."""
    codes: dict[str, list[int]]
    """By promo code: reserved, used."""
    statistics: int
    payouts: list[Row]
    events: int
    unmatched: list[str]
    """Handled notices of money that belong to no payment."""
    lines: dict[str, str]
    """Statement lines and what came of them."""
    work: list[Row]
    """Arguments of the jobs that wait or are under way."""
    due: int
    """Jobs about payments that wait to be taken."""
    balance: Balance

    def refunds_of(self, payment_id: str) -> list[Row]:
        """All refunds of a payment."""
        return [row for row in self.refunds.values() if row["payment_id"] == payment_id]

    def age(self, row: Row) -> float:
        """Seconds since a row began."""
        return (self.now - datetime.fromisoformat(row["created_at"])).total_seconds()


@dataclass(frozen=True)
class Books:
    """The two questions that are put to the database after every commit."""

    admin: Admin
    read_statement: sql.Composed
    broken_statement: sql.Composed

    @classmethod
    def of(cls, admin: Admin) -> Books:
        """The questions, with every invariant that the schema has."""
        views = admin.execute(
            "select viewname from pg_views where schemaname = 'private' and viewname like %s "
            "order by viewname",
            [r"invariant\_%"],
        ).fetchall()
        assert views, "the invariant views are missing"
        rows = sql.SQL(", ").join(
            sql.SQL(
                "{}, (select coalesce(jsonb_object_agg(t.id, to_jsonb(t)), '{{}}') from {} t)"
            ).format(sql.Literal(name), sql.Identifier(*table.split(".")))
            for name, table in _ROWS.items()
        )
        return cls(
            admin,
            _READ.format(rows=rows),
            _BROKEN.format(
                views=sql.SQL(" union all ").join(
                    sql.SQL("select check_name, subject_id, detail from private.{}").format(
                        sql.Identifier(view["viewname"])
                    )
                    for view in views
                )
            ),
        )

    def broken(self) -> list[Row]:
        """Rows of any invariant, and of the trial balance: there must be none."""
        found: list[Row] = self._ask(self.broken_statement)
        return found

    def read(self) -> Snapshot:
        """All rows now."""
        found = self._ask(self.read_statement)
        return Snapshot(
            now=datetime.fromisoformat(found.pop("now")),
            balance={
                (row["account"], row["gateway"], row["currency"]): Decimal(row["amount"])
                for row in found.pop("ledger")
            },
            **found,
        )

    def _ask(self, statement: sql.Composed) -> Any:
        row = self.admin.execute(statement, prepare=True).fetchone()
        assert row is not None
        return row["found"]


def on_the_desk(now: Snapshot) -> set[str]:
    """Payments and refunds before a person, or that a person has decided to leave as they are.

    What a statement says of them is another matter, and to have asked again is no decision.
    """
    return {
        str(row[name])
        for row in now.exceptions.values()
        if not row["kind"].endswith("in_statement") and row["kind"] != "statement_differs"
        if row["resolved_at"] is None or row["resolution"] in ("dismiss", "accept")
        for name in ("payment_id", "refund_id")
        if row[name] is not None
    }


def forgotten_payments(now: Snapshot) -> list[Row]:
    """Attempts that nobody looks after, and money that nobody owns and nobody sends back."""
    on_desk = on_the_desk(now)
    under_way = {row["payment_id"] for row in now.refunds.values() if row["status"] in OPEN}
    asked = {str(args.get("payment_id")) for args in now.work}
    found = []
    for row in now.payments.values():
        if row["id"] in on_desk:
            continue
        is_open = row["status"] in OPEN
        is_asked = row["id"] in asked or row["next_check_at"] is not None
        if is_open and is_asked:
            continue
        has_effect = row["is_winner"] and now.orders[row["order_id"]]["status"] == "paid"
        owes = (row["collected_amount"] or 0) > row["refunded_amount"]
        if is_open or (owes and not has_effect and row["id"] not in under_way):
            found.append(row)
    return found


def forgotten_refunds(now: Snapshot) -> list[Row]:
    """Refunds under way that nobody looks after."""
    on_desk = on_the_desk(now)
    asked = {str(args.get("refund_id")) for args in now.work}
    return [
        row
        for row in now.refunds.values()
        if row["status"] in OPEN
        and row["id"] not in on_desk
        and row["id"] not in asked
        and row["next_check_at"] is None
    ]
