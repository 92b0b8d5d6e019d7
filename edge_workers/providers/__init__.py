"""The outside world: stateless adapters behind neutral contracts, found by name in `registry`."""
