"""Goods by the million for the search benchmark, made by SQL in a minute or two.

Names and descriptions are phrases of invented words, English and French, whose frequencies fall
off as those of a language do (by Zipf's law): the commonest stands in most listings, the rarest in
a handful. Every twentieth name ends with a number of its own. Rows go in without triggers and
without the indexes that are built afterwards; a sample shows that search's own function would have
made the same documents.
"""

# ruff: noqa: S608  # what is put into a statement is this module's own

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.stand import say
from tests.concurrency.shoppers import Admin

WORDS = 50_000
PHRASES = 20_000
SAMPLE = 500
BULKY = ("public.products", "public.product_prices", "public.product_stock")
KNOWN = ("private.search_documents", "private.search_terms")

PREPARE = (
    "create schema bench",
    """
    create function bench.word(number bigint, tongue text) returns text
    language sql immutable parallel safe as $$
        select string_agg(
            substr('bcdfglmnprstvz', 1 + (d.digit / 5)::integer % 14, 1)
            || substr('aeiou', 1 + d.digit::integer % 5, 1), '' order by d.place
        )
        from (
            select
                p.place,
                ((word.number * 7919 + case word.tongue when 'fr' then 150000 else 0 end)
                    % 343000 / (70 ^ p.place)::bigint) % 70 as digit
            from generate_series(0, 2) as p (place)
        ) as d
    $$
    """,
    """
    create function bench.listing(number bigint) returns uuid
    language sql immutable parallel safe as $$
        select ('bec0ffee-0000-4000-8000-' || lpad(listing.number::text, 12, '0'))::uuid
    $$
    """,
    f"""
    create table bench.words as
    select n as number, bench.word(n, 'en') as en, bench.word(n, 'fr') as fr
    from generate_series(0, {WORDS - 1}) as n
    """,
    "alter table bench.words add primary key (number)",
    "select setseed(0.5)",
    f"""
    create table bench.phrases as
    select
        d.kind, d.number, string_agg(w.en, ' ' order by d.place) as en,
        string_agg(w.fr, ' ' order by d.place) as fr
    from (
        select
            k.kind, n as number, s as place,
            least(floor({WORDS} ^ random()), {WORDS})::bigint - 1 as word
        from generate_series(0, {PHRASES - 1}) as n
        cross join (values ('name', 6), ('text', 16)) as k (kind, length)
        cross join lateral generate_series(1, k.length) as s
    ) as d
    inner join bench.words as w on d.word = w.number
    group by d.kind, d.number
    """,
    "alter table bench.phrases add primary key (kind, number)",
    """
    alter table bench.phrases add column search_en tsvector, add column search_fr tsvector
    """,
    """
    update bench.phrases set
        search_en = to_tsvector('private.search_en', en),
        search_fr = to_tsvector('private.search_fr', fr)
    """,
    """
    insert into public.categories (slug, name, name_fr)
    select 'bench-' || n, 'Shelf ' || n, 'Rayon ' || n from generate_series(0, 7) as n
    """,
    """
    insert into public.categories (slug, name, name_fr, parent_id)
    select 'bench-' || n, 'Shelf ' || n, 'Rayon ' || n, c.id
    from generate_series(8, 47) as n
    inner join public.categories as c on c.slug = 'bench-' || n % 8
    """,
    """
    create table bench.shelves as
    select
        row_number() over (order by c.slug) - 1 as number, c.id,
        setweight(to_tsvector('private.search_en', c.name), 'B')
        || to_tsvector('private.search_en', u.name) as search_en,
        setweight(to_tsvector('private.search_fr', c.name_fr), 'B')
        || to_tsvector('private.search_fr', u.name_fr) as search_fr
    from public.categories as c
    inner join public.categories as u on c.parent_id = u.id
    where c.slug like 'bench-%'
    """,
    """
    create table bench.goods as
    select
        n as number, bench.listing(n) as id, a.en as name, a.fr as name_fr,
        t.en as description, t.fr as description_fr, c.id as category_id,
        a.search_en as name_en, a.search_fr as name_in_fr, t.search_en as text_en,
        t.search_fr as text_fr, c.search_en as shelf_en, c.search_fr as shelf_fr
    from generate_series(1, 1) as n, bench.phrases as a, bench.phrases as t, bench.shelves as c
    limit 0
    """,
    "grant usage on schema bench to anon",
    "analyze bench.words, bench.phrases, bench.shelves, public.categories",
)

