create or replace function private.product_facets(
    query text,
    category text,
    country text,
    language text,
    channel public.product_channel,
    min_price numeric,
    max_price numeric,
    min_rating numeric,
    in_stock boolean
)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_language text := coalesce(product_facets.language, private.caller_language());
    v_query text := nullif(
        btrim(regexp_replace(left(product_facets.query, 200), '[[:cntrl:]]+', ' ', 'g')), ''
    );
    v_country text := coalesce(product_facets.country, private.caller_country());
    v_categories uuid [];
    v_ids uuid [];
    v_matches private.search_matches;
    v_filters private.search_filters;
    v_words tsquery;
    v_most integer := 5000;
    v_facets jsonb;
begin
    if v_language not in ('en', 'fr') then
        perform private.fail('language_unknown', left(v_language, 200));
    end if;
    if not exists (select from public.countries as c where c.code = v_country) then
        perform private.fail('country_unknown', left(v_country, 200));
    end if;
    if product_facets.category is not null then
        select private.category_and_descendants(c.id)
        into v_categories
        from public.categories as c
        where c.slug = product_facets.category and c.is_active;
        if not found then
            perform private.fail('category_not_found', left(product_facets.category, 200));
        end if;
    end if;
    if v_query is not null then
        v_matches := private.gather_listings(v_query, null, v_most);
        v_filters.categories := v_categories;
        v_filters.channel := product_facets.channel;
        v_filters.min_rating := product_facets.min_rating;
        v_words := v_matches.words;
        -- Where the filters leave nothing, a list shows what it falls back on: that is counted.
        if v_matches.listing_ids is not null
            and private.gather_words(v_words, v_filters, 1) is null then
            v_words := (private.gather_listings(v_query, v_filters, 1)).words;
        end if;
        if v_words is distinct from v_matches.words then
            v_matches.listing_ids := private.gather_words(v_words, null, v_most);
            v_matches.is_cut := coalesce(cardinality(v_matches.listing_ids), 0) >= v_most;
        end if;
        v_ids := coalesce(v_matches.listing_ids, '{}');
    end if;

    -- Each facet counts with all filters but its own, so that it shows what a change would bring.
    with taken as materialized (
        select x.*
        from public.product_prices as x
        where v_ids is not null
            and x.listing_id = any(v_ids)
            and x.country = v_country
            and x.is_listed
        union all
        (
            select x.*
            from public.product_prices as x
            where v_ids is null and x.country = v_country and x.is_listed
                and (v_categories is null or x.category_id = any(v_categories))
            limit v_most
        )
    ),

    listing as materialized (
        select
            pp.listing_id, pp.category_id, pp.channel, pp.amount, pp.rating,
            v_categories is null or pp.category_id = any(v_categories) as in_category,
            product_facets.channel is null or pp.channel = product_facets.channel as in_channel,
            (product_facets.min_price is null or pp.amount >= product_facets.min_price)
            and (product_facets.max_price is null or pp.amount <= product_facets.max_price)
            as in_price,
            product_facets.min_rating is null or pp.rating >= product_facets.min_rating
            as in_rating
        from taken as pp
        inner join public.categories as g on pp.category_id = g.id and g.is_active
        where product_facets.in_stock is null
            or product_facets.in_stock = coalesce(
                (
                    select
                        s.available >= coalesce(
                            (
                                select p.min_order_quantity
                                from public.products_retailer as p
                                where p.id = s.retailer_product_id
                            ),
                            1
                        )
                    from public.product_stock as s
                    where s.listing_id = pp.listing_id
                ),
                false
            )
    )

    select jsonb_build_object(
        'country', v_country,
        'total', count(*) filter (
            where l.in_category and l.in_channel and l.in_price and l.in_rating
        ),
        'is_sample',
        coalesce(v_matches.is_cut, false)
        or v_query is null and (select count(*) from taken) >= v_most,
        'categories', (
            select coalesce(jsonb_agg(f.facet order by f.listings desc, f.slug), '[]')
            from (
                select
                    jsonb_build_object(
                        'category', g.slug,
                        'name', case when v_language = 'fr' then g.name_fr else g.name end,
                        'count', count(*)
                    ) as facet, count(*) as listings, g.slug
                from listing as x
                inner join public.categories as g on x.category_id = g.id
                where x.in_channel and x.in_price and x.in_rating
                group by g.id
            ) as f
        ),
        'channels', (
            select coalesce(jsonb_object_agg(f.channel, f.listings), '{}')
            from (
                select x.channel, count(*) as listings
                from listing as x
                where x.in_category and x.in_price and x.in_rating
                group by x.channel
            ) as f
        ),
        'ratings', (
            select
                jsonb_agg(
                    jsonb_build_object('min_rating', r.stars, 'count', (
                        select count(*)
                        from listing as x
                        where x.in_category and x.in_channel and x.in_price and x.rating >= r.stars
                    ))
                    order by r.stars desc
                )
            from (values (3), (4), (4.5)) as r (stars)
        ),
        'price', (
            select
                jsonb_build_object(
                    'min', min(x.amount), 'max', max(x.amount),
                    'currency', (
                        select c.currency from public.countries as c where c.code = v_country
                    ),
                    'quartiles', to_jsonb(
                        percentile_disc(array[0.25, 0.5, 0.75]) within group (order by x.amount)
                    )
                )
            from listing as x
            where x.in_category and x.in_channel and x.in_rating
        )
    )
    into v_facets
    from listing as l;
    if v_query is null
        and (v_facets ->> 'is_sample')::boolean
        and num_nonnulls(
            product_facets.min_price, product_facets.max_price, product_facets.in_stock
        ) = 0
        and coalesce(product_facets.min_rating, 3) in (3, 4, 4.5) then
        v_facets := v_facets || coalesce(
            private.counted_facets(
                v_categories, v_country, v_language, product_facets.channel,
                product_facets.min_rating
            ),
            '{}'
        );
    end if;
    return v_facets;
