"""AliExpress' Dropshipping API: retail goods by the piece."""

from edge_workers.providers.aliexpress.suppliers import AliExpressSupplier

__all__ = ["AliExpressSupplier"]
