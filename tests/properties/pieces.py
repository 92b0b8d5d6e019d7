"""What pieces of an order are worth: their share of the price, to the unit that cannot be split."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tests.properties.books import Row, Snapshot
from tests.properties.model import ZERO, Model, Order, unit_of

Pieces = list[dict[str, Any]]


def lines_of(order: Order, now: Snapshot) -> list[Row]:
    """An order's lines, in their order."""
    return sorted(
        (row for row in now.order_items.values() if row["order_id"] == order.id),
        key=lambda row: row["line_number"],
    )


def some_pieces(model: Model, order: Order, now: Snapshot, share: int) -> Pieces:
    """Pieces that have not gone back; which and how many by `share`."""
    found = []
    for number, row in enumerate(lines_of(order, now)):
        here = row["quantity"] - model.pieces_back(order, row["id"])
        wanted = min(here, 1 + share % 3)
        if wanted > 0 and (share >> number) % 2:
            found.append({"order_item_id": row["id"], "quantity": wanted})
    return found


def fair_price(order: Order, line: Row, lines: Sequence[Row]) -> Decimal:
    """What a line cost in the end, not rounded: with its share of carriage, less its discount."""
    goods = sum(Decimal(one["subtotal"]) for one in lines)
    carriage = Decimal(order.row["shipping_amount"] + order.row["duty_amount"])
    price = Decimal(line["subtotal"]) - Decimal(line["discount_amount"])
    return price + carriage * Decimal(line["subtotal"]) / goods


def bounds(order: Order, pieces: Pieces, now: Snapshot) -> tuple[Decimal, Decimal]:
    """The least and the most that pieces may cost."""
    lines = lines_of(order, now)
    by_id = {line["id"]: line for line in lines}
    fair, count = ZERO, 0
    for one in pieces:
        line = by_id[one["order_item_id"]]
        fair += fair_price(order, line, lines) * one["quantity"] / line["quantity"]
        count += one["quantity"] + 1
    margin = unit_of(order.row["currency"]) * count
    return fair - margin, fair + margin


def check_pieces(order: Order, now: Snapshot) -> None:
    """All that went back of each line is its fair share; all pieces together cost the order."""
    lines = lines_of(order, now)
    unit = unit_of(order.row["currency"])
    total, is_whole = ZERO, True
    for line in lines:
        taken = [
            row
            for row in now.refund_items
            if row["order_item_id"] == line["id"]
            and now.refunds[row["refund_id"]]["status"] not in ("failed", "cancelled")
        ]
        pieces = sum(row["quantity"] for row in taken)
        back = sum((Decimal(row["amount"]) for row in taken), ZERO)
        fair = fair_price(order, line, lines) * pieces / line["quantity"]
        assert abs(back - fair) <= unit * (pieces + 1), f"{back} instead of {fair}"
        total += back
        is_whole = is_whole and pieces == line["quantity"]
    if is_whole:
        assert total == order.total, f"all pieces cost {total}, the order {order.total}"
