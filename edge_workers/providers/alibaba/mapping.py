"""Alibaba.com's words for what is so, in ours."""

from __future__ import annotations

from typing import Any, Final

from edge_workers.providers.contracts.suppliers import ProductStatus

REFUSED_PRODUCTS: Final = {
    "130106": "product_gone",
    "120019": "not_sold_here",
    "4015": "not_sold_here",
    "10005": "product_gone",
}
NOTHING_SHIPS: Final = frozenset(
    {"120019", "4015", "10010", "130602", "10012", "130703", "140004", "410006", "10007"}
)
"""No way there, no stock, or fewer than the least quantity."""
ACCOUNT_REFUSED: Final = "110001"
"""Accounts of mainland China may not use the buyer's API."""


def product_status(word: Any) -> ProductStatus:
    """On sale only where Alibaba says just that."""
    return "selling" if word == "PRODUCT_ONLINE" else "gone"
