"""The sources of exchange rates by themselves."""
