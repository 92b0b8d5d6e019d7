"""Orange Money for Cameroon by Orange's Web Payment page: collecting only, no refund, no payout."""

from edge_workers.providers.orange.api import OrangeApi
from edge_workers.providers.orange.payments import OrangePayments

__all__ = ["OrangeApi", "OrangePayments"]
