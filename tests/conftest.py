"""What all Python tests share: the running stack, its doors, and people who sign up for real.

The stack is found by the KEY=value file that MALLGRAM_ENV_FILE names (default `.local/env`).
Tests bring their own rows: nothing here relies on the seed, and what is put on sale is taken off
again.
"""

import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from xdist.scheduler import LoadScopeScheduling

from edge_workers.config import Settings

ROOT = Path(__file__).resolve().parents[1]
_CODE = re.compile(r">\s*(\d{6})\s*<")

# Folders and files of unit tests that share nothing with the others but the stack's server.
_APART = (
    "tests/contracts/",
    "tests/edge_workers/providers/",
    "tests/properties/",
    "tests/worker/jobs/test_pictures.py",
    "tests/worker/jobs/test_prices.py",
    "tests/worker/jobs/test_sync.py",
)


class _Groups(LoadScopeScheduling):  # type: ignore[misc]  # the library has no types
    """Files that stand apart go side by side, all others one after the other in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.startswith(_APART) else "the stack's rows"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """How tests are shared out where more than one process runs them."""
    return _Groups(config, log)


# --- The stack --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def stack_env() -> dict[str, str]:
    """The KEY=value file of the running stack."""
    path = ROOT / os.environ.get("MALLGRAM_ENV_FILE", ".local/env")
    if not path.exists():
        pytest.fail(f"no stack is running: {path} is missing; start one with ./scripts/run")
    return dict(
        line.split("=", 1)
        for line in path.read_text(encoding="utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )


@pytest.fixture(scope="session")
def stack_settings(stack_env: dict[str, str]) -> Settings:
    """Settings as the stack's own edge has them, read from its file and not the environment."""
    names = {name.upper() for name in Settings.model_fields}
    given: dict[str, Any] = {
        name.lower(): value for name, value in stack_env.items() if name in names and value
    }
    return Settings(**given)


