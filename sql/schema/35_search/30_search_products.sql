create or replace function private.find_products(
    query text,
    category text,
    country text,
    language text,
    channel public.product_channel,
    min_price numeric,
    max_price numeric,
    min_rating numeric,
    in_stock boolean,
    sort text,
    cursor text,
    page_size integer
)
returns setof public.product_listing
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_language text := coalesce(find_products.language, private.caller_language());
    v_query text := nullif(
        btrim(regexp_replace(left(find_products.query, 200), '[[:cntrl:]]+', ' ', 'g')), ''
    );
    v_sort text := coalesce(
        find_products.sort, case when v_query is null then 'newest' else 'relevance' end
    );
    v_country text := coalesce(find_products.country, private.caller_country());
    v_filters private.search_filters;
    v_cursor jsonb;
    v_matches private.search_matches;
    v_walked_ids uuid [];
    v_ids uuid [];
    v_keys numeric [];
    v_relevances real [];
begin
    if v_language not in ('en', 'fr') then
        perform private.fail('language_unknown', left(v_language, 200));
    end if;
    if v_sort not in ('relevance', 'price_asc', 'price_desc', 'newest', 'rating') then
        perform private.fail('sort_unknown', left(v_sort, 200));
    end if;
    if find_products.page_size is null or find_products.page_size not between 1 and 100 then
        perform private.fail('page_size_invalid', find_products.page_size::text);
    end if;
    if not exists (select from public.countries as c where c.code = v_country) then
        perform private.fail('country_unknown', left(v_country, 200));
    end if;
    if find_products.category is not null then
        select private.category_and_descendants(c.id)
        into v_filters.categories
        from public.categories as c
        where c.slug = find_products.category and c.is_active;
        if not found then
            perform private.fail('category_not_found', left(find_products.category, 200));
        end if;
    end if;
    if v_query is null and v_sort = 'relevance' then
        v_sort := 'newest';
    end if;
    if find_products.cursor is not null then
        v_cursor := private.read_cursor(find_products.cursor, v_sort);
    end if;
    v_filters.country := v_country;
    v_filters.channel := find_products.channel;
    v_filters.min_rating := find_products.min_rating;
    v_filters.min_price := find_products.min_price;
    v_filters.max_price := find_products.max_price;
    v_filters.in_stock := find_products.in_stock;
    if v_query is not null and v_sort = 'relevance' then
        v_filters := private.narrow_by_price(v_filters);
        v_matches := private.match_listings(v_query, v_filters, v_language);
        v_matches := private.fill_matches(v_matches, v_filters, v_language);
        -- The next page of a list that goes by words goes by words, though the query's meaning has
        -- become known meanwhile: places of one measure are none of the other.
        if v_cursor is null or v_cursor ->> 's' = 'meaning' then
            v_matches := private.fuse_matches(v_matches, v_query, v_filters);
        end if;
    elsif v_query is not null and private.is_common(private.read_query(v_query), v_filters) then
        v_matches.words := private.read_query(v_query);
        v_matches.is_cut := true;
    elsif v_query is not null then
        v_matches := private.gather_listings(v_query, v_filters, 20000);
        if cardinality(v_matches.listing_ids) > 2500 then
            v_walked_ids := case when not v_matches.is_cut then v_matches.listing_ids end;
            v_matches.words := case when v_matches.is_cut then v_matches.words end;
            v_matches.is_cut := true;
        end if;
    end if;

    if v_query is null or v_sort <> 'relevance' and v_matches.is_cut then
        -- The whole shop, or so much of it that an order is sooner read off than made.
        select array_agg(w.listing_id order by w.place), array_agg(w.sort_key order by w.place)
        into v_ids, v_keys
        from private.walk_listings(
            v_matches.words, v_walked_ids, v_filters, v_sort, v_cursor, find_products.page_size
        ) as w;
    else
        select array_agg(p.listing_id), array_agg(p.sort_key), array_agg(p.relevance)
        into v_ids, v_keys, v_relevances
        from private.page_matches(
            v_matches, v_filters, v_sort, v_cursor, find_products.page_size
        ) as p;
    end if;
    return query
    select s.*
    from private.show_listings(
        v_ids, v_keys, v_relevances, v_country, v_language,
        case when v_matches.is_fused then 'meaning' else v_sort end
    ) as s;
end
$$;

revoke all on function private.find_products(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean, text, text,
    integer
) from public;
grant execute on function private.find_products(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean, text, text,
    integer
) to anon, authenticated, service_role;

comment on function private.find_products(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean, text, text,
    integer
) is
'Core of search_products. Definer because text operators are not leakproof: behind a policy none '
'of their indexes is used. It finds what is on sale and nothing else, whoever asks.';

create or replace function public.search_products(
    query text default null,
    category text default null,
    country text default null,
    language text default null,
    channel public.product_channel default null,
    min_price numeric default null,
    max_price numeric default null,
    min_rating numeric default null,
    in_stock boolean default null,
    sort text default null,
    cursor text default null,
    page_size integer default 24
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
    select f.*
    from private.find_products(
        search_products.query, search_products.category, search_products.country,
        search_products.language, search_products.channel, search_products.min_price,
        search_products.max_price, search_products.min_rating, search_products.in_stock,
        search_products.sort, search_products.cursor, search_products.page_size
    ) as f;
end
$$;

revoke all on function public.search_products(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean, text, text,
    integer
) from public;
grant execute on function public.search_products(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean, text, text,
    integer
) to anon, authenticated, service_role;

comment on function public.search_products(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean, text, text,
    integer
) is
'Products of both channels (channel null) or one, ranked, English and French, spelt nearly so when '
'nothing else matches. Prices are those of country (default: the caller''s, else ZA). sort: '
'relevance, price_asc, price_desc, newest, rating. The next page is asked with the last row''s '
'cursor. Errors: language_unknown, sort_unknown, page_size_invalid, country_unknown, '
'category_not_found, cursor_invalid.';
