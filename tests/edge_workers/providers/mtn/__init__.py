"""Adapters and what they share."""
