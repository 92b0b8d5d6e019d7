create or replace function private.product_page(product_id uuid, country text, language text)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_country text := coalesce(product_page.country, private.caller_country());
    v_language text := coalesce(product_page.language, private.caller_language());
    v_is_french boolean := v_language = 'fr';
    v_page jsonb;
begin
    if v_language not in ('en', 'fr') then
        perform private.fail('language_unknown', left(v_language, 200));
    end if;
    if not exists (select from public.countries as c where c.code = v_country) then
        perform private.fail('country_unknown', left(v_country, 200));
    end if;
    select
        jsonb_build_object(
            'product_id', l.id,
            'channel', l.channel,
            'name', case when v_is_french then coalesce(l.name_fr, l.name) else l.name end,
            'description',
            case
                when v_is_french then coalesce(l.description_fr, l.description)
                else l.description
            end,
            'category', private.category_path(l.category_id, v_language),
            'country', v_country,
            'currency', pp.currency,
            'price', pp.amount,
            'price_breaks',
            case
                when pp.amount is null then '[]'
                else (
                    select
                        jsonb_agg(
                            jsonb_build_object(
                                'min_quantity', b.min_quantity,
                                'max_quantity', b.max_quantity,
                                'unit_price', b.unit_price
                            )
                            order by b.min_quantity
                        )
                    from private.price_breaks(l.id, l.channel, v_country) as b
                )
            end,
            'min_order_quantity', l.min_order_quantity,
            'order_increment', l.order_increment,
            'max_order_quantity', l.max_order_quantity,
            'available', greatest(coalesce(s.available, 0), 0),
            'in_stock', coalesce(s.available >= l.min_order_quantity, false),
            'weight_grams', l.weight_grams,
            'seller_rating', l.seller_rating,
            'seller_review_count', l.review_count,
            'rating', r.rating,
            'review_count', coalesce(r.review_count, 0),
            'stars', jsonb_build_array(
                coalesce(r.stars_1, 0), coalesce(r.stars_2, 0), coalesce(r.stars_3, 0),
                coalesce(r.stars_4, 0), coalesce(r.stars_5, 0)
            ),
            'images', coalesce(
                (
                    select
                        jsonb_agg(
                            jsonb_build_object(
                                'path', m.storage_path,
                                'alt',
                                case when v_is_french then coalesce(m.alt_fr, m.alt) else m.alt end,
                                'width', m.width,
                                'height', m.height
                            )
                            order by m.position
                        )
                    from public.product_media as m
                    where m.listing_id = l.id and m.position < 100
                ), '[]'
            ),
            'created_at', l.created_at,
            'updated_at', l.updated_at
        ) || private.variants_on_page(l.id, pp.amount, pp.currency, s.available, v_language)
    into v_page
    from (
        select
            p.id, 'retail'::public.product_channel as channel, p.category_id, p.name, p.name_fr,
            p.description, p.description_fr, 1 as min_order_quantity, 1 as order_increment,
            p.max_order_quantity, p.weight_grams, p.seller_rating, p.review_count, p.created_at,
            p.updated_at
        from public.products as p
        where p.id = product_page.product_id and p.is_active
        union all
        select
            p.id, 'wholesale', p.category_id, p.name, p.name_fr, p.description, p.description_fr,
            p.min_order_quantity, p.order_increment, p.max_order_quantity, p.weight_grams,
            p.seller_rating, p.review_count, p.created_at, p.updated_at
        from public.products_retailer as p
        where p.id = product_page.product_id and p.is_active
    ) as l
    left join public.product_prices as pp
        on l.id = pp.listing_id and pp.country = v_country and pp.is_listed
    left join public.product_stock as s on l.id = s.listing_id
    left join public.product_ratings as r on l.id = r.listing_id;
    if v_page is null then
        perform private.fail('product_not_found', product_page.product_id::text);
    end if;
    return v_page;
end
$$;

