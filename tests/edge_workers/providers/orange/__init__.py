"""Orange Money's adapter by itself."""
