"""Alibaba's adapter by itself."""
