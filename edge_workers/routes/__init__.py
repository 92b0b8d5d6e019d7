"""One blueprint a concern. A view reads, checks, calls, answers."""