GROW = (
    "truncate bench.goods",
    f"""
    insert into bench.goods
    select
        n, bench.listing(n),
        a.en || case when n % 20 = 0 then ' kx' || n else '' end,
        a.fr || case when n % 20 = 0 then ' kx' || n else '' end,
        t.en, t.fr, c.id,
        case when n % 20 > 0 then a.search_en
            else to_tsvector('private.search_en', a.en || ' kx' || n) end,
        case when n % 20 > 0 then a.search_fr
            else to_tsvector('private.search_fr', a.fr || ' kx' || n) end,
        t.search_en, t.search_fr, c.search_en, c.search_fr
    from generate_series(%(first)s::bigint, %(last)s::bigint) as s (n)
    inner join bench.phrases as a on a.kind = 'name' and a.number = (n * 7919) %% {PHRASES}
    inner join bench.phrases as t
        on t.kind = 'text' and t.number = (n * 104729 + 7 * (n / {PHRASES})) %% {PHRASES}
    inner join bench.shelves as c on c.number = (n * 31) %% 40
    """.replace("n % 20", "n %% 20"),
    """
    insert into public.products (
        id, category_id, name, name_fr, description, description_fr, price_mallgram,
        seller_rating, review_count, created_at
    )
    select
        g.id, g.category_id, g.name, g.name_fr, g.description, g.description_fr, 10,
        round((2 + 3 * sqrt(random()))::numeric, 1),
        floor(exp(9 * random() * random()))::integer - 1,
        timestamptz '2026-01-01' + random() * interval '300 days'
    from bench.goods as g
    """,
    """
    insert into public.product_prices (
        product_id, country, currency, amount, category_id, rating, is_listed, listed_at
    )
    select
        p.id, x.country, x.currency,
        case x.country
            when 'ZA' then round((20 + 2000 * random() ^ 3)::numeric, 2)
            else 25 * round((20 + 2000 * random() ^ 3)::numeric)
        end,
        p.category_id, p.seller_rating, true, p.created_at
    from public.products as p
    cross join (values ('ZA', 'ZAR'), ('CM', 'XAF')) as x (country, currency)
    where p.id between bench.listing(%(first)s) and bench.listing(%(last)s)
    """,
    """
    insert into public.product_stock (product_id, on_hand)
    select g.id, floor(10 * random())::integer * 5 from bench.goods as g
    """,
    """
    insert into private.search_documents (
        listing_id, channel, category_id, rating, popularity, is_popular, search_en, search_fr
    )
    select
        p.id, 'retail', p.category_id, p.seller_rating, d.popularity,
        d.popularity >= %(popular_from)s,
        setweight(g.name_en, 'A') || g.shelf_en || setweight(g.text_en, 'C'),
        setweight(g.name_in_fr, 'A') || g.shelf_fr || setweight(g.text_fr, 'C')
    from bench.goods as g
    inner join public.products as p on g.id = p.id
    cross join lateral (
        select private.search_popularity(p.seller_rating, p.review_count) as popularity
    ) as d
    """,
    """
    insert into private.search_terms (word, english, french, listings, counted_at)
    select
        w.word, max(w.word) filter (where s.language = 'en'),
        max(w.word) filter (where s.language = 'fr'), count(*), now()
    from bench.goods as g
    cross join lateral (values ('en', g.name), ('fr', g.name_fr)) as s (language, name)
    cross join lateral unnest(string_to_array(s.name, ' ')) as w (word)
    group by w.word
    on conflict on constraint search_terms_pkey do update
    set listings = private.search_terms.listings + excluded.listings
    """,
)

