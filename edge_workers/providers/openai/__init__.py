"""OpenAI, and whatever speaks its protocol at another base URL."""

from edge_workers.providers.openai.embeddings import OpenaiEmbeddings

__all__ = ["OpenaiEmbeddings"]
