"""A notice of PayFast's (ITN) taken apart: form fields whose order and blanks are signed.

What stands behind `signature` is not signed and is not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from edge_workers.providers import form_text
from edge_workers.providers.contracts.money import amount_from
from edge_workers.providers.contracts.payments import PaymentStatus
from edge_workers.providers.payfast import mapping

_MARKS = {"pf_payment_id", "payment_status", "merchant_id"}

_transaction_id = re.compile(r"[0-9]{1,20}\Z")
_reference = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
_word = re.compile(r"[A-Za-z_]{1,40}\Z")
_token = re.compile(r"[A-Za-z0-9-]{8,64}\Z")


@dataclass(frozen=True)
class Notice:
    """The signed fields in their order, and the signature that came with them."""

    fields: form_text.Fields
    values: Mapping[str, str]
    signature: str

    @property
    def parameters(self) -> str:
        """The signed fields as they went over the wire: what PayFast is asked to confirm."""
        return form_text.write(self.fields)

    @property
    def is_notice(self) -> bool:
        """Whether it has a notice's own names: the form that payers post is signed alike."""
        return self.values.keys() >= _MARKS

    @property
    def merchant_id(self) -> str:
        """Whose money it is about."""
        return self.values.get("merchant_id", "")

    @property
    def reference(self) -> str | None:
        """Ours."""
        return _matching(_reference, self.values.get("m_payment_id", ""))

    @property
    def transaction_id(self) -> str | None:
        """PayFast's own; the same form paid twice has two."""
        return _matching(_transaction_id, self.values.get("pf_payment_id", ""))

    @property
    def word(self) -> str | None:
        """PayFast's status."""
        return _matching(_word, self.values.get("payment_status", ""))

    @property
    def token(self) -> str | None:
        """Of a kept card."""
        return _matching(_token, self.values.get("token", ""))

    @property
    def is_about_token(self) -> bool:
        """Whether it says that a kept card was given up, which changes no payment."""
        return self.word == "CANCELLED" and self.token is not None

    @property
    def status(self) -> PaymentStatus:
        """What it says of the payment."""
        if self.is_about_token:
            return "pending"
        return mapping.STATUS.get(self.word or "", "pending")

    @property
    def amount(self) -> Decimal | None:
        """What the payer paid, in rand."""
        return amount_from(self.values.get("amount_gross"))

    @property
    def fee(self) -> Decimal | None:
        """What PayFast kept of it, in rand; it is written with a minus."""
        fee = amount_from(self.values.get("amount_fee"))
        return None if fee is None else abs(fee)


def read(raw: bytes) -> Notice:
    """Take a body apart. ValueError when it has no signature or a signed field twice."""
    fields = form_text.parse(raw)
    names = [name for name, _ in fields]
    if "signature" not in names:
        raise ValueError("no signature")
    end = names.index("signature")
    signed = fields[:end]
    return Notice(fields=signed, values=form_text.by_name(signed), signature=fields[end][1])


def _matching(form: re.Pattern[str], value: str) -> str | None:
    return value if form.match(value) else None
