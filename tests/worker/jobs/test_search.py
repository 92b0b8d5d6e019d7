"""Large changes are found, what is popular is counted, texts become vectors."""

import uuid
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from edge_workers.providers.errors import Misconfigured, Unavailable
from tests.worker.jobs.conftest import Shop
from worker.jobs import search
from worker.task import Task

MODEL = "text-embedding-3-small"
FOUND = "select name from public.search_products(%s, country => 'CM', language => 'en')"


@pytest.fixture
def word() -> str:
    """A word that no other goods have."""
    letters = uuid.uuid4().hex.translate(str.maketrans("0123456789", "ghjklmnpqr"))
    return f"zu{letters[:12]}"


@pytest.fixture
def make_embedding_task(shop: Shop, make_task: Callable[..., Task]) -> Callable[..., Task]:
    """A task of a shop that has a provider, which the sandbox is."""

    def make(**changes: object) -> Task:
        return make_task(
            **{
                "openai_api_key": SecretStr("sk-test-of-the-suite"),
                "openai_base_url": f"{shop.sandbox.url}/openai/v1",
                "embeddings_model": MODEL,
                **changes,
            }
        )

    return make


def found(shop: Shop, query: str) -> list[str]:
    return [str(row["name"]) for row in shop.admin.execute(FOUND, [query]).fetchall()]


def asked(shop: Shop) -> int:
    """How often the provider was asked."""
    return len(shop.sandbox.listed("calls", provider="openai"))


def stock_many(shop: Shop, word: str, count: int) -> list[str]:
    """Goods that go in by one statement; their ids."""
    template = shop.stock()
    rows = shop.admin.execute(
        "with product as ("
        "  insert into public.products (category_id, name, price_mallgram)"
        "  select p.category_id, %s || ' number ' || n, 20"
        "  from public.products as p, generate_series(1, %s) as n where p.id = %s returning id"
        ") insert into public.product_prices (product_id, country, currency, amount) "
        "select id, 'CM', 'XAF', 500 from product returning product_id",
        [word, count, template],
    ).fetchall()
    return [str(row["product_id"]) for row in rows]


def test_what_came_by_the_hundred_is_found(
    shop: Shop, make_task: Callable[..., Task], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BATCH", 90)
    ids = stock_many(shop, word, 201)

    search.refresh_search(make_task())

    known = shop.read(
        "select count(*) as documents from private.search_documents "
        "where listing_id = any(%s::uuid[])",
        ids,
    )
    assert known["documents"] == 201
    assert len(found(shop, word)) == 24
    shop.admin.execute("delete from public.products where id = any(%s::uuid[])", [ids])
    assert found(shop, word) == []


def test_words_that_no_listing_has_are_forgotten(
    shop: Shop, make_task: Callable[..., Task], word: str
) -> None:
    shop.admin.execute("insert into private.search_terms (word) values (%s)", [word])

    search.count_search(make_task())
    # A day later.
    shop.admin.execute("update private.search_terms set counted_at = null where word = %s", [word])
    search.count_search(make_task())

    left = shop.read("select count(*) as words from private.search_terms where word = %s", word)
    assert left["words"] == 0


def test_without_a_provider_nothing_is_asked(shop: Shop, make_task: Callable[..., Task]) -> None:
    before = asked(shop)
    search.embed_search(make_task())
    assert asked(shop) == before


def test_texts_become_vectors_and_meanings_are_found(
    shop: Shop, make_embedding_task: Callable[..., Task], word: str
) -> None:
    product_id = shop.stock()
    shop.admin.execute(
        "update public.products set name = %s where id = %s", [f"Hubbub {word}", product_id]
    )
    query = f"brouhaha {word[::-1]}"
    assert found(shop, query) == []
    shop.admin.execute(
        "insert into private.searches (query, language, results) select %s, 'fr', 0 "
        "from generate_series(1, 2)",
        [query],
    )
    # As far from one another as the sandbox's own vectors of one word in two are.
    shop.admin.execute("update private.search_settings set farthest_meaning = 0.9")
    # Nothing but this product is new.
    shop.admin.execute(
        "insert into private.product_embeddings (listing_id, embedding, model, text_hash) "
        "select listing_id, ('[' || repeat('0,', 383) || '1]')::extensions.halfvec(384), %s, '' "
        "from private.search_documents where listing_id <> %s on conflict do nothing",
        [MODEL, product_id],
    )
    try:
        search.embed_search(make_embedding_task())
        assert found(shop, query)[:1] == [f"Hubbub {word}"]

        before = asked(shop)
        search.embed_search(make_embedding_task())
        assert asked(shop) == before
    finally:
        shop.admin.execute("update private.search_settings set farthest_meaning = 0.7")
        shop.admin.execute("delete from private.product_embeddings where model = %s", [MODEL])
        shop.admin.execute("delete from private.query_embeddings where model = %s", [MODEL])
        shop.admin.execute("delete from private.searches where query = %s", [query])


def test_a_provider_that_refuses_or_rests_is_said(
    shop: Shop, make_embedding_task: Callable[..., Task]
) -> None:
    shop.stock()
    with pytest.raises(Misconfigured):
        search.embed_search(make_embedding_task(openai_api_key=SecretStr("another")))
    with pytest.raises(Misconfigured):
        search.embed_search(make_embedding_task(embeddings_model="no-such-model"))
    shop.sandbox.order_fault("openai", "rate_limit")
    with pytest.raises(Unavailable) as caught:
        search.embed_search(make_embedding_task())
    assert caught.value.retry_after == 1
    row = shop.read("select count(*) as vectors from private.product_embeddings")
    assert row["vectors"] == 0
