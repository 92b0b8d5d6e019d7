"""OpenAI's adapter by itself."""
