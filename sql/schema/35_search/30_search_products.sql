create type public.product_listing as (
    product_id uuid,
    channel public.product_channel,
    name text,
    category text,
    price numeric(12, 2),
    currency text,
    country text,
    rating numeric(3, 2),
    review_count integer,
    min_order_quantity integer,
    in_stock boolean,
    image text,
    created_at timestamptz,
    relevance real,
    cursor text
);

comment on type public.product_listing is
'A product as a list shows it: name in the reader''s language, price of one piece in the country, '
'category as its slug, image as bucket/path in Storage, cursor for the page after this row.';

create or replace function private.read_cursor(cursor text, sort text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_cursor jsonb;
begin
    v_cursor := convert_from(decode(read_cursor.cursor, 'base64'), 'utf8')::jsonb;
    if v_cursor ->> 's' is distinct from read_cursor.sort
        or (v_cursor ->> 'k')::numeric is null
        or (v_cursor ->> 'i')::uuid is null then
        perform private.fail('cursor_invalid', left(read_cursor.cursor, 200));
    end if;
    return v_cursor;
exception
    when data_exception then
        perform private.fail('cursor_invalid', left(read_cursor.cursor, 200));
        return null;
end
$$;

revoke all on function private.read_cursor(text, text) from public;

comment on function private.read_cursor(text, text) is
'A list''s cursor {s: sort, k: key, i: id}. Error: cursor_invalid.';

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
    v_en tsquery := websearch_to_tsquery('private.search_en'::regconfig, v_query);
    v_fr tsquery := websearch_to_tsquery('private.search_fr'::regconfig, v_query);
    v_categories uuid [];
    v_cursor jsonb;
    v_is_typo boolean := false;
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
        into v_categories
        from public.categories as c
        where c.slug = find_products.category and c.is_active;
        if not found then
            perform private.fail('category_not_found', left(find_products.category, 200));
        end if;
    end if;
    if find_products.cursor is not null then
        v_cursor := private.read_cursor(find_products.cursor, v_sort);
    end if;
    if v_query is not null then
        -- Nothing found by words: look for words that are spelt nearly so.
        v_is_typo := not exists (
            select
            from public.products as p
            where p.is_active and (p.search_en @@ v_en or p.search_fr @@ v_fr)
        ) and not exists (
            select
            from public.products_retailer as p
            where p.is_active and (p.search_en @@ v_en or p.search_fr @@ v_fr)
        );
        -- No product is found by its sixty-fifth character, but each costs.
        v_query := left(v_query, 64);
        perform set_config('pg_trgm.word_similarity_threshold', '0.45', true);
    end if;

    return query
    with candidate as (
        -- Ranking costs by the match: a common word is ranked over 2,000 of its matches at most.
        (
            select
                p.id, 'retail'::public.product_channel as channel, p.name, p.name_fr,
                p.category_id, p.seller_rating, p.review_count, 1 as min_order_quantity,
                p.created_at, p.search_en, p.search_fr
            from public.products as p
            where p.is_active
                and find_products.channel is distinct from 'wholesale'
                and (
                    v_query is null
                    or not v_is_typo and (p.search_en @@ v_en or p.search_fr @@ v_fr)
                    or v_is_typo
                    and (p.name || ' ' || coalesce(p.name_fr, ''))
                    operator(extensions.%>) v_query
                )
                and (v_categories is null or p.category_id = any(v_categories))
                and (
                    find_products.min_rating is null
                    or p.seller_rating >= find_products.min_rating
                )
            limit case when v_query is not null then 2000 end
        )
        union all
        (
            select
                p.id, 'wholesale', p.name, p.name_fr,
                p.category_id, p.seller_rating, p.review_count, p.min_order_quantity,
                p.created_at, p.search_en, p.search_fr
            from public.products_retailer as p
            where p.is_active
                and find_products.channel is distinct from 'retail'
                and (
                    v_query is null
                    or not v_is_typo and (p.search_en @@ v_en or p.search_fr @@ v_fr)
                    or v_is_typo
                    and (p.name || ' ' || coalesce(p.name_fr, ''))
                    operator(extensions.%>) v_query
                )
                and (v_categories is null or p.category_id = any(v_categories))
                and (
                    find_products.min_rating is null
                    or p.seller_rating >= find_products.min_rating
                )
            limit case when v_query is not null then 2000 end
        )
    ),

    priced as (
        select
            c.id, c.channel, c.name, c.name_fr, g.slug, c.seller_rating, c.review_count,
            c.min_order_quantity, c.created_at, pp.amount, pp.currency,
            coalesce(s.available >= c.min_order_quantity, false) as is_available,
            case
                when v_query is null then 0
                when v_is_typo then extensions.word_similarity(
                    v_query, c.name || ' ' || coalesce(c.name_fr, '')
                )
                -- the reader's own language counts double
                else ts_rank(c.search_en, v_en) * case when v_language = 'en' then 2 else 1 end
                    + ts_rank(c.search_fr, v_fr) * case when v_language = 'fr' then 2 else 1 end
            end::real as relevance
        from candidate as c
        -- joined before the page is cut: a category that is off sale must not shorten a page
        inner join public.categories as g on c.category_id = g.id and g.is_active
        inner join public.product_prices as pp
            on c.id = pp.listing_id and pp.country = v_country
        left join public.product_stock as s on c.id = s.listing_id
        where (find_products.min_price is null or pp.amount >= find_products.min_price)
            and (find_products.max_price is null or pp.amount <= find_products.max_price)
            and (
                find_products.in_stock is null
                or coalesce(s.available >= c.min_order_quantity, false) = find_products.in_stock
            )
    ),

    keyed as (
        select
            p.*,
            case v_sort
                when 'relevance' then -p.relevance::numeric
                when 'price_asc' then p.amount
                when 'price_desc' then -p.amount
                when 'newest' then -extract(epoch from p.created_at)
                when 'rating' then -coalesce(p.seller_rating, 0)
            end as sort_key
        from priced as p
    ),

    page as (
        select k.*
        from keyed as k
        where v_cursor is null
            or (k.sort_key, k.id) > ((v_cursor ->> 'k')::numeric, (v_cursor ->> 'i')::uuid)
        order by k.sort_key, k.id
        limit find_products.page_size
    )

    select
        p.id,
        p.channel,
        case when v_language = 'fr' then coalesce(p.name_fr, p.name) else p.name end,
        p.slug,
        p.amount,
        p.currency,
        v_country,
        p.seller_rating,
        p.review_count,
        p.min_order_quantity,
        p.is_available,
        m.storage_path,
        p.created_at,
        p.relevance,
        translate(
            encode(
                convert_to(
                    jsonb_build_object('s', v_sort, 'k', p.sort_key, 'i', p.id)::text, 'utf8'
                ), 'base64'
            ), e'\n', ''
        )
    from page as p
    left join public.product_media as m on p.id = m.listing_id and m.position = 0
    order by p.sort_key, p.id;
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
    return query
    select *
    from private.find_products(
        search_products.query, search_products.category, search_products.country,
        search_products.language, search_products.channel, search_products.min_price,
        search_products.max_price, search_products.min_rating, search_products.in_stock,
        search_products.sort, search_products.cursor, search_products.page_size
    );
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
