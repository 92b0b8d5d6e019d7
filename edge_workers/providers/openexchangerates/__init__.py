"""Open Exchange Rates: the paid source, hourly and against the dollar."""

from edge_workers.providers.openexchangerates.rates import OpenExchangeRates

__all__ = ["OpenExchangeRates"]
