"""Properties: what must hold of the shop's money whatever happens, and in whatever order."""
