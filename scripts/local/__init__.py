"""The local stack and the verbs of `scripts/`: real parts, supervised, state in `.local/`."""
