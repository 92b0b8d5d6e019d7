"""No card number stays anywhere in the shop, wherever somebody writes one (PCI DSS 3.4 and 10).

Valid numbers go in through everything that an outsider can reach: sign-up and profile, addresses,
every RPC and every endpoint, reasons and notes, genuine and forged notices of each gateway,
statements, headers, URLs. Then the whole stack is searched for them, but for the sandbox, which
plays the gateways. That the search finds what is there is shown with numbers that are planted.

Not sent: keys that clients make up (Idempotency-Key of an order that is placed), and numbers that
are something else as well, such as a telephone number of fifteen digits.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from edge_workers.card_numbers import MASK
from tests.conftest import Person, Shelf, wait_until
from tests.journeys.card_numbers import FORMS, Numbers, Stack, listening, passes_luhn
from tests.journeys.conftest import Played
from tests.journeys.outsider import GATEWAYS, WAYS_IN, Admin, Outsider

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Sent:
    """What went in, and what Redis was told meanwhile."""

    numbers: Numbers
    statuses: dict[str, list[int]]
    traffic: bytes


@pytest.fixture(scope="module")
def stack(stack_env: dict[str, str]) -> Stack:
    """What is searched."""
    return Stack(stack_env)


@pytest.fixture(scope="module")
def sent(
    stack_env: dict[str, str],
    admin: Admin,
    supabase: httpx.Client,
    new_person: Callable[..., Person],
    play: Callable[[str], Played],
) -> Iterator[Sent]:
    """Numbers sent in through everything, and all work done that came of it."""
    with listening(stack_env["REDIS_URL"]) as traffic:
        play("payments")  # cards are typed on the gateways' pages, and kept there
        login = {"email": stack_env["DEMO_ADMIN_EMAIL"], "password": stack_env["DEMO_PASSWORD"]}
        signed_in = supabase.post("/auth/v1/token?grant_type=password", json=login)
        assert signed_in.status_code == 200, signed_in.text
        shelf = Shelf(admin)
        who = Outsider(
            env=stack_env,
            database=admin,
            shelf=shelf,
            zandile=new_person(),
            aicha=new_person(country="CM", language="fr"),
            admin_token=signed_in.json()["access_token"],
        )
        for send in WAYS_IN:
            who.forget_limits()
            send(who)
        wait_until(lambda: not open_work(admin), seconds=240)
        time.sleep(1.5)  # nginx writes its log once a second
    yield Sent(who.numbers, who.statuses, traffic.content())
    shelf.clear()
    who.client.close()


def open_work(admin: Admin) -> list[dict[str, Any]]:
    """Jobs that are due."""
    return admin.execute(
        "select o.job from private.outbox as o where o.done_at is null and o.failed_at is null"
        " and o.available_at <= now() and o.attempts = 0"
    ).fetchall()


def test_numbers_pass_for_cards() -> None:
    numbers = Numbers()
    minted = [numbers.mint("here") for _ in range(100)]

    assert all(passes_luhn(number) for number in minted)
    assert len(set(minted)) == 100
    assert passes_luhn("4111111111111111")
    assert not passes_luhn("4111111111111112")


def test_genuine_notices_are_kept_masked(sent: Sent, admin: Admin) -> None:
    for gateway in GATEWAYS:
        assert set(sent.statuses[f"genuine {gateway} card_number"]) == {200}, gateway
        kept = admin.execute(
            "select count(*) as events from private.webhook_events as e"
            " where e.gateway = %s and e.raw like %s",
            [gateway, f"%{MASK}%"],
        ).fetchone()
        assert kept is not None
        assert kept["events"] > 0, gateway


def test_forged_notices_are_refused(sent: Sent) -> None:
    answers = {
        place: statuses
        for place, statuses in sent.statuses.items()
        if place.startswith("forged ") and not set(statuses) <= {401, 404}
    }

    assert answers == {}


def test_no_row_holds_a_number(sent: Sent, stack: Stack) -> None:
    assert sent.numbers.found_in(stack.dump()) == set()


def test_no_file_holds_a_number(sent: Sent, stack: Stack) -> None:
    found = {name: sent.numbers.found_in(content) for name, content in stack.files()}

    assert found
    assert {name: places for name, places in found.items() if places} == {}


def test_no_key_of_redis_holds_a_number(sent: Sent, stack: Stack) -> None:
    found = {key: sent.numbers.found_in(content) for key, content in stack.redis()}

    assert {key: places for key, places in found.items() if places} == {}


def test_redis_is_never_told_a_number(sent: Sent) -> None:
    assert sent.traffic
    assert sent.numbers.found_in(sent.traffic) == set()


def test_no_mail_holds_a_number(sent: Sent, stack: Stack) -> None:
    assert sent.numbers.found_in(stack.mails()) == set()


# --- That the search would find one -----------------------------------------------------------


@pytest.mark.parametrize("gap", FORMS, ids=("unbroken", "spaces", "hyphens", "no-break spaces"))
def test_search_finds_what_is_planted(gap: str, stack: Stack, admin: Admin) -> None:
    numbers = Numbers()
    log = Path(stack.env["STATE_DIR"]) / "log" / f"planted-{uuid.uuid4().hex}.log"
    admin.execute("create table private.planted (value text)")
    try:
        admin.execute("insert into private.planted values (%s)", [numbers.mint("a row", gap)])
        log.write_text(
            f'{{"event": "a.thing", "name": "{numbers.mint("a file", gap)}"}}\n', encoding="utf-8"
        )
        with listening(stack.env["REDIS_URL"]) as traffic:
            with redis.Redis.from_url(stack.env["REDIS_URL"]) as connection:
                connection.set("planted", numbers.mint("a key", gap))
                connection.hset("planted-hash", "data", numbers.mint("a hash", gap))
            wait_until(lambda: b"planted-hash" in traffic.raw)

        assert numbers.found_in(stack.dump()) == {"a row"}
        assert numbers.found_in(dict(stack.files())[f"log/{log.name}"]) == {"a file"}
        kept = dict(stack.redis())
        assert numbers.found_in(kept["planted"]) == {"a key"}
        assert numbers.found_in(kept["planted-hash"]) == {"a hash"}
        assert numbers.found_in(traffic.content()) == {"a key", "a hash"}
    finally:
        admin.execute("drop table private.planted")
        log.unlink(missing_ok=True)
        with redis.Redis.from_url(stack.env["REDIS_URL"]) as connection:
            connection.delete("planted", "planted-hash")
