"""PayGate PayWeb3 (South Africa): hosted pages for cards and EFT, cards kept in a vault."""

from edge_workers.providers.paygate.api import PayGateApi
from edge_workers.providers.paygate.payments import PayGatePayments

__all__ = ["PayGateApi", "PayGatePayments"]
