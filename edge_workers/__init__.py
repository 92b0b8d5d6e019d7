"""The edge: gateways' webhooks in, external APIs out, and a thin /api/v1 over PostgREST."""
