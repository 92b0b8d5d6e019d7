-- What is searched stands beside the products: a row a listing on sale, with one vector stemmed as
-- English and one stemmed as French, both without accents.

create text search configuration private.search_en (copy = pg_catalog.english);
alter text search configuration private.search_en
alter mapping for hword, hword_part, word with extensions.unaccent, pg_catalog.english_stem;

create text search configuration private.search_fr (copy = pg_catalog.french);
alter text search configuration private.search_fr
alter mapping for hword, hword_part, word with extensions.unaccent, pg_catalog.french_stem;

create text search configuration private.search_words (copy = pg_catalog.simple);
alter text search configuration private.search_words
alter mapping for hword, hword_part, word with extensions.unaccent, pg_catalog.simple;

comment on text search configuration private.search_en is 'English stems, accents folded.';
comment on text search configuration private.search_fr is 'French stems, accents folded.';
comment on text search configuration private.search_words is 'Words as they are, accents folded.';

create table private.search_documents (
    listing_id uuid primary key,
    channel public.product_channel not null,
    category_id uuid not null references public.categories (id) on delete cascade,
    rating numeric(3, 2) not null,
    popularity numeric(8, 4) not null,
    is_popular boolean not null default false,
    search_en tsvector not null,
    search_fr tsvector not null
);

alter table private.search_documents enable row level security;

-- A common word matches a hundred thousand rows and a page shows twenty-four: the popular few
-- have an index of their own, which is asked first.
-- What was written last waits in a short list, for each search reads all of it.
create index search_documents_words_idx on private.search_documents
using gin ((search_en || search_fr)) with (gin_pending_list_limit = 256);
create index search_documents_popular_words_idx on private.search_documents
using gin ((search_en || search_fr)) with (gin_pending_list_limit = 256) where is_popular;
create index search_documents_category_id_idx on private.search_documents (category_id);
create index search_documents_popularity_idx on private.search_documents (popularity, is_popular);

comment on table private.search_documents is
'Listings on sale as search sees them; kept by triggers on the products.';
comment on column private.search_documents.popularity is
'From 0: supplier''s stars by the logarithm of the reviews; breaks ties of relevance.';
comment on column private.search_documents.is_popular is
'Among the most popular of the shop: asked first.';

create table private.search_terms (
    word text primary key,
    english text,
    french text,
    listings integer not null default 1,
    counted_at timestamptz,
    constraint search_terms_word_is_short check (char_length(word) between 2 and 40),
    constraint search_terms_listings_not_negative check (listings >= 0)
);

alter table private.search_terms enable row level security;

create index search_terms_word_trgm_idx on private.search_terms
using gin (word extensions.gin_trgm_ops);
create index search_terms_word_prefix_idx on private.search_terms (word text_pattern_ops);
create index search_terms_counted_at_idx on private.search_terms (counted_at nulls first);

comment on table private.search_terms is
'Every word of a product''s name, without accents: what a misspelt word is compared with, and what '
'a beginning is completed to.';
comment on column private.search_terms.english is
'As an English name spells it, in lower case; null while none has it.';
comment on column private.search_terms.french is
'As a French name spells it, with its accents, in lower case; null while none has it.';
comment on column private.search_terms.listings is
'About how many listings have it, up to 10,000; 1 until it is counted for the first time, 0 for '
'one that was not found when it was last counted.';

create table private.search_settings (
    is_only boolean primary key default true,
    popular_from numeric(8, 4) not null default 0,
    farthest_meaning numeric(4, 3) not null default 0.7,
    constraint search_settings_is_one_row check (is_only)
);

alter table private.search_settings enable row level security;

insert into private.search_settings default values on conflict do nothing;

comment on table private.search_settings is
'One row: popular_from is the popularity of the twenty-thousandth listing, as last counted.';
comment on column private.search_settings.farthest_meaning is
'Cosine distance, 0 to 2, beyond which a listing does not mean what was asked for.';

create table private.search_queue (
    id bigint generated always as identity primary key,
    listing_id uuid not null,
    queued_at timestamptz not null default now()
);

alter table private.search_queue enable row level security;

create index search_queue_listing_id_idx on private.search_queue (listing_id);

