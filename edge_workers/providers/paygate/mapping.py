"""PayGate's words and what they mean here. A status that is not listed is pending."""

from __future__ import annotations

from edge_workers.providers.contracts.payments import PaymentStatus
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable

PAY_METHOD: dict[str, str] = {"card": "CC", "eft": "BT"}
"""Our methods and PayWeb's codes of them."""

VAULT_METHODS = ("card",)
"""Only cards can be kept."""

COUNTRY: dict[str, str] = {
    "BW": "BWA",
    "CM": "CMR",
    "GH": "GHA",
    "KE": "KEN",
    "LS": "LSO",
    "MZ": "MOZ",
    "NA": "NAM",
    "NG": "NGA",
    "SZ": "SWZ",
    "ZA": "ZAF",
    "ZM": "ZMB",
    "ZW": "ZWE",
}
"""ISO 3166-1: two letters here, three there."""

LOCALE = "en-za"
"""PayWeb's pages know English and six more languages of South Africa."""

NOT_DONE = "0"
APPROVED = "1"

STATUS: dict[str, PaymentStatus] = {
    NOT_DONE: "pending",
    APPROVED: "paid",
    "2": "failed",
    "3": "cancelled",
    "4": "cancelled",
    "5": "pending",
    "7": "refunded",
}

STATUS_NAME: dict[str, str] = {
    NOT_DONE: "not_done",
    APPROVED: "approved",
    "2": "declined",
    "3": "cancelled",
    "4": "user_cancelled",
    "5": "received",
    "7": "settlement_voided",
}

REASON: dict[str, str] = {
    "900001": "The bank wants to be called",
    "900002": "The card has expired",
    "900003": "Insufficient funds",
    "900004": "The card number is not valid",
    "900005": "The bank did not answer in time",
    "900006": "The card is not valid",
    "900007": "The bank declined",
    "900009": "The card was reported lost",
    "900010": "The card number has a wrong length",
    "900011": "The bank suspects fraud",
    "900012": "The card was reported stolen",
    "900013": "The card is restricted",
    "900014": "The card was used too often",
    "900015": "The card is blocked",
    "900207": "The payer was not authenticated",
    "900210": "The authentication took too long",
    "990020": "The bank declined",
    "990022": "The bank could not be reached",
    "990024": "A duplicate was suspected",
    "990028": "The payer cancelled",
    "990053": "An error while processing",
    "991001": "The expiry date is not valid",
    "991002": "The amount is not valid",
}
"""Result codes of what was not approved, in words fit for a payer's eyes."""

UNKNOWN_REQUEST = ("NO_TRANS_DATA", "ND_INV_PRID", "DATA_PAY_REQ_ID")
"""Errors by which the query says that it knows no such request."""

_OURS: dict[str, str] = {
    "DATA_CHK": "key_refused",
    "ND_INV_PGID": "key_refused",
    "PGID_NOT_EN": "account_disabled",
    "NOT_LIVE_PM": "account_disabled",
    "PAYVAULT_NOT_EN": "vault_disabled",
    "VAULT_NOT_ACCEPTED": "vault_disabled",
}
"""Errors that our account or our key causes: no other payment would fare better."""

_REFUSED: dict[str, str] = {
    "CNTRY_INVALID": "country_invalid",
    "DATA_AMT_NUM": "amount_invalid",
    "DATA_AMT_ZERO": "amount_invalid",
    "DATA_CREF": "reference_invalid",
    "DATA_DTTM": "date_invalid",
    "DATA_PM": "method_unsupported",
    "DATA_PW": "fields_missing",
    "DATA_REGION": "country_invalid",
    "DATA_URL": "url_invalid",
    "INVALID_VAULT": "saved_method_invalid",
    "INVALID_VAULT_ID": "saved_method_invalid",
    "INV_EMAIL": "email_invalid",
    "LOCALE_INVALID": "locale_invalid",
    "TXN_CAN": "charge_refused",
    "TXN_CMP": "charge_refused",
    "TXN_PRC": "charge_refused",
}


def problem(error: str) -> ProviderError:
    """What an `ERROR=…` means; PayGate answers it instead of creating anything."""
    if error in _OURS:
        return Misconfigured(f"PayGate: {error}.", code=_OURS[error])
    if error == "DATA_INS":
        return Unavailable(
            "PayGate could not store the request.", code="server_error", outcome="nothing_created"
        )
    return Rejected(f"PayGate: {error}.", code=_REFUSED.get(error, "charge_refused"))
