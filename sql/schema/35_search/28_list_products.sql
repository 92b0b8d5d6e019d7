-- Lists of products: read off an index in an order, or made of matches; a page at a time.

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

create type private.walked_listing as (
    listing_id uuid,
    sort_key numeric,
    place bigint
);

comment on type private.walked_listing is 'A listing read off in an order, its key in that order.';

create or replace function private.read_cursor(cursor text, sort text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_cursor jsonb;
begin
    if char_length(read_cursor.cursor) <= 512 then
        v_cursor := convert_from(decode(read_cursor.cursor, 'base64'), 'utf8')::jsonb;
    end if;
    -- No moment and no price is beyond a hundred thousand millions, nor a review's stars before its
    -- moment beyond ten times that.
    if v_cursor ->> 's' is distinct from read_cursor.sort
        and not (v_cursor ->> 's' = 'meaning' and read_cursor.sort = 'relevance')
        or coalesce(
            abs((v_cursor ->> 'k')::numeric)
            > case
                when read_cursor.sort in ('highest', 'lowest') then 1000000000000
                else 100000000000
            end,
            true
        )
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

create or replace function private.walk_listings(
    words tsquery,
    listing_ids uuid [],
    filters private.search_filters,
    sort text,
    cursor jsonb,
    page_size integer
)
returns setof private.walked_listing
language plpgsql
stable
set search_path = ''
as $$
declare
    -- Constants only: nothing of a caller's becomes SQL.
    v_key text := case walk_listings.sort
        when 'newest' then 'listed_at' when 'rating' then 'rating' else 'amount' end;
    v_way text := case when walk_listings.sort = 'price_asc' then 'asc' else 'desc' end;
    v_beyond text := case when walk_listings.sort = 'price_asc' then '>' else '<' end;
    v_value text := case walk_listings.sort
        when 'newest' then '-extract(epoch from pp.listed_at)'
        when 'price_asc' then 'pp.amount'
        else format('-pp.%s', case walk_listings.sort when 'rating' then 'rating' else 'amount' end)
    end;
    v_from text := case walk_listings.sort
        when 'newest' then 'to_timestamp(-($7 ->> ''k'')::numeric)'
        when 'price_asc' then '($7 ->> ''k'')::numeric'
        else '-($7 ->> ''k'')::numeric'
    end;
    v_filters private.search_filters := walk_listings.filters;
    v_where text := '';
begin
    if walk_listings.cursor is not null then
        v_where := v_where || format(
            ' and (pp.%s, pp.listing_id) %s (%s, ($7 ->> ''i'')::uuid)', v_key, v_beyond, v_from
        );
    end if;
    if v_filters.channel is not null then
        v_where := v_where || ' and pp.channel = $3';
    end if;
    if v_filters.min_price is not null then
        v_where := v_where || ' and pp.amount >= $4';
    end if;
    if v_filters.max_price is not null then
        v_where := v_where || ' and pp.amount <= $5';
    end if;
    if v_filters.min_rating is not null then
        v_where := v_where || ' and pp.rating >= $6';
    end if;
    if v_filters.in_stock is not null then
        v_where := v_where || ' and $9 = coalesce((select s.available >= coalesce(('
            'select p.min_order_quantity from public.products_retailer as p '
            'where p.id = s.retailer_product_id), 1) from public.product_stock as s '
            'where s.listing_id = pp.listing_id), false)';
    end if;
    if walk_listings.words is not null then
        v_where := v_where || ' and exists (select from private.search_documents as d '
            || 'where d.listing_id = pp.listing_id '
            || 'and (d.search_en || d.search_fr) @@ $10)';
    end if;
    if walk_listings.listing_ids is not null then
        -- Looked up in a hash while walking; as a join it would be sorted first.
        v_where := v_where
            || ' and (pp.listing_id is null or pp.listing_id in (select unnest($11)))';
    end if;
    if v_filters.categories is null then
        return query execute format(
            'select w.listing_id, w.sort_key, row_number() over () from ('
            'select pp.listing_id, %1$s as sort_key from public.product_prices as pp '
            'where pp.country = $1 and pp.is_listed and exists ('
            'select from public.categories as g where g.id = pp.category_id and g.is_active)%2$s '
            'order by pp.%3$s %4$s, pp.listing_id %4$s limit $8) as w',
            v_value, v_where, v_key, v_way
        )
        using v_filters.country, v_filters.categories, v_filters.channel,
            v_filters.min_price, v_filters.max_price, v_filters.min_rating,
            walk_listings.cursor, walk_listings.page_size, v_filters.in_stock,
            walk_listings.words, walk_listings.listing_ids;
    else
        -- Each category of the branch is read off in the order, the first of all make the page.
        return query execute format(
            'select w.listing_id, w.sort_key, '
            'row_number() over (order by w.ordered %4$s, w.listing_id %4$s) from ('
            'select b.listing_id, b.sort_key, b.ordered from unnest($2) as c (id) '
            'cross join lateral (select pp.listing_id, %1$s as sort_key, pp.%3$s as ordered '
            'from public.product_prices as pp '
            'where pp.country = $1 and pp.category_id = c.id and pp.is_listed%2$s '
            'order by pp.%3$s %4$s, pp.listing_id %4$s limit $8) as b '
            'order by b.ordered %4$s, b.listing_id %4$s limit $8) as w',
            v_value, v_where, v_key, v_way
        )
        using v_filters.country, v_filters.categories, v_filters.channel,
            v_filters.min_price, v_filters.max_price, v_filters.min_rating,
            walk_listings.cursor, walk_listings.page_size, v_filters.in_stock,
            walk_listings.words, walk_listings.listing_ids;
    end if;
end
$$;

create or replace function private.page_matches(
    matches private.search_matches,
    filters private.search_filters,
    sort text,
    cursor jsonb,
    page_size integer
)
returns table (listing_id uuid, sort_key numeric, relevance real)
language plpgsql
stable
set search_path = ''
as $$
declare
    v_filters private.search_filters := page_matches.filters;
    v_after_relevance real;
    v_after_id uuid := (page_matches.cursor ->> 'i')::uuid;
begin
    if page_matches.sort = 'relevance' then
        -- As exact as it was, and no smaller than a real can be.
        v_after_relevance := -round((page_matches.cursor ->> 'k')::numeric, 30);
        -- Down from the most relevant, and no further than the page is full. All are sorted: as
        -- reals, which is three times as fast as by the key that the cursor shows.
        return query
        select m.id, -m.relevance::double precision::numeric, m.relevance
        from (
            select u.id, u.relevance
            from unnest(
                page_matches.matches.listing_ids, page_matches.matches.relevances
            ) as u (id, relevance)
            where page_matches.cursor is null
                or u.relevance < v_after_relevance
                or u.relevance = v_after_relevance and u.id > v_after_id
            order by u.relevance desc, u.id
        ) as m
        cross join lateral (
            select 1
            from public.product_prices as pp
            inner join public.categories as g on pp.category_id = g.id and g.is_active
            where pp.listing_id = m.id
                and pp.country = v_filters.country
                and pp.is_listed
                and (v_filters.min_price is null or pp.amount >= v_filters.min_price)
                and (v_filters.max_price is null or pp.amount <= v_filters.max_price)
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
                            where s.listing_id = pp.listing_id
                        ),
                        false
                    )
                )
            limit 1
        ) as x
        limit page_matches.page_size;
        return;
    end if;
    return query
    select k.listing_id, k.sort_key, k.relevance
    from (
        select
            pp.listing_id,
            m.relevance,
            case page_matches.sort
                when 'price_asc' then pp.amount
                when 'price_desc' then -pp.amount
                when 'newest' then -extract(epoch from pp.listed_at)
                when 'rating' then -pp.rating
            end as sort_key
        from unnest(
            page_matches.matches.listing_ids, page_matches.matches.relevances
        ) as m (id, relevance)
        inner join public.product_prices as pp
            on m.id = pp.listing_id and pp.country = v_filters.country and pp.is_listed
        inner join public.categories as g on pp.category_id = g.id and g.is_active
        where (v_filters.min_price is null or pp.amount >= v_filters.min_price)
            and (v_filters.max_price is null or pp.amount <= v_filters.max_price)
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
                        where s.listing_id = pp.listing_id
                    ),
                    false
                )
            )
    ) as k
    -- Equal keys go in the direction of the sort, as walk_listings reads them off.
    where page_matches.cursor is null
        or k.sort_key > (page_matches.cursor ->> 'k')::numeric
        or k.sort_key = (page_matches.cursor ->> 'k')::numeric
        and case page_matches.sort
            when 'price_asc' then k.listing_id > (page_matches.cursor ->> 'i')::uuid
            else k.listing_id < (page_matches.cursor ->> 'i')::uuid
        end
    order by
        k.sort_key, case page_matches.sort when 'price_asc' then k.listing_id end,
        k.listing_id desc
    limit page_matches.page_size;
