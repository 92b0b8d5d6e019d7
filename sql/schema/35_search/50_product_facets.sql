-- What stands beside a list: how much there is of each choice. What is few is counted one by one;
-- a branch is read off the counts that are made every few minutes; of the rest, which no count
-- knows, some of the table's pages tell about how much there is.

create type private.facet_listing as (
    listing_id uuid,
    category_id uuid,
    channel public.product_channel,
    amount numeric(12, 2),
    rating numeric(3, 2)
);

comment on type private.facet_listing is 'A listing as facets count it, at its country''s price.';

create or replace function private.is_few(filters private.search_filters, most integer)
returns boolean
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
    v_filters private.search_filters := is_few.filters;
begin
    -- An index a question: where one of them leads to few, the other filters are soon asked.
    return (
        select count(*) <= is_few.most
        from (
            select 1
            from public.product_prices as pp
            where pp.country = v_filters.country
                and pp.is_listed
                and (v_filters.categories is null or pp.category_id = any(v_filters.categories))
                and (v_filters.min_rating is null or pp.rating >= v_filters.min_rating)
            limit is_few.most + 1
        ) as f
    )
    or num_nonnulls(v_filters.min_price, v_filters.max_price) > 0
    and (
        select count(*) <= is_few.most
        from (
            select 1
            from public.product_prices as pp
            where pp.country = v_filters.country
                and (
                    v_filters.categories is null
                    or pp.is_listed and pp.category_id = any(v_filters.categories)
                )
                and pp.amount >= coalesce(v_filters.min_price, 0)
                and pp.amount <= coalesce(v_filters.max_price, 'Infinity')
            limit is_few.most + 1
        ) as f
    )
    or v_filters.channel = 'wholesale'
    and (
        select count(*) <= is_few.most
        from (
            select 1
            from public.product_prices as pp
            where pp.retailer_product_id is not null
            limit is_few.most + 1
        ) as f
    );
end
$$;

create or replace function private.take_listings(filters private.search_filters)
returns private.facet_listing []
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
    v_filters private.search_filters := take_listings.filters;
begin
    return array(
        select
            row(pp.listing_id, pp.category_id, pp.channel, pp.amount, pp.rating)
            ::private.facet_listing
        from public.product_prices as pp
        where pp.country = v_filters.country
            and pp.is_listed
            and (v_filters.listing_ids is null or pp.listing_id = any(v_filters.listing_ids))
            and (v_filters.categories is null or pp.category_id = any(v_filters.categories))
            and (v_filters.channel is null or pp.channel = v_filters.channel)
            -- The same once more, as an index knows it.
            and (
                v_filters.channel is distinct from 'wholesale'
                or pp.retailer_product_id is not null
            )
            and (v_filters.min_price is null or pp.amount >= v_filters.min_price)
            and (v_filters.max_price is null or pp.amount <= v_filters.max_price)
            and (v_filters.min_rating is null or pp.rating >= v_filters.min_rating)
    );
end
$$;

create or replace function private.sample_listings(country text, share numeric, one_in integer)
returns private.facet_listing []
language plpgsql
stable
set search_path = ''
as $$
begin
    -- The same ones each time, so that who asks again is told the same.
    return array(
        select
            row(pp.listing_id, pp.category_id, pp.channel, pp.amount, pp.rating)
            ::private.facet_listing
        from public.product_prices as pp
        tablesample system (100 * sample_listings.share) repeatable (0)
        where pp.country = sample_listings.country
            and pp.is_listed
            and uuid_hash(pp.listing_id) % sample_listings.one_in = 0
    );
end
$$;

create or replace function private.price_ends(filters private.search_filters, most integer)
returns table (lowest numeric, highest numeric, is_found boolean)
language plpgsql
stable
set search_path = ''
as $$
declare
    v_filters private.search_filters := price_ends.filters;
    v_categories uuid [] := array(
        select distinct l.category_id
        from private.listing_counts as l
        inner join public.categories as g on l.category_id = g.id and g.is_active
        where l.country = v_filters.country
            and (v_filters.categories is null or l.category_id = any(v_filters.categories))
            and (v_filters.channel is null or l.channel = v_filters.channel)
            and case v_filters.min_rating
                when 3 then l.rated_3
                when 4 then l.rated_4
                when 4.5 then l.rated_45
                else l.listings
            end > 0
    );
    v_most integer;
    -- Constants only: nothing of a caller's becomes SQL. Each category is read off in the order of
    -- its prices, up to the first that the filters leave and no further than so many.
    v_end text :=
        'select %1$s(e.amount), coalesce(bool_and(e.amount is not null), true) '
        'from unnest($1) as c (id) left join lateral (select x.amount from ('
        'select pp.listing_id, pp.amount, pp.channel, pp.rating '
        'from public.product_prices as pp '
        'where pp.country = $2 and pp.category_id = c.id and pp.is_listed '
        'order by pp.amount %2$s, pp.listing_id %2$s limit $6) as x '
        'where ($3 is null or x.channel = $3) and ($4 is null or x.rating >= $4) '
        'and ($5 is null or $5 = coalesce((select s.available >= coalesce(('
        'select p.min_order_quantity from public.products_retailer as p '
        'where p.id = s.retailer_product_id), 1) from public.product_stock as s '
        'where s.listing_id = x.listing_id), false)) '
        'order by x.amount %2$s, x.listing_id %2$s limit 1) as e on true';
    v_is_found boolean;
