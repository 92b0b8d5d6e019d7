create or replace function private.similar_products(
    product_id uuid, country text, language text, page_size integer
)
returns setof public.product_listing
language plpgsql
stable
security definer
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
    v_language text := coalesce(similar_products.language, private.caller_language());
    v_country text := coalesce(similar_products.country, private.caller_country());
    v_document private.search_documents;
    v_words tsquery;
    v_embedded private.product_embeddings;
    v_filters private.search_filters;
    v_matches private.search_matches;
    v_ids uuid [];
    v_keys numeric [];
    v_relevances real [];
begin
    if v_language not in ('en', 'fr') then
        perform private.fail('language_unknown', left(v_language, 200));
    end if;
    if not exists (select from public.countries as c where c.code = v_country) then
        perform private.fail('country_unknown', left(v_country, 200));
    end if;
    if similar_products.page_size is null or similar_products.page_size not between 1 and 100 then
        perform private.fail('page_size_invalid', similar_products.page_size::text);
    end if;
    select d.* into v_document
    from private.search_documents as d
    where d.listing_id = similar_products.product_id;
    if not found then
        perform private.fail('product_not_found', similar_products.product_id::text);
    end if;
    -- Any word of its name, in its own category and channel.
    select string_agg(quote_literal(w.lexeme), ' | ')::tsquery into v_words
    from unnest(v_document.search_en) as w
    where 'A' = any(w.weights);
    select array_agg(f.listing_id), array_agg(f.relevance)
    into v_matches.listing_ids, v_matches.relevances
    from (
        select
            d.listing_id,
            (ts_rank(d.search_en, v_words) * (1 + d.popularity / 100))::real as relevance
        from private.search_documents as d
        where d.category_id = v_document.category_id
            and d.channel = v_document.channel
            and d.listing_id <> v_document.listing_id
            and (d.search_en || d.search_fr) @@ v_words
        limit 600
    ) as f;
    -- And where its meaning is known, what is near to it.
    v_filters.categories := array[v_document.category_id];
    v_filters.channel := v_document.channel;
    v_filters.country := v_country;
    select e.* into v_embedded
    from private.product_embeddings as e
    where e.listing_id = v_document.listing_id;
    v_matches := private.fuse_embedding(
        v_matches, v_embedded.embedding, v_embedded.model, v_filters
    );
    select
        array_agg(f.listing_id order by f.relevance desc, f.listing_id),
        array_agg(-f.relevance::double precision::numeric order by f.relevance desc, f.listing_id),
        array_agg(f.relevance order by f.relevance desc, f.listing_id)
    into v_ids, v_keys, v_relevances
    from (
        select u.id as listing_id, u.relevance
        from unnest(v_matches.listing_ids, v_matches.relevances) as u (id, relevance)
        where u.id <> v_document.listing_id
            and exists (
                select
                from public.product_prices as pp
                inner join public.categories as g on pp.category_id = g.id and g.is_active
                where pp.listing_id = u.id and pp.country = v_country and pp.is_listed
            )
        order by u.relevance desc, u.id
        limit similar_products.page_size
    ) as f;
    return query
    select s.*
    from private.show_listings(
        v_ids, v_keys, v_relevances, v_country, v_language, 'relevance'
    ) as s;
end
$$;

create or replace function public.similar_products(
    product_id uuid,
    country text default null,
    language text default null,
    page_size integer default 12
)
returns setof public.product_listing
language plpgsql
stable
set search_path = ''
as $$
begin
    if private.is_not_modified() then
        return;
    end if;
    return query
    select s.*
    from private.similar_products(
        similar_products.product_id, similar_products.country, similar_products.language,
        similar_products.page_size
    ) as s;
end
$$;

revoke all on function private.similar_products(uuid, text, text, integer) from public;
revoke all on function public.similar_products(uuid, text, text, integer) from public;
grant execute on function private.similar_products(uuid, text, text, integer)
to anon, authenticated, service_role;
grant execute on function public.similar_products(uuid, text, text, integer)
to anon, authenticated, service_role;

comment on function private.similar_products(uuid, text, text, integer) is
'Core of similar_products. Definer because search is closed; it shows only what is on sale.';
comment on function public.similar_products(uuid, text, text, integer) is
'Products like this one, of its category and channel, by the words of its name and, where it is '
'known, by its meaning; prices of country. Errors: language_unknown, country_unknown, '
'page_size_invalid, product_not_found.';
