"""Alibaba.com's buyer API: wholesale goods with least quantities and price ladders."""

from edge_workers.providers.alibaba.suppliers import AlibabaSupplier

__all__ = ["AlibabaSupplier"]
