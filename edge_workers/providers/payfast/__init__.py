"""PayFast (South Africa): signed form, notices (ITN), history, refunds, kept cards."""

from edge_workers.providers.payfast.api import Account, PayfastApi
from edge_workers.providers.payfast.payments import PayfastPayments
from edge_workers.providers.payfast.source import Source

__all__ = ["Account", "PayfastApi", "PayfastPayments", "Source"]
