"""AliExpress' adapter by itself."""