begin
    -- Before the first count nobody knows which of them have any.
    if not exists (
        select from private.listing_counts as l
        where l.country = v_filters.country
            and (v_filters.categories is null or l.category_id = any(v_filters.categories))
    ) then
        v_categories := array(
            select g.id
            from public.categories as g
            where g.is_active
                and (v_filters.categories is null or g.id = any(v_filters.categories))
        );
    end if;
    v_most := greatest(200, price_ends.most / greatest(cardinality(v_categories), 1));
    execute format(v_end, 'min', 'asc')
    into lowest, is_found
    using v_categories, v_filters.country, v_filters.channel, v_filters.min_rating,
        v_filters.in_stock, v_most;
    execute format(v_end, 'max', 'desc')
    into highest, v_is_found
    using v_categories, v_filters.country, v_filters.channel, v_filters.min_rating,
        v_filters.in_stock, v_most;
    is_found := is_found and v_is_found;
    return next;
end
$$;

create or replace function private.count_facets(
    filters private.search_filters,
    language text,
    listings private.facet_listing [],
    share numeric,
    is_counted boolean
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_filters private.search_filters := count_facets.filters;
    v_facets jsonb;
begin
    with looked_at as materialized (
        select
            x.category_id, x.channel, x.amount, x.rating,
            (v_filters.categories is null or x.category_id = any(v_filters.categories))
            and (v_filters.channel is null or x.channel = v_filters.channel)
            and (v_filters.min_price is null or x.amount >= v_filters.min_price)
            and (v_filters.max_price is null or x.amount <= v_filters.max_price)
            and (v_filters.min_rating is null or x.rating >= v_filters.min_rating)
            and (
                v_filters.in_stock is null
                or v_filters.in_stock = coalesce(
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
                        where s.listing_id = x.listing_id
                    ),
                    false
                )
            ) as is_in
        from unnest(count_facets.listings) as x
    ),

    part as (
        select
            x.category_id, x.channel, count(*) as looked_at,
            count(*) filter (where x.is_in) as listings,
            count(*) filter (where x.is_in and x.rating >= 3) as rated_3,
            count(*) filter (where x.is_in and x.rating >= 4) as rated_4,
            count(*) filter (where x.is_in and x.rating >= 4.5) as rated_45
        from looked_at as x
        group by x.category_id, x.channel
    ),

    -- A part stands for all of its shelf, where that has been counted, and a little more: for the
    -- shelves of which nothing was looked at.
    weighed as (
        select
            p.category_id, p.channel, p.listings, p.rated_3, p.rated_4, p.rated_45,
            case
                when count_facets.share = 1 then 1
                else coalesce(
                    l.listings::numeric / p.looked_at
                    * (
                        select sum(a.listings)
                        from private.listing_counts as a
                        where a.country = v_filters.country and a.channel = p.channel
                    )
                    / sum(l.listings) over (partition by p.channel),
                    1 / count_facets.share
                )
            end as weight
        from part as p
        left join private.listing_counts as l
            on l.country = v_filters.country
                and p.category_id = l.category_id
                and p.channel = l.channel
    ),

    shelf as (
        select
            l.category_id, l.channel, l.rated_3, l.rated_4, l.rated_45,
            case v_filters.min_rating
                when 3 then l.rated_3
                when 4 then l.rated_4
                when 4.5 then l.rated_45
                else l.listings
            end as listings
        from private.listing_counts as l
        where count_facets.is_counted
            and l.country = v_filters.country
            and (v_filters.categories is null or l.category_id = any(v_filters.categories))
            and (v_filters.channel is null or l.channel = v_filters.channel)
        union all
        select
            w.category_id, w.channel, round(w.rated_3 * w.weight), round(w.rated_4 * w.weight),
            round(w.rated_45 * w.weight), round(w.listings * w.weight)
        from weighed as w
        where not count_facets.is_counted
    ),

    shown as materialized (
        select
            s.*, g.slug,
            case when count_facets.language = 'fr' then g.name_fr else g.name end as name
        from shelf as s
        inner join public.categories as g on s.category_id = g.id and g.is_active
        where s.listings > 0
    )

    select jsonb_build_object(
        'total', coalesce(sum(s.listings), 0),
        'categories', (
            select
                coalesce(
                    jsonb_agg(
                        jsonb_build_object('category', f.slug, 'name', f.name, 'count', f.listings)
                        order by f.listings desc, f.slug
                    ), '[]'
                )
            from (
                select x.slug, x.name, sum(x.listings) as listings
                from shown as x
                group by x.slug, x.name
            ) as f
        ),
        'channels', (
            select coalesce(jsonb_object_agg(f.channel, f.listings), '{}')
            from (
                select x.channel, sum(x.listings) as listings
                from shown as x
                group by x.channel
            ) as f
        ),
        'ratings', jsonb_build_array(
            jsonb_build_object('min_rating', 4.5, 'count', coalesce(sum(s.rated_45), 0)),
            jsonb_build_object('min_rating', 4, 'count', coalesce(sum(s.rated_4), 0)),
            jsonb_build_object('min_rating', 3, 'count', coalesce(sum(s.rated_3), 0))
        ),
        'price', (
            select
                jsonb_build_object(
                    'min', min(x.amount), 'max', max(x.amount),
                    'currency', (
                        select c.currency
                        from public.countries as c
                        where c.code = v_filters.country
                    ),
                    'quartiles', to_jsonb(
                        percentile_disc(array[0.25, 0.5, 0.75]) within group (order by x.amount)
                    )
                )
            from looked_at as x
            inner join public.categories as g on x.category_id = g.id and g.is_active
            where x.is_in
        )
    )
    into v_facets
    from shown as s;
    return v_facets;