create or replace function private.category_path(category_id uuid, language text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
    return (
        with recursive ancestor as (
            select c.id, c.parent_id, c.slug, c.name, c.name_fr, 1 as height
            from public.categories as c
            where c.id = category_path.category_id
            union all
            select c.id, c.parent_id, c.slug, c.name, c.name_fr, a.height + 1
            from ancestor as a
            inner join public.categories as c on a.parent_id = c.id
            where a.height < 16
        )

        select
            jsonb_agg(
                jsonb_build_object(
                    'slug', a.slug,
                    'name', case when category_path.language = 'fr' then a.name_fr else a.name end
                )
                order by a.height desc
            )
        from ancestor as a
    );
end
$$;

create or replace function private.variants_on_page(
    listing_id uuid, amount numeric, currency text, available integer, language text
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
    return (
        with variant as (
            select
                v.id,
                row_number() over (order by v.position, v.id) as place,
                case
                    when variants_on_page.language = 'fr' then coalesce(v.options_fr, v.options)
                    else v.options
                end as options,
                private.variant_amount(
                    variants_on_page.amount, v.price_ratio, variants_on_page.currency
                ) as price,
                -- Where the supplier does not say, what there is of the product.
                greatest(
                    least(v.on_hand - v.reserved, coalesce(variants_on_page.available, 0)), 0
                ) as available,
                m.storage_path as image
            from public.product_variants as v
            left join public.product_media as m on v.media_id = m.id
            where v.listing_id = variants_on_page.listing_id and v.is_active
        ),

        choice as (
            select
                o.option ->> 'name' as name, o.option ->> 'value' as value,
                min(o.option_place) as name_place, min(v.place) as value_place
            from variant as v
            cross join lateral jsonb_array_elements(v.options)
                with ordinality as o (option, option_place)
            group by 1, 2
        )

        select
            jsonb_build_object(
                'options', coalesce(
                    (
                        select
                            jsonb_agg(
                                jsonb_build_object('name', n.name, 'values', n.in_order)
                                order by n.name_place, n.name
                            )
                        from (
                            select
                                c.name, min(c.name_place) as name_place,
                                jsonb_agg(c.value order by c.value_place, c.value) as in_order
                            from choice as c
                            group by c.name
                        ) as n
                    ), '[]'
                ),
                'variants', coalesce(
                    (
                        select
                            jsonb_agg(
                                jsonb_build_object(
                                    'variant_id', v.id,
                                    'options', v.options,
                                    'price', v.price,
                                    'available', v.available,
                                    'in_stock', v.available > 0,
                                    'image', v.image
                                )
                                order by v.place
                            )
                        from variant as v
                    ), '[]'
                )
            )
    );
end
$$;

revoke all on function private.product_page(uuid, text, text) from public;
revoke all on function private.category_path(uuid, text) from public;
revoke all on function private.variants_on_page(uuid, numeric, text, integer, text) from public;
grant execute on function private.product_page(uuid, text, text)
to anon, authenticated, service_role;

comment on function private.product_page(uuid, text, text) is
'Core of product_page. Definer because prices by quantity are closed to its callers; it shows only '
'what is on sale.';
comment on function private.category_path(uuid, text) is
'[{slug, name}] of a category and those above it, the root first.';
comment on function private.variants_on_page(uuid, numeric, text, integer, text) is
'{options: [{name, values}], variants: [{variant_id, options, price, available, in_stock, image}]} '
'of a listing, in its supplier''s order.';

create or replace function public.product_page(
    product_id uuid, country text default null, language text default null
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
    return private.product_page(
        product_page.product_id, product_page.country, product_page.language
    );
end
$$;

revoke all on function public.product_page(uuid, text, text) from public;
grant execute on function public.product_page(uuid, text, text)
to anon, authenticated, service_role;

comment on function public.product_page(uuid, text, text) is
'All that a product''s page shows, retail or wholesale, in one call: {product_id, channel, name, '
'description, category [{slug, name}], country, currency, price, price_breaks [{min_quantity, '
'max_quantity, unit_price}], min_order_quantity, order_increment, max_order_quantity, available, '
'in_stock, weight_grams, seller_rating, seller_review_count, rating, review_count, stars (counts '
'of 1 to 5), images [{path, alt, width, height}], options [{name, values}], variants '
'[{variant_id, options, price, available, in_stock, image}], created_at, updated_at}. price is '
'null where it is not sold. Errors: product_not_found, country_unknown, language_unknown.';