@pytest.fixture(scope="session")
def admin(stack_env: dict[str, str]) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A superuser's connection, for givens and for looking; never for what is under test."""
    with psycopg.connect(
        stack_env["DATABASE_ADMIN_URL"], autocommit=True, row_factory=psycopg.rows.dict_row
    ) as connection:
        yield connection


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    """A plain HTTP client."""
    with httpx.Client(timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def edge(stack_env: dict[str, str]) -> Iterator[httpx.Client]:
    """The running edge, as clients reach it."""
    with httpx.Client(base_url=stack_env["EDGE_URL"], timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def supabase(stack_env: dict[str, str]) -> Iterator[httpx.Client]:
    """The Supabase gateway with the anon key: /rest/v1, /auth/v1, /storage/v1."""
    key = stack_env["SUPABASE_ANON_KEY"]
    with httpx.Client(
        base_url=stack_env["SUPABASE_URL"], headers={"apikey": key}, timeout=20, trust_env=False
    ) as client:
        yield client


@pytest.fixture(scope="session")
def sandbox(stack_env: dict[str, str]) -> Iterator[httpx.Client]:
    """The sandbox with its controls under /_sandbox/."""
    with httpx.Client(base_url=stack_env["SANDBOX_URL"], timeout=20, trust_env=False) as client:
        yield client


def wait_until(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `holds` returns once it is true, asked 20 times a second; fails when it never is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.05)
    return pytest.fail(f"did not come to hold within {seconds:g} s")


# --- People -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """Somebody who signed up, confirmed the address and is signed in."""

    id: str
    email: str
    password: str
    token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        """What a request of theirs carries."""
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True)
class Mailbox:
    """The mail that arrived over SMTP."""

    sandbox: httpx.Client

    def read(self, address: str) -> list[dict[str, Any]]:
        """Messages to an address, newest first: from, to, subject, text, html."""
        response = self.sandbox.get("/_sandbox/mail", params={"to": address})
        response.raise_for_status()
        messages: list[dict[str, Any]] = response.json()
        return messages

    def wait(self, address: str, count: int = 1) -> list[dict[str, Any]]:
        """Messages to an address once there are `count` of them."""

        def enough() -> list[dict[str, Any]]:
            messages = self.read(address)
            return messages if len(messages) >= count else []

        found: list[dict[str, Any]] = wait_until(enough)
        return found

    def code(self, address: str, count: int = 1) -> str:
        """The six digits that Auth mailed last, once it has mailed `count` times.

        The shop's own mails, which may come in between, hold no such code.
        """

        def codes() -> list[str]:
            found = [_CODE.search(mail["html"] or "") for mail in self.read(address)]
            digits = [match.group(1) for match in found if match is not None]
            return digits if len(digits) >= count else []

        newest: str = wait_until(codes)[0]
        return newest


@pytest.fixture(scope="session")
def mailbox(sandbox: httpx.Client) -> Mailbox:
    """What the shop mailed."""
    return Mailbox(sandbox)


@pytest.fixture(scope="session")
def new_person(supabase: httpx.Client, mailbox: Mailbox) -> Callable[..., Person]:
    """Signs somebody up through Auth and confirms with the mailed code."""

    def sign_up(
        *,
        full_name: str = "Thandi Mbeki",
        phone: str = "+27821234567",
        country: str = "ZA",
        language: str = "en",
        password: str = "correct-horse-7",
    ) -> Person:
        email = f"person-{uuid.uuid4().hex[:12]}@mallgram.test"
        profile = {
            "full_name": full_name,
            "phone": phone,
            "country": country,
            "language": language,
        }
        signed_up = supabase.post(
            "/auth/v1/signup", json={"email": email, "password": password, "data": profile}
        )
        assert signed_up.status_code == 200, signed_up.text
        verified = supabase.post(
            "/auth/v1/verify",
            json={"email": email, "token": mailbox.code(email), "type": "signup"},
        )
        assert verified.status_code == 200, verified.text
        session = verified.json()
        return Person(
            id=session["user"]["id"],
            email=email,
            password=password,
            token=session["access_token"],
            refresh_token=session["refresh_token"],
        )

    return sign_up


@pytest.fixture(scope="session")
def shopper(new_person: Callable[..., Person]) -> Person:
    """A shopper in South Africa who reads English, shared by the tests of a run."""
    return new_person()


@pytest.fixture(scope="session")
def acheteuse(new_person: Callable[..., Person]) -> Person:
    """A shopper in Cameroon who reads French, shared by the tests of a run."""
    return new_person(full_name="Aïcha Ngono", phone="+237677123456", country="CM", language="fr")


@pytest.fixture
def no_rate_limits(admin: psycopg.Connection[dict[str, Any]]) -> None:
    """Empties the buckets that earlier tests filled from this one address."""
    admin.execute("delete from private.rate_limits")


# --- Goods ------------------------------------------------------------------------------------


@dataclass
class Shelf:
    """Puts goods of a test's own on sale, and takes them off afterwards."""

    admin: psycopg.Connection[dict[str, Any]]
    _listed: list[tuple[str, str]] = field(default_factory=list)

    def category(self) -> dict[str, Any]:
        """A category of its own: {id, slug}."""
        row = self.admin.execute(
            "insert into public.categories (slug, name, name_fr) values (%s, %s, %s) "
            "returning id, slug",
            [f"test-{uuid.uuid4().hex[:12]}", "Test goods", "Articles de test"],
        ).fetchone()
        assert row is not None
        return {"id": str(row["id"]), "slug": row["slug"]}

    def put(
        self,
        *,
        name: str = "Blue kettle",
        name_fr: str = "Bouilloire bleue",
        stock: int = 100,
        prices: dict[str, str] | None = None,
        channel: str = "retail",
        category_id: str | None = None,
        rating: str = "4.5",
    ) -> str:
        """A product on sale in South Africa and Cameroon; its id."""
        table, column = {
            "retail": ("products", "product_id"),
            "wholesale": ("products_retailer", "retailer_product_id"),
        }[channel]
        row = self.admin.execute(
            f"insert into public.{table} "  # noqa: S608 - one of two names above
            "(category_id, name, name_fr, price_mallgram, seller_rating) "
            "values (%s, %s, %s, 10, %s) returning id",
            [category_id or self.category()["id"], name, name_fr, Decimal(rating)],
        ).fetchone()
        assert row is not None
        product_id = str(row["id"])
        self._listed.append((table, product_id))
        for country, amount in (prices or {"ZA": "199.90", "CM": "12500"}).items():
            self.admin.execute(
                f"insert into public.product_prices ({column}, country, currency, amount) "  # noqa: S608
                "select %s, c.code, c.currency, %s from public.countries as c where c.code = %s "
                f"on conflict (listing_id, country) do update set amount = excluded.amount",
                [product_id, Decimal(amount), country],
            )
        self.admin.execute(
            f"insert into public.product_stock ({column}, on_hand) values (%s, %s) "  # noqa: S608
            "on conflict (listing_id) do update set on_hand = excluded.on_hand",
            [product_id, stock],
        )
        return product_id

    def clear(self) -> None:
        """Takes everything off the shelf; orders keep their lines."""
        for table, product_id in self._listed:
            self.admin.execute(
                f"update public.{table} set is_active = false where id = %s",  # noqa: S608
                [product_id],
            )
        self._listed.clear()


@pytest.fixture
def shelf(admin: psycopg.Connection[dict[str, Any]]) -> Iterator[Shelf]:
    """Goods of this test's own."""
    goods = Shelf(admin)
    yield goods
    goods.clear()


def an_address(country: str = "ZA") -> dict[str, Any]:
    """An address as an order takes it."""
    if country == "CM":
        return {
            "recipient_name": "Aïcha Ngono",
            "phone": "+237677123456",
            "country": "CM",
            "city": "Douala",
            "district": "Akwa",
            "landmark": "En face de la pharmacie du Rond-point",
        }
    return {
        "recipient_name": "Thandi Mbeki",
        "phone": "+27821234567",
        "country": "ZA",
        "city": "Soweto",
        "line1": "12 Vilakazi Street",
    }