OURS = "between bench.listing(0) and bench.listing(999999999999)"
CLEAR = (
    f"delete from private.product_embeddings where listing_id {OURS}",
    f"delete from private.search_documents where listing_id {OURS}",
    f"delete from public.product_stock where product_id {OURS}",
    f"delete from public.product_prices where product_id {OURS}",
    f"delete from public.products where id {OURS}",
    "delete from private.search_terms as t using bench.words as w where t.word in (w.en, w.fr)",
    "delete from private.search_terms where word ~ '^kx[0-9]+$'",
    "delete from private.query_embeddings where model = 'bench'",
    "delete from public.categories where slug ~ '^bench-[0-9]+$'",
    "drop schema bench cascade",
)


def prepare(admin: Admin) -> None:
    """Words, phrases and shelves; what the shop sells besides stays as it is."""
    admin.execute("set client_min_messages = warning")
    for statement in PREPARE:
        admin.execute(statement)


def grow(admin: Admin, first: int, last: int) -> None:
    """Puts the goods with these numbers in, the first call from 1; then counts and analyses."""
    values = {"first": first, "last": last, "popular_from": _popular_from(admin, first, last)}
    admin.execute("set session_replication_role = replica")
    admin.execute("set work_mem = '128MB'")
    admin.execute("set maintenance_work_mem = '512MB'")
    try:
        with _without_indexes(admin):
            for statement in GROW:
                admin.execute(statement, values if "%(" in statement else None)
    finally:
        admin.execute("set session_replication_role = origin")
        admin.execute("reset work_mem")
    admin.execute("vacuum analyze")
    admin.execute("select service.count_search(1000000)")
    admin.execute("vacuum analyze private.search_documents")
    admin.execute("checkpoint")


def clear(admin: Admin) -> None:
    """Takes everything out again."""
    admin.execute("set session_replication_role = replica")
    try:
        for statement in CLEAR:
            admin.execute(statement)
    finally:
        admin.execute("set session_replication_role = origin")
    admin.execute("vacuum analyze")


def differing(admin: Admin, last: int) -> int:
    """Of a sample of the documents, how many search's own function writes otherwise."""
    ids = "array(select bench.listing(1 + n * %(step)s) from generate_series(0, %(most)s) as n)"
    values: dict[str, Any] = {"step": max(1, last // SAMPLE), "most": SAMPLE - 1}
    count = (
        "select count(*) as written from private.search_documents as d "
        f"where d.listing_id = any({ids}) and d.xmin::text = pg_current_xact_id()::xid::text"
    )
    with admin.transaction(force_rollback=True):
        admin.execute("select pg_current_xact_id()")
        admin.execute(f"select private.refresh_search({ids})", values)
        row = admin.execute(count, values).fetchone()
    assert row is not None
    return int(row["written"])


def _popular_from(admin: Admin, first: int, last: int) -> float:
    """About where the twenty-thousandth listing will stand, so that few change sides later."""
    if last <= 20_000:
        return 0.0
    row = admin.execute(
        "select percentile_cont(%s) within group (order by d.popularity) as at "
        "from private.search_documents as d",
        [1 - 20_000 / last],
    ).fetchone()
    return float(row["at"]) if row and row["at"] is not None and first > 1 else 0.0


@contextmanager
def _without_indexes(admin: Admin) -> Iterator[None]:
    """The bulky tables without the indexes that no constraint needs, which come back after."""
    rows = admin.execute(
        "select format('%%I.%%I', n.nspname, c.relname) as name, pg_get_indexdef(c.oid) as def "
        "from pg_index as i inner join pg_class as c on i.indexrelid = c.oid "
        "inner join pg_namespace as n on c.relnamespace = n.oid "
        "where i.indrelid = any(%s::regclass[]) "
        "and not exists (select from pg_constraint as k where k.conindid = c.oid) "
        "order by 1",
        [[*BULKY, *KNOWN]],
    ).fetchall()
    for row in rows:
        admin.execute(f"drop index {row['name']}")
    try:
        yield
    finally:
        for row in rows:
            admin.execute(row["def"])
    say(f"  {len(rows)} indexes built")
