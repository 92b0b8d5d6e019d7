"""Frankfurter: central banks' reference rates, free and without a key."""

from edge_workers.providers.frankfurter.rates import Frankfurter

__all__ = ["Frankfurter"]
