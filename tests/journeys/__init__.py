"""Journeys of people through the whole shop, on the running stack and its seed."""
