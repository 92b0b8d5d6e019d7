-- What a text means, as a provider sees it. Without one these tables stay empty and search goes by
-- words alone; with one, what is like a query in meaning is fused with what has its words.

create table private.product_embeddings (
    listing_id uuid primary key,
    embedding extensions.halfvec(384) not null,
    model text not null,
    text_hash text not null,
    is_stale boolean not null default false,
    embedded_at timestamptz not null default now(),
    constraint product_embeddings_model_is_one_line check (model ~ '^[^[:cntrl:]]{1,100}$')
);

alter table private.product_embeddings enable row level security;

-- At the default of 64 the graph loses one in ten of what is nearest, however far it is read.
create index product_embeddings_embedding_idx on private.product_embeddings
using hnsw (embedding extensions.halfvec_cosine_ops) with (ef_construction = 128);

comment on table private.product_embeddings is
'Listings as vectors of their names, category and description.';
comment on column private.product_embeddings.text_hash is 'md5 of the text that was embedded.';
comment on column private.product_embeddings.is_stale is
'The listing has changed since: it is embedded anew if its text is another.';

create table private.query_embeddings (
    query text primary key,
    embedding extensions.halfvec(384) not null,
    model text not null,
    embedded_at timestamptz not null default now(),
    constraint query_embeddings_query_is_short check (char_length(query) between 1 and 80),
    constraint query_embeddings_model_is_one_line check (model ~ '^[^[:cntrl:]]{1,100}$')
);

alter table private.query_embeddings enable row level security;

create index query_embeddings_embedded_at_idx on private.query_embeddings (embedded_at);

comment on table private.query_embeddings is
'What people often search for, as vectors: a search reads them and never waits for a provider.';
comment on column private.query_embeddings.query is 'As private.search_key writes it.';

create or replace function private.search_key(query text)
returns text
language sql
immutable
set search_path = ''
as $$
    select
        nullif(
            left(
                lower(
                    btrim(
                        regexp_replace(
                            left(search_key.query, 400), '[[:cntrl:][:space:]]+', ' ', 'g'
                        )
                    )
                ),
                80
            ),
            ''
        )
$$;

create or replace function private.embedding_text(listing_id uuid)
returns text
language sql
stable
set search_path = ''
as $$
    select
        concat_ws(
            '. ', l.name, l.name_fr, c.name, c.name_fr, left(l.description, 400),
            left(l.description_fr, 400)
        )
    from (
        select p.category_id, p.name, p.name_fr, p.description, p.description_fr
        from public.products as p
        where p.id = embedding_text.listing_id
        union all
        select p.category_id, p.name, p.name_fr, p.description, p.description_fr
        from public.products_retailer as p
        where p.id = embedding_text.listing_id
    ) as l
    inner join public.categories as c on l.category_id = c.id
$$;

create or replace function service.claim_embeddings(batch integer, model text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_products jsonb;
    v_queries jsonb;
begin
    -- What changed and yet says the same is not asked for again.
    update private.product_embeddings as e
    set is_stale = false
    where e.listing_id in (
        select w.listing_id
        from private.product_embeddings as w
        where w.is_stale and w.model = claim_embeddings.model
        limit 10 * claim_embeddings.batch
    )
    and e.text_hash = md5(private.embedding_text(e.listing_id));

    select coalesce(jsonb_agg(jsonb_build_object('listing_id', f.listing_id, 'text', f.text)), '[]')
    into v_products
    from (
        select n.listing_id, private.embedding_text(n.listing_id) as text
        from (
            select d.listing_id
            from private.search_documents as d
            left join private.product_embeddings as e
                on d.listing_id = e.listing_id
                and e.model = claim_embeddings.model
                and not e.is_stale
            where e.listing_id is null
            order by d.popularity desc, d.listing_id
            limit claim_embeddings.batch
        ) as n
    ) as f;

    select coalesce(jsonb_agg(f.query), '[]')
    into v_queries
    from (
        select s.query
        from private.searches as s
        left join private.query_embeddings as e
            on s.query = e.query and e.model = claim_embeddings.model
        where s.created_at > now() - interval '7 days' and e.query is null
        group by s.query
        having count(*) >= 2
        order by count(*) desc, s.query
        limit claim_embeddings.batch
    ) as f;
    return jsonb_build_object('products', v_products, 'queries', v_queries);
end
$$;

create or replace function service.record_embeddings(model text, vectors jsonb)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_products integer;
    v_queries integer;
begin
    insert into private.product_embeddings as e (listing_id, embedding, model, text_hash)
    select
        (p.item ->> 'listing_id')::uuid,
        (p.item ->> 'embedding')::extensions.halfvec(384),
        record_embeddings.model,
        md5(p.item ->> 'text')
    from jsonb_array_elements(record_embeddings.vectors -> 'products') as p (item)
    inner join private.search_documents as d on (p.item ->> 'listing_id')::uuid = d.listing_id
    order by 1
    on conflict on constraint product_embeddings_pkey do update
    set embedding = excluded.embedding,
        model = excluded.model,
        text_hash = excluded.text_hash,
        is_stale = false,
        embedded_at = now();
    get diagnostics v_products = row_count;

    insert into private.query_embeddings as e (query, embedding, model)
    select
        q.item ->> 'query',
        (q.item ->> 'embedding')::extensions.halfvec(384),
        record_embeddings.model
    from jsonb_array_elements(record_embeddings.vectors -> 'queries') as q (item)
    order by 1
    on conflict on constraint query_embeddings_pkey do update
    set embedding = excluded.embedding,
        model = excluded.model,
        embedded_at = now();
    get diagnostics v_queries = row_count;

    -- Twenty thousand queries are enough; the oldest are asked for anew if people still do.
    delete from private.query_embeddings as e
    where e.query in (
        select o.query
        from private.query_embeddings as o
        order by o.embedded_at desc, o.query
        offset 20000
    );
    return jsonb_build_object('products', v_products, 'queries', v_queries);
end
$$;

revoke all on function private.search_key(text) from public;
revoke all on function private.embedding_text(uuid) from public;
revoke all on function service.claim_embeddings(integer, text) from public;
revoke all on function service.record_embeddings(text, jsonb) from public;
grant execute on function service.claim_embeddings(integer, text) to mallgram_service;
grant execute on function service.record_embeddings(text, jsonb) to mallgram_service;

comment on function private.search_key(text) is
'A query as it is kept and compared: one line, lower case, at most 80 characters; null for none.';
comment on function private.embedding_text(uuid) is
'What is embedded of a listing: its names, its category and how its descriptions begin.';
comment on function service.claim_embeddings(integer, text) is
'What this model has not embedded yet, popular first: {products [{listing_id, text}], queries '
'[text]}; queries are those asked at least twice within a week. Definer because search is closed '
'to the service.';
comment on function service.record_embeddings(text, jsonb) is
'Keeps vectors of 384 numbers: {products [{listing_id, text, embedding}], queries [{query, '
'embedding}]}; how many of each. Definer because search is closed to the service.';
