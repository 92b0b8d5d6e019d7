"""What Orange would say, and an adapter that hears it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from edge_workers.providers.contracts.payments import PaymentQuery, StartPayment
from edge_workers.providers.orange import OrangeApi, OrangePayments
from tests.contracts.peer import Peer, Said

NOW = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
CLIENT_ID, CLIENT_SECRET, MERCHANT_KEY = "myClientId", "myClientSecret", "merchant-of-the-test"

# The values of the vectors O-1 to O-4.
PAY_TOKEN = "f5720dd906203c62033ffe64ed756147"
NOTIF_TOKEN = "dd497bda3b250e536186fc0663f32f40"
TRANSACTION_ID = "MP150709.1341.A00073"
ORDER_ID = "MY_ORDER_ID_08082105_0023457"
SESSION = {
    "status": 201,
    "message": "OK",
    "pay_token": PAY_TOKEN,
    "payment_url": f"https://webpayment-qualif.orange-money.com/payment/pay_token/{PAY_TOKEN}",
    "notif_token": NOTIF_TOKEN,
}
NOTICE = {"status": "SUCCESS", "notif_token": NOTIF_TOKEN, "txnid": TRANSACTION_ID}

REQUEST = StartPayment(
    payment_id="7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0001",
    reference=ORDER_ID,
    method="orange_money",
    amount=Decimal("12500.00"),
    currency="XAF",
    country="CM",
    language="fr",
    customer_email="aicha@example.cm",
    description="Mallgram MG-100001",
    notify_url="https://shop.example/api/v1/payments/webhook/orange/0123",
    return_url="https://shop.example/api/v1/payments/return/1",
    cancel_url="https://shop.example/api/v1/payments/return/2",
)
QUERY = PaymentQuery(
    payment_id=REQUEST.payment_id,
    reference=ORDER_ID,
    gateway_session=PAY_TOKEN,
    amount=Decimal("12500.00"),
    currency="XAF",
)


def said(body: Any, status: int = 200) -> Said:
    """A JSON answer."""
    return Said(status, json.dumps(body).encode(), {"content-type": "application/json"})


def a_token(token: str = "token-1", expires_in: Any = "7776000") -> Said:
    """What the token's endpoint answers."""
    return said({"token_type": "Bearer", "access_token": token, "expires_in": expires_in})


def a_status(status: Any = "SUCCESS", order_id: Any = ORDER_ID, code: int = 201) -> Said:
    """What transactionstatus answers."""
    return said({"status": status, "order_id": order_id, "txnid": TRANSACTION_ID}, code)


def payments(gateway: Peer, currency: str = "XAF", timeout_seconds: float = 5.0) -> OrangePayments:
    """An adapter without a token, whose clock stands still."""
    api = OrangeApi(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        merchant_key=MERCHANT_KEY,
        token_url=f"{gateway.url}/oauth/v3/token",
        base_url=f"{gateway.url}/orange-money-webpay/cm/v1",
        currency=currency,
        timeout_seconds=timeout_seconds,
    )
    return OrangePayments(api, now=lambda: NOW)
