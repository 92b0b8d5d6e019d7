"""Turning texts into vectors whose nearness is nearness of meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

DIMENSIONS: Final = 384
"""Numbers of a vector, as the database keeps them."""


class EmbeddingProvider(Protocol):
    """Something that embeds texts. Raises only what `providers.errors` names."""

    @property
    def model(self) -> str:
        """What made the vectors: those of two models are not comparable."""

    def embed(self, texts: Sequence[str]) -> list[str]:
        """A vector for each text, in their order, each as `[n,n,…]` with `DIMENSIONS` numbers.

        `Unavailable`: later. `Rejected`: these texts will never be taken.
        """