end
$$;

create or replace function private.counted_facets(
    categories uuid [],
    country text,
    language text,
    channel public.product_channel,
    min_rating numeric
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_facets jsonb;
begin
    with listing as materialized (
        select
            l.category_id, l.channel, l.listings, l.rated_3, l.rated_4, l.rated_45,
            case counted_facets.min_rating
                when 3 then l.rated_3
                when 4 then l.rated_4
                when 4.5 then l.rated_45
                else l.listings
            end as counted,
            counted_facets.channel is null or l.channel = counted_facets.channel as in_channel
        from private.listing_counts as l
        inner join public.categories as g on l.category_id = g.id and g.is_active
        where l.country = counted_facets.country
            and (
                counted_facets.categories is null
                or l.category_id = any(counted_facets.categories)
            )
    )

    select jsonb_build_object(
        'total', coalesce(sum(l.counted) filter (where l.in_channel), 0),
        'is_sample', false,
        'categories', (
            select coalesce(jsonb_agg(f.facet order by f.listings desc, f.slug), '[]')
            from (
                select
                    jsonb_build_object(
                        'category', g.slug,
                        'name', case
                            when counted_facets.language = 'fr' then g.name_fr else g.name
                        end,
                        'count', sum(x.counted)
                    ) as facet, sum(x.counted) as listings, g.slug
                from listing as x
                inner join public.categories as g on x.category_id = g.id
                where x.in_channel and x.counted > 0
                group by g.id
            ) as f
        ),
        'channels', (
            select coalesce(jsonb_object_agg(f.channel, f.listings), '{}')
            from (
                select x.channel, sum(x.counted) as listings
                from listing as x
                where x.counted > 0
                group by x.channel
            ) as f
        ),
        'ratings', jsonb_build_array(
            jsonb_build_object(
                'min_rating', 4.5, 'count',
                coalesce(sum(l.rated_45) filter (where l.in_channel), 0)
            ),
            jsonb_build_object(
                'min_rating', 4, 'count',
                coalesce(sum(l.rated_4) filter (where l.in_channel), 0)
            ),
            jsonb_build_object(
                'min_rating', 3, 'count',
                coalesce(sum(l.rated_3) filter (where l.in_channel), 0)
            )
        )
    )
    into v_facets
    from listing as l
    having count(*) > 0;
    return v_facets;
end
$$;

create or replace function public.product_facets(
    query text default null,
    category text default null,
    country text default null,
    language text default null,
    channel public.product_channel default null,
    min_price numeric default null,
    max_price numeric default null,
    min_rating numeric default null,
    in_stock boolean default null
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
    if private.is_not_modified() then
        return null;
    end if;
    return private.product_facets(
        product_facets.query, product_facets.category, product_facets.country,
        product_facets.language, product_facets.channel, product_facets.min_price,
        product_facets.max_price, product_facets.min_rating, product_facets.in_stock
    );
end
$$;

revoke all on function private.product_facets(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean
) from public;
revoke all on function private.counted_facets(
    uuid [], text, text, public.product_channel, numeric
) from public;
revoke all on function public.product_facets(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean
) from public;
grant execute on function private.product_facets(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean
) to anon, authenticated, service_role;
grant execute on function public.product_facets(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean
) to anon, authenticated, service_role;

comment on function private.product_facets(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean
) is
'Core of product_facets. Definer because search is closed; it counts only what is on sale.';
comment on function private.counted_facets(
    uuid [], text, text, public.product_channel, numeric
) is
'Facets of a whole branch from the counts that are made every few minutes: where there is more '
'than can be counted while somebody waits. Null before the first count.';
comment on function public.product_facets(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean
) is
'What a search or category holds, each facet counted with all filters but its own: {country, '
'total, is_sample, categories [{category, name, count}], channels, ratings [{min_rating, count}], '
'price {min, max, currency, quartiles}}. is_sample: there is more than was counted; prices are of '
'at most 5,000 listings. Errors: language_unknown, country_unknown, category_not_found.';
