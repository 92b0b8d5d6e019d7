"""Answers with something odd in one or two places: read soundly, or refused as an error of ours.

Deterministic: the same places and the same oddities in every run.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from edge_workers.providers import json_text
from edge_workers.providers.alibaba import suppliers as alibaba
from edge_workers.providers.aliexpress import suppliers as aliexpress
from edge_workers.providers.contracts.suppliers import (
    FreightOption,
    SupplierPage,
    SupplierProduct,
    SupplierQuery,
)
from edge_workers.providers.errors import ProviderError
from edge_workers.providers.open_platform import refusal, token_from
from tests.edge_workers.providers.alibaba import test_suppliers as alibaba_bodies
from tests.edge_workers.providers.aliexpress import test_suppliers as aliexpress_bodies
from tests.edge_workers.providers.supplier_peer import NOW
from tests.edge_workers.providers.test_open_platform import ANSWER

ODD: tuple[Any, ...] = (
    None,
    "",
    " ",
    "x",
    "0",
    "-1",
    "1e9",
    "NaN",
    "9" * 40,
    "\x00\ud800",
    "é" * 5000,
    "<script>",
    "//",
    0,
    -1,
    1,
    10**30,
    Decimal("0.001"),
    Decimal("1E+400"),
    True,
    False,
    [],
    {},
    [[]],
    [None],
    {"a": {"b": {"c": []}}},
    [{"sku_id": "1"}],
)
QUERY = SupplierQuery(country="ZA", currency="USD", keyword="x")

Read = Callable[[dict[str, Any]], object]


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a body, the root left out."""
    found = [path] if path else []
    members: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        members = list(node.items())
    elif isinstance(node, list):
        members = list(enumerate(node))
    for key, value in members:
        found += places(value, (*path, key))
    return found


def changed(body: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The body with another value at a place, or without it."""
    result = copy.deepcopy(body)
    node: Any = result
    for key in path[:-1]:
        node = node[key]
    if value is ...:
        del node[path[-1]]
    else:
        node[path[-1]] = copy.deepcopy(value)
    return result


def is_sound(value: object) -> bool:
    """Whether what was read keeps what the contract promises."""
    if isinstance(value, SupplierPage):
        return all(
            item.external_id
            and item.title.isprintable()
            and (item.price is None or item.price >= 0)
            and (item.rating is None or 0 < item.rating <= 5)
            and (item.orders is None or item.orders >= 0)
            for item in value.items
        )
    if isinstance(value, SupplierProduct):
        return _is_sound_product(value)
    if isinstance(value, tuple):
        return all(isinstance(option, FreightOption) and option.fee >= 0 for option in value)
    return True


def _is_sound_product(product: SupplierProduct) -> bool:
    ladder = product.tiers
    return (
        bool(product.external_id)
        and not any(character in product.title for character in "\x00\n\ud800")
        and not any(character in product.description for character in "\x00\ud800")
        and (product.status == "gone" or bool(product.variants))
        and product.min_order_quantity >= 1
        and product.order_increment >= 1
        and all(
            variant.external_id
            and variant.price > 0
            and (variant.stock is None or variant.stock >= 0)
            and (variant.bulk_price is None) == (variant.bulk_quantity is None)
            for variant in product.variants
        )
        and all(step.price > 0 and step.min_quantity >= 1 for step in ladder)
        and all(
            one.max_quantity is not None and one.max_quantity < other.min_quantity
            for one, other in pairwise(ladder)
        )
        and (product.weight_grams is None or product.weight_grams > 0)
        and (product.dimensions_mm is None or min(product.dimensions_mm) > 0)
        and (product.rating is None or 0 < product.rating <= 5)
        and all(url.startswith("http") for url in product.image_urls)
    )


def read_alibaba_product(body: dict[str, Any]) -> SupplierProduct:
    described = alibaba._described(body)
    return alibaba.product_from(described, "1600000000001", "USD", {"100500001": 3})


CASES: dict[str, tuple[dict[str, Any], Read]] = {
    "AliExpress search": (
        aliexpress_bodies.searched({"selection_search_product": [aliexpress_bodies.LINE]}),
        lambda body: aliexpress.page_from(body, QUERY, 50),
    ),
    "AliExpress product": (
        aliexpress_bodies.detailed(),
        lambda body: aliexpress.product_from(body, "1005000000000001"),
    ),
    "AliExpress freight": (
        aliexpress_bodies.delivered({"delivery_option_d_t_o": [aliexpress_bodies.OPTION]}),
        lambda body: aliexpress.freight_from(body, "USD"),
    ),
    "Alibaba search": (
        alibaba_bodies.searched(
            {"pagination": {"total_product_count": 812}, "products": [alibaba_bodies.LINE]}
        ),
        lambda body: alibaba.page_from(body, QUERY, 50),
    ),
    "Alibaba product": (alibaba_bodies.described(), read_alibaba_product),
    "Alibaba inventory": (alibaba_bodies.stocked(), alibaba.stock_from),
    "Alibaba freight": (
        {"code": "0", "value": [alibaba_bodies.OPTION]},
        alibaba.freight_from,
    ),
    "token": (ANSWER, lambda body: token_from("alibaba", body, NOW)),
    "error": (
        {"error_response": {"type": "ISV", "code": "7", "msg": "last 5 seconds", "sub_code": "x"}},
        lambda body: refusal("aliexpress", body),
    ),
}


def attempt(name: str, body: dict[str, Any], read: Read) -> None:
    """Read it, by way of the wire's JSON where that is possible; anything but our errors fails."""
    with suppress(ValueError, TypeError):  # where JSON has no such thing, it is read all the same
        body = json_text.loads(json_text.dumps(body).decode())
    try:
        value = read(body)
    except ProviderError:
        return
    assert is_sound(value), f"{name}: {body}"


@pytest.mark.parametrize("name", CASES)
def test_one_odd_place(name: str) -> None:
    body, read = CASES[name]
    assert is_sound(read(body))
    for path in places(body):
        for value in (*ODD, ...):
            attempt(name, changed(body, path, value), read)


@pytest.mark.parametrize("name", CASES)
def test_two_odd_places(name: str) -> None:
    body, read = CASES[name]
    dice = random.Random(name)  # noqa: S311  # the same dice in every run
    for _ in range(200):
        once = changed(body, dice.choice(places(body)), dice.choice((*ODD, ...)))
        left = places(once)
        if left:
            attempt(name, changed(once, dice.choice(left), dice.choice((*ODD, ...))), read)