end
$$;

create or replace function private.gather_facets(filters private.search_filters, language text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_filters private.search_filters := gather_facets.filters;
    v_set private.search_filters;
    v_part text;
    v_own jsonb;
    v_is_priced boolean;
    v_is_counted boolean;
    v_is_sample boolean := false;
    -- Five hundred pages: some fifteen thousand listings, where there are two countries. Who asks
    -- for stock has fewer looked at, for each is looked up in another table.
    v_share numeric := least(
        1,
        500.0 * current_setting('block_size')::integer
        / greatest(pg_relation_size('public.product_prices'), 1)
    );
    v_one_in integer := case when v_share < 1 and v_filters.in_stock is not null then 3 else 1 end;
    v_most integer := case when v_filters.in_stock is null then 10000 else 5000 end;
    v_sample private.facet_listing [];
    v_counted jsonb;
    v_ends record;
    v_facets jsonb := '{}'::jsonb;
begin
    if v_filters.listing_ids is not null then
        -- What has been found is all there is.
        v_set.country := v_filters.country;
        v_set.listing_ids := v_filters.listing_ids;
        v_sample := private.take_listings(v_set);
        v_share := 1;
        v_one_in := 1;
    end if;
    -- First all that has no filter of its own, then each facet with all filters but its own, so
    -- that it shows what a change would bring.
    for v_part, v_own, v_is_priced in
        select f.part, f.own, f.is_priced
        from (
            values
            (null, '{}'::jsonb, true, num_nonnulls(v_filters.min_price, v_filters.max_price) = 0),
            ('categories', '{"categories": null}', v_filters.categories is not null, false),
            ('channels', '{"channel": null}', v_filters.channel is not null, false),
            ('ratings', '{"min_rating": null}', v_filters.min_rating is not null, false),
            (
                'price', '{"min_price": null, "max_price": null}',
                num_nonnulls(v_filters.min_price, v_filters.max_price) > 0, true
            )
        ) as f (part, own, is_asked, is_priced)
        where f.is_asked
    loop
        v_set := jsonb_populate_record(v_filters, v_own);
        v_is_counted := v_set.listing_ids is null
            and num_nonnulls(v_set.min_price, v_set.max_price, v_set.in_stock) = 0
            and coalesce(v_set.min_rating, 3) in (3, 4, 4.5)
            and exists (
                select from private.listing_counts as l
                where l.country = v_set.country
                    and (v_set.categories is null or l.category_id = any(v_set.categories))
            );
        if v_set.listing_ids is null
            and private.is_few(v_set, case when v_is_counted then 5000 else v_most end) then
            v_counted := private.count_facets(
                v_set, gather_facets.language, private.take_listings(v_set), 1, false
            );
        else
            if v_sample is null and (v_is_priced or not v_is_counted) then
                v_sample := private.sample_listings(v_set.country, v_share, v_one_in);
            end if;
            v_counted := private.count_facets(
                v_set, gather_facets.language,
                case when v_is_priced or not v_is_counted then v_sample end,
                v_share / v_one_in, v_is_counted
            );
            v_is_sample := v_is_sample
                or v_share < 1 and not v_is_counted and v_part is distinct from 'price';
            if v_share < 1 and v_is_priced then
                select e.* into v_ends from private.price_ends(v_set, 10000) as e;
                v_counted := jsonb_set(
                    v_counted, '{price}',
                    v_counted -> 'price' || jsonb_build_object(
                        'min', least(v_ends.lowest, (v_counted #>> '{price,min}')::numeric),
                        'max', greatest(v_ends.highest, (v_counted #>> '{price,max}')::numeric)
                    )
                );
                v_is_sample := v_is_sample or not v_ends.is_found;
            end if;
        end if;
        v_facets := v_facets || case
            when v_part is null then v_counted
            else jsonb_build_object(v_part, v_counted -> v_part)
        end;
    end loop;
    return v_facets || jsonb_build_object('is_sample', v_is_sample);
end
$$;

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
        into v_filters.categories
        from public.categories as c
        where c.slug = product_facets.category and c.is_active;
        if not found then
            perform private.fail('category_not_found', left(product_facets.category, 200));
        end if;
    end if;
    v_filters.country := v_country;
    v_filters.channel := product_facets.channel;
    v_filters.min_price := product_facets.min_price;
    v_filters.max_price := product_facets.max_price;
    v_filters.min_rating := product_facets.min_rating;
    v_filters.in_stock := product_facets.in_stock;
    if v_query is not null then
        v_matches := private.gather_listings(v_query, null, v_most);
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
        v_filters.listing_ids := coalesce(v_matches.listing_ids, '{}');
    end if;
    v_facets := private.gather_facets(v_filters, v_language)
        || jsonb_build_object('country', v_country);
    if v_matches.is_cut then
        v_facets := v_facets || '{"is_sample": true}';
    end if;
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

revoke all on function private.is_few(private.search_filters, integer) from public;
revoke all on function private.take_listings(private.search_filters) from public;
revoke all on function private.sample_listings(text, numeric, integer) from public;
revoke all on function private.price_ends(private.search_filters, integer) from public;
revoke all on function private.count_facets(
    private.search_filters, text, private.facet_listing [], numeric, boolean
) from public;
revoke all on function private.gather_facets(private.search_filters, text) from public;
revoke all on function private.product_facets(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean
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

comment on function private.is_few(private.search_filters, integer) is
'Whether no more than so many listings have to be looked at to know which the filters leave.';
comment on function private.take_listings(private.search_filters) is
'Every listing that the filters leave; stock is not asked.';
comment on function private.sample_listings(text, numeric, integer) is
'The listings of a country, or one in so many, on about this share (0 to 1) of the table''s pages.';
comment on function private.price_ends(private.search_filters, integer) is
'The lowest and the highest price that the filters leave, whatever prices they ask for. Where a '
'category was read as far as its part of so many listings and none was left, is_found is false.';
comment on function private.count_facets(
    private.search_filters, text, private.facet_listing [], numeric, boolean
) is
'Facets of what the filters leave of these listings, which are such a share of all. is_counted: '
'their numbers are those of the last count, of the listings come only the prices.';
comment on function private.gather_facets(private.search_filters, text) is
'Facets of what the filters leave, and whether any of it is an estimate.';
comment on function private.product_facets(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean
) is
'Core of product_facets. Definer because search is closed; it counts only what is on sale.';
comment on function public.product_facets(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean
) is
'What a search or category holds, each facet counted with all filters but its own: {country, '
'total, is_sample, categories [{category, name, count}], channels, ratings [{min_rating, count}], '
'price {min, max, currency, quartiles}}. is_sample with a query: there is more than the 5,000 '
'listings that were counted. Without: there are more than 10,000, and counts are estimates, or a '
'price beyond min and max may have been missed. The shop and its categories, by channel and by 3, '
'4 or 4.5 stars, are counted every few minutes beyond 5,000; quartiles are then a sample''s, '
'whatever is_sample says. Errors: language_unknown, country_unknown, category_not_found.';
