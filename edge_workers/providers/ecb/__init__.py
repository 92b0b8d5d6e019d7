"""The European Central Bank's daily reference rates, free and without a key."""

from edge_workers.providers.ecb.rates import EuropeanCentralBank

__all__ = ["EuropeanCentralBank"]
