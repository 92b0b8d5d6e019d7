"""Races: many real sessions at once, over HTTP, against the running stack."""
