"""What an app is made of, built once in `create_app` and reached by views through `parts()`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from flask import current_app

if TYPE_CHECKING:
    import httpx

    from edge_workers.cache import Cache
    from edge_workers.catalogue_version import CatalogueVersion
    from edge_workers.config import Settings
    from edge_workers.db import Database
    from edge_workers.errors import ErrorTexts
    from edge_workers.inbox import Inbox
    from edge_workers.providers.health import GatewayHealth
    from edge_workers.rest import DataApi
    from edge_workers.security import TokenVerifier

EXTENSION = "mallgram"


@dataclass(frozen=True)
class Parts:
    """The app's own settings and connections. All of it is thread-safe."""

    settings: Settings
    database: Database
    data_api: DataApi
    http: httpx.Client
    """For Supabase's services."""
    auth_http: httpx.Client
    """For Supabase Auth."""
    cache: Cache
    catalogue_version: CatalogueVersion
    tokens: TokenVerifier
    texts: ErrorTexts
    inbox: Inbox
    gateway_health: GatewayHealth
    quiet_senders: dict[str, float] = field(default_factory=dict)
    """Whose forged webhooks are not told of, and until when on the monotonic clock."""

    def close(self) -> None:
        """Closes every connection."""
        self.database.close()
        self.http.close()
        self.auth_http.close()
        self.cache.close()


def parts() -> Parts:
    """The parts of the app that serves this request."""
    return cast("Parts", current_app.extensions[EXTENSION])
