"""Orange's words and what they mean here. A word that is not listed is pending."""

from __future__ import annotations

import re

from edge_workers.providers.contracts.payments import PaymentStatus

INITIATED = "INITIATED"
"""The page was opened, or not even that."""

STATUS: dict[str, PaymentStatus] = {
    INITIATED: "pending",
    "PENDING": "pending",
    "EXPIRED": "cancelled",
    "SUCCESS": "paid",
    "FAILED": "failed",
}
"""There is no word for cancelled: who leaves the page leaves INITIATED behind until it expires."""

TEST_CURRENCY = "OUV"
"""What Orange's test environment calls its play money; it stands for the francs of `FRANCS`."""

FRANCS = "XAF"

ORDER_TAKEN = re.compile(
    r"\bduplicate\b|order.?id\b.*\b(already|exists|used|taken)\b|\balready\b.*\border",
    re.IGNORECASE,
)
"""The order id was used before; how Orange words it is not documented."""

ACCOUNT_REFUSED = re.compile(r"merchant.?key|currency", re.IGNORECASE)
"""What we were given by Orange does not belong to this environment."""
