"""Faults: real processes killed and frozen while a shopper buys."""
