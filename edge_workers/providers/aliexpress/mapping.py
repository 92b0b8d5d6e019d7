"""AliExpress' words for what is so, in ours."""

from __future__ import annotations

from typing import Any, Final

from edge_workers.providers.contracts.suppliers import ProductStatus

REFUSED_PRODUCTS: Final = {"602": "not_sold_here", "605": "product_gone"}
"""`rsp_code` of product.get that a product's absence has; normal, and no sign of a fault."""
SYSTEM_ERROR: Final = "404"
EMPTY_RESULT: Final = "405"
WELL_DONE: Final = frozenset({"00", "0", "200"})
"""What the methods' codes are when all went well; each has its own."""
NOTHING_SHIPS: Final = frozenset({"501", "505"})
"""`code` of freight.query: nothing ships (or the variant is unknown); not to this address."""


def product_status(word: Any) -> ProductStatus:
    """On sale only where AliExpress says just that."""
    return "selling" if word == "onSelling" else "gone"


def is_true(value: Any) -> bool:
    """A JSON true, or the word."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")
