"""PayGate's adapter, to the letter."""
