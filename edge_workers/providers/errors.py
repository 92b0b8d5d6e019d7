"""The four ways a provider call ends other than well; adapters raise nothing else.

Each carries `outcome`, which is all that a caller may conclude about a write that did not answer:

* `nothing_created`: it surely was never accepted; the same thing may be tried elsewhere;
* `unknown`: it may exist over there; ask, never send anew.

`code` is a stable word for logs and rows, `str(error)` a short text without personal data.
"""

from __future__ import annotations

from typing import Literal

Outcome = Literal["nothing_created", "unknown"]


class ProviderError(Exception):
    """A call to an outside service did not end well."""

    outcome: Outcome = "unknown"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        outcome: Outcome | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or type(self).__name__.lower()
        self.retry_after = retry_after
        """Seconds that the provider asked us to wait, when it did."""
        if outcome is not None:
            self.outcome = outcome


class Unavailable(ProviderError):
    """The service did not answer, or not in a way that means anything: try again later."""

    outcome: Outcome = "unknown"


class Rejected(ProviderError):
    """The service said no, or the request could not be put to it: a fact to be recorded."""

    outcome: Outcome = "nothing_created"


class Unverified(ProviderError):
    """A message from outside does not prove where it comes from: refuse it."""

    outcome: Outcome = "nothing_created"


class Misconfigured(ProviderError):
    """Our own keys, addresses or rights are wrong or missing: page someone."""

    outcome: Outcome = "nothing_created"