end
$$;

create or replace function private.show_listings(
    listing_ids uuid [],
    sort_keys numeric [],
    relevances real [],
    country text,
    language text,
    sort text
)
returns setof public.product_listing
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
    select
        l.id,
        pp.channel,
        case when show_listings.language = 'fr' then coalesce(l.name_fr, l.name) else l.name end,
        g.slug,
        pp.amount,
        pp.currency,
        pp.country,
        l.seller_rating,
        l.review_count,
        l.min_order_quantity,
        coalesce(s.available >= l.min_order_quantity, false),
        m.storage_path,
        l.created_at,
        coalesce(i.relevance, 0),
        translate(
            encode(
                convert_to(
                    jsonb_build_object(
                        's', show_listings.sort, 'k', i.sort_key, 'i', i.id
                    )::text, 'utf8'
                ), 'base64'
            ), e'\n', ''
        )
    from unnest(
        show_listings.listing_ids, show_listings.sort_keys, show_listings.relevances
    ) with ordinality as i (id, sort_key, relevance, place)
    inner join public.product_prices as pp
        on i.id = pp.listing_id and pp.country = show_listings.country
    inner join lateral (
        select
            p.id, p.name, p.name_fr, p.seller_rating, p.review_count, 1 as min_order_quantity,
            p.created_at
        from public.products as p
        where p.id = pp.product_id
        union all
        select
            p.id, p.name, p.name_fr, p.seller_rating, p.review_count, p.min_order_quantity,
            p.created_at
        from public.products_retailer as p
        where p.id = pp.retailer_product_id
    ) as l on true
    inner join public.categories as g on pp.category_id = g.id
    left join public.product_stock as s on i.id = s.listing_id
    left join public.product_media as m on i.id = m.listing_id and m.position = 0
    order by i.place;
end
$$;

revoke all on function private.read_cursor(text, text) from public;
revoke all on function private.walk_listings(
    tsquery, uuid [], private.search_filters, text, jsonb, integer
) from public;
revoke all on function private.page_matches(
    private.search_matches, private.search_filters, text, jsonb, integer
) from public;
revoke all on function private.show_listings(uuid [], numeric [], real [], text, text, text)
from public;

comment on function private.read_cursor(text, text) is
'A list''s cursor {s: sort, k: key, i: id}; one by relevance that was fused with meaning says '
'meaning. Error: cursor_invalid.';
comment on function private.walk_listings(
    tsquery, uuid [], private.search_filters, text, jsonb, integer
) is
'A page of listings read off an index in the order asked for, from a cursor on: all, or those that '
'have the words or are among listing_ids.';
comment on function private.page_matches(
    private.search_matches, private.search_filters, text, jsonb, integer
) is
'A page of the matches that are sold in the country, in the order asked for, from a cursor on.';
comment on function private.show_listings(uuid [], numeric [], real [], text, text, text) is
'Listings as a list shows them, in the order given.';
