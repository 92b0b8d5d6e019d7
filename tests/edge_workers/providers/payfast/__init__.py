"""PayFast's adapter."""
