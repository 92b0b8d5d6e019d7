"""MTN Mobile Money: collections pushed to the handset, refunds, and payouts by disbursement."""

from edge_workers.providers.mtn.api import MtnProduct
from edge_workers.providers.mtn.payments import MtnPayments
from edge_workers.providers.mtn.payouts import MtnPayouts

__all__ = ["MtnPayments", "MtnPayouts", "MtnProduct"]
