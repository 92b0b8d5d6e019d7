"""Kora (Korapay): hosted checkout, mobile money, South African bank transfer, refunds, payouts."""

from edge_workers.providers.kora.api import KoraApi
from edge_workers.providers.kora.payments import KoraPayments
from edge_workers.providers.kora.payouts import KoraPayouts

__all__ = ["KoraApi", "KoraPayments", "KoraPayouts"]