comment on table private.search_queue is
'Listings of large changes whose documents are made in batches, after the change.';
comment on sequence private.search_queue_id_seq is 'Order in which listings were queued.';
comment on column private.search_queue.listing_id is
'Once for each change: two changes never wait for each other here, nor is one lost in the other.';

create or replace function private.search_popularity(rating numeric, reviews integer)
returns numeric
language sql
immutable
set search_path = ''
as $$
    select
        round(
            coalesce(search_popularity.rating, 3) * ln((2 + search_popularity.reviews)::numeric), 4
        )
$$;

create or replace function private.queue_search(
    listing_ids uuid [], available_at timestamptz default now()
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into private.search_queue (listing_id)
    select l.id from unnest(queue_search.listing_ids) as l (id);
    perform private.emit(
        'refresh_search', '{}',
        concat_ws('/', 'refresh_search', pg_current_xact_id()::text, queue_search.available_at),
        queue_search.available_at
    );
end
$$;

create or replace function private.learn_words(listing_ids uuid [])
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_new private.search_terms [];
begin
    -- Of two spellings the one with accents: suppliers leave them out.
    select array_agg(n.term order by n.word) into v_new
    from (
        select
            w.word,
            row(
                w.word,
                max(w.spelling collate "C") filter (where l.language = 'en'),
                max(w.spelling collate "C") filter (where l.language = 'fr'),
                count(distinct l.id),
                null
            )::private.search_terms as term
        from (
            select p.id, s.language, s.name
            from public.products as p
            cross join lateral (values ('en', p.name), ('fr', p.name_fr)) as s (language, name)
            where p.id = any(learn_words.listing_ids) and p.is_active
            union all
            select p.id, s.language, s.name
            from public.products_retailer as p
            cross join lateral (values ('en', p.name), ('fr', p.name_fr)) as s (language, name)
            where p.id = any(learn_words.listing_ids) and p.is_active
        ) as l
        cross join lateral (
            select u.spelling, extensions.unaccent(u.spelling) as word
            from unnest(
                tsvector_to_array(to_tsvector('pg_catalog.simple'::regconfig, l.name))
            ) as u (spelling)
        ) as w
        where char_length(w.word) between 2 and 40 and w.word ~ '[[:alpha:]]'
        group by w.word
    ) as n
    left join private.search_terms as t on n.word = t.word
    where t.listings is null
        or t.listings = 0
        or t.english is null and (n.term).english is not null
        or coalesce(t.french, t.word) = t.word and (n.term).french is distinct from t.french
        and (n.term).french is not null;
    if v_new is null then
        return;
    end if;
    -- The same new word of two changes would make one wait for the other's end, and two of each
    -- lock each other out: one at a time brings new words, whoever comes meanwhile leaves them to
    -- the job.
    if pg_try_advisory_xact_lock(hashtextextended('search_terms', 0)) then
        insert into private.search_terms as t (word, english, french, listings)
        select n.word, n.english, n.french, n.listings from unnest(v_new) as n
        on conflict on constraint search_terms_pkey do update
        set english = coalesce(t.english, excluded.english),
            french = case
                when coalesce(t.french, t.word) = t.word then coalesce(excluded.french, t.french)
                else t.french
            end,
            listings = case when t.listings = 0 then excluded.listings else t.listings end,
            counted_at = case when t.listings > 0 then t.counted_at end;
    else
        perform private.queue_search(learn_words.listing_ids, now() + interval '5 seconds');
    end if;
end
$$;

create or replace function private.refresh_search(listing_ids uuid [])
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_threshold numeric := (select s.popular_from from private.search_settings as s);
    v_is_changed boolean;
begin
    with listing as (
        select
            p.id, 'retail'::public.product_channel as channel, p.category_id, p.seller_rating,
            p.review_count, p.name, p.name_fr, p.description, p.description_fr
        from public.products as p
        where p.id = any(refresh_search.listing_ids) and p.is_active
        union all
        select
            p.id, 'wholesale', p.category_id, p.seller_rating,
            p.review_count, p.name, p.name_fr, p.description, p.description_fr
        from public.products_retailer as p
        where p.id = any(refresh_search.listing_ids) and p.is_active
    ),

    gone as (
        delete from private.search_documents as d
        where d.listing_id = any(refresh_search.listing_ids)
            and not exists (select from listing as l where l.id = d.listing_id)
        returning d.listing_id
    ),

    document as (
        select
            l.id, l.channel, l.category_id, coalesce(l.seller_rating, 0) as rating,
            private.search_popularity(l.seller_rating, l.review_count) as popularity,
            setweight(to_tsvector('private.search_en'::regconfig, l.name), 'A')
            || setweight(to_tsvector('private.search_en'::regconfig, c.name), 'B')
            || to_tsvector('private.search_en'::regconfig, concat_ws(' ', u.name, o.name))
            || setweight(
                to_tsvector(
                    'private.search_en'::regconfig, coalesce(left(l.description, 2000), '')
                ), 'C'
            ) as search_en,
            setweight(to_tsvector('private.search_fr'::regconfig, coalesce(l.name_fr, l.name)), 'A')
            || setweight(to_tsvector('private.search_fr'::regconfig, c.name_fr), 'B')
            || to_tsvector('private.search_fr'::regconfig, concat_ws(' ', u.name_fr, o.name_fr))
            || setweight(
                to_tsvector(
                    'private.search_fr'::regconfig, coalesce(left(l.description_fr, 2000), '')
                ), 'C'
            ) as search_fr
        from listing as l
        inner join public.categories as c on l.category_id = c.id
        left join public.categories as u on c.parent_id = u.id
        left join public.categories as o on u.parent_id = o.id
    ),

    stored as (
        insert into private.search_documents as d (
            listing_id, channel, category_id, rating, popularity, is_popular, search_en, search_fr
        )
        select
            n.id, n.channel, n.category_id, n.rating, n.popularity, n.popularity >= v_threshold,
            n.search_en, n.search_fr
        from document as n
        order by n.id
        on conflict on constraint search_documents_pkey do update
        set category_id = excluded.category_id,
            rating = excluded.rating,
            popularity = excluded.popularity,
            is_popular = excluded.is_popular,
            search_en = excluded.search_en,
            search_fr = excluded.search_fr
        where (
            d.category_id, d.rating, d.popularity, d.is_popular, d.search_en, d.search_fr
        ) is distinct from (
            excluded.category_id, excluded.rating, excluded.popularity, excluded.is_popular,
            excluded.search_en, excluded.search_fr
        )
        returning d.listing_id
    ),

    stale as (
        update private.product_embeddings as e
        set is_stale = true
        from stored as n
        where e.listing_id = n.listing_id and not e.is_stale
    )

    select exists (select from gone) or exists (select from stored) into v_is_changed;
    if v_is_changed then
        perform private.note_catalogue_change();
    end if;
    perform private.learn_words(refresh_search.listing_ids);
end
$$;

create or replace function private.follow_search(listing_ids uuid [])
returns void
language plpgsql
set search_path = ''
as $$
begin
    -- A change by hand is found at once; a catalogue that fills itself waits for its batches.
    if cardinality(follow_search.listing_ids) <= 200 then
        perform private.refresh_search(follow_search.listing_ids);
    else
        perform private.queue_search(follow_search.listing_ids);
    end if;
end
$$;

create or replace function private.tg__search_inserted()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.follow_search(array(select n.id from changed as n));
    return null;
end
$$;

create or replace function private.tg_products__search_updated()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.follow_search(array(
        select n.id
        from changed as n
        inner join replaced as o on n.id = o.id
        where (
            n.name, n.name_fr, n.description, n.description_fr, n.category_id, n.is_active,
            n.seller_rating, n.review_count
        ) is distinct from (
            o.name, o.name_fr, o.description, o.description_fr, o.category_id, o.is_active,
            o.seller_rating, o.review_count
        )
    ));
    return null;
end
$$;

create or replace function private.tg_products__search_deleted()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    delete from private.search_documents as d
    using replaced as o
    where d.listing_id = o.id;
    delete from private.product_embeddings as e
    using replaced as o
    where e.listing_id = o.id;
    return null;
end
$$;

create or replace function private.tg_categories__search_updated()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_ids uuid [];
begin
    -- The goods of a category are found by its name and by those of the two above it. Left to the
    -- job, since whoever changes one of them just now would make it anew by the old name.
    v_ids := array(
        with recursive tree as (
            select n.id, 1 as depth
            from changed as n
            inner join replaced as o on n.id = o.id
            where (n.name, n.name_fr, n.parent_id) is distinct from (o.name, o.name_fr, o.parent_id)
            union
            select c.id, t.depth + 1
            from tree as t
            inner join public.categories as c on t.id = c.parent_id
            where t.depth < 3
        )

        select distinct d.listing_id
        from tree as t
        inner join private.search_documents as d on t.id = d.category_id
    );
    if cardinality(v_ids) > 0 then
        perform private.queue_search(v_ids);
    end if;
    return null;
end
$$;

create or replace function service.refresh_search(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_due uuid [];
    v_taken uuid [];
    v_busy uuid [];
    v_is_full boolean;
begin
    select array_agg(distinct q.listing_id), count(*) >= refresh_search.batch
    into v_due, v_is_full
    from (
        select w.listing_id
        from private.search_queue as w
        limit refresh_search.batch
        for update skip locked
    ) as q;
    -- Nobody changes these while their documents are made; those that somebody is changing just
    -- now are left for the next time: what is read here would be of before.
    v_taken := array(
        select p.id
        from public.products as p
        where p.id = any(v_due)
        for share skip locked
    ) || array(
        select p.id
        from public.products_retailer as p
        where p.id = any(v_due)
        for share skip locked
    );
    select array_agg(b.id) into v_busy
    from (
        select p.id from public.products as p where p.id = any(v_due)
        union all
        select p.id from public.products_retailer as p where p.id = any(v_due)
    ) as b
    where b.id <> all(v_taken);
    v_taken := array(
        select d.id from unnest(v_due) as d (id) where d.id <> all(coalesce(v_busy, '{}'))
    );
    delete from private.search_queue as q
    where q.id in (
        select w.id
        from private.search_queue as w
        where w.listing_id = any(v_taken)
        for update skip locked
    );
    perform private.refresh_search(v_taken);
    return jsonb_build_object(
        'refreshed', cardinality(v_taken),
        'is_done', not v_is_full or cardinality(v_taken) = 0
    );
end
$$;

create or replace function service.count_search(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
set enable_seqscan = off
set client_min_messages = 'warning'
as $$
declare
    v_popular_from numeric;
    v_moved integer;
    v_counted integer;
begin
    -- A shop of fewer has nothing to choose among.
    select case when count(*) < 20000 then 0 else min(p.popularity) end into v_popular_from
    from (
        select d.popularity
        from private.search_documents as d
        order by d.popularity desc
        limit 20000
    ) as p;
    update private.search_settings as s
    set popular_from = v_popular_from
    where s.popular_from is distinct from v_popular_from;

    with falling as materialized (
        select w.listing_id
        from private.search_documents as w
        where w.popularity < v_popular_from and w.is_popular
        limit count_search.batch
        for update skip locked
    ),

    rising as materialized (
        select w.listing_id
        from private.search_documents as w
        where w.popularity >= v_popular_from and not w.is_popular
        limit count_search.batch
        for update skip locked
    ),

    due as (
        select f.listing_id from falling as f
        union all
        select r.listing_id from rising as r
    )

    update private.search_documents as d
    set is_popular = d.popularity >= v_popular_from
    from due as w
    where d.listing_id = w.listing_id;
    get diagnostics v_moved = row_count;
    if v_moved > 0 then
        perform private.note_catalogue_change();
    end if;

    -- Words are brought just now: they are counted another time.
    if not pg_try_advisory_xact_lock(hashtextextended('search_terms', 0)) then
        return jsonb_build_object(
            'popular_from', v_popular_from, 'moved', v_moved, 'counted', 0
        );
    end if;
    with due as materialized (
        select t.word, t.listings, private.as_search_query(t.word) as words
        from private.search_terms as t
        where t.counted_at is null or t.counted_at < now() - interval '20 hours'
        order by t.counted_at nulls first
        limit count_search.batch
        for update skip locked
    ),

    counted as (
        select u.word, u.listings as listings_before, n.listings
        from due as u
        cross join lateral (
            select count(*) as listings
            from (
                select 1
                from private.search_documents as d
                where (d.search_en || d.search_fr) @@ u.words
                limit 10000
            ) as f
        ) as n
    ),

    gone as (
        delete from private.search_terms as t
        using counted as c
        where t.word = c.word and c.listings = 0 and c.listings_before = 0
    ),

    -- What an open transaction has is not seen yet: a word goes when it is missed a second time.
    kept as (
        update private.search_terms as t
        set listings = c.listings, counted_at = now()
        from counted as c
        where t.word = c.word and (c.listings > 0 or c.listings_before > 0)
    )

    select count(*) into v_counted from counted;
    return jsonb_build_object(
        'popular_from', v_popular_from, 'moved', v_moved, 'counted', v_counted
    );
end
$$;

create trigger products_85_search_inserted
after insert on public.products
referencing new table as changed
for each statement execute function private.tg__search_inserted();

create trigger products_85_search_updated
after update on public.products
referencing old table as replaced new table as changed
for each statement execute function private.tg_products__search_updated();

create trigger products_85_search_deleted
after delete on public.products
referencing old table as replaced
for each statement execute function private.tg_products__search_deleted();

create trigger products_retailer_85_search_inserted
after insert on public.products_retailer
referencing new table as changed
for each statement execute function private.tg__search_inserted();

create trigger products_retailer_85_search_updated
after update on public.products_retailer
referencing old table as replaced new table as changed
for each statement execute function private.tg_products__search_updated();

create trigger products_retailer_85_search_deleted
after delete on public.products_retailer
referencing old table as replaced
for each statement execute function private.tg_products__search_deleted();

create trigger categories_85_search_updated
after update on public.categories
referencing old table as replaced new table as changed
for each statement execute function private.tg_categories__search_updated();

revoke all on function private.search_popularity(numeric, integer) from public;
revoke all on function private.queue_search(uuid [], timestamptz) from public;
revoke all on function private.learn_words(uuid []) from public;
revoke all on function private.refresh_search(uuid []) from public;
revoke all on function private.follow_search(uuid []) from public;
revoke all on function private.tg__search_inserted() from public;
revoke all on function private.tg_products__search_updated() from public;
revoke all on function private.tg_products__search_deleted() from public;
revoke all on function private.tg_categories__search_updated() from public;
revoke all on function service.refresh_search(integer) from public;
revoke all on function service.count_search(integer) from public;
grant execute on function service.refresh_search(integer) to mallgram_service;
grant execute on function service.count_search(integer) to mallgram_service;

comment on function private.search_popularity(numeric, integer) is
'Stars by the logarithm of the reviews; a listing without stars counts as three.';
comment on function private.queue_search(uuid [], timestamptz) is
'Leaves listings to the job refresh_search.';
comment on function private.learn_words(uuid []) is
'Takes in words of these listings'' names that were not known, or not in their language; never '
'waits for another who does.';
comment on function private.refresh_search(uuid []) is
'Makes the search documents of these listings anew, writing only what differs; removes those that '
'are not on sale.';
comment on function private.follow_search(uuid []) is
'Brings search in line with changed listings: few at once, many by the job refresh_search.';
comment on function private.tg__search_inserted() is
'Trigger: new products can be found. Definer because search is closed.';
comment on function private.tg_products__search_updated() is
'Trigger: search follows what it shows of a product. Definer because search is closed.';
comment on function private.tg_products__search_deleted() is
'Trigger: what is gone is not found. Definer because search is closed.';
comment on function private.tg_categories__search_updated() is
'Trigger: goods are found by the names of their categories. Definer because search is closed.';
comment on function service.refresh_search(integer) is
'Makes documents of queued listings: {refreshed, is_done}; one that somebody is changing just now '
'stays queued. Definer because search is closed to the service.';
comment on function service.count_search(integer) is
'Counts anew which listings are popular and how many have each word, at most so many of each at a '
'time: {popular_from, moved, counted}; fewer than the batch means that all is counted. A word that '
'no listing had twice running is forgotten. Definer because search is closed to the service.';
