create type public.price_break as (
    min_quantity integer,
    max_quantity integer,
    unit_price numeric(12, 2),
    list_price numeric(12, 2),
    currency text
);

comment on type public.price_break is
'What one piece costs from min_quantity to max_quantity, both of which can be ordered.';

create or replace function private.price_breaks(
    product_id uuid, channel public.product_channel, country text, variant_id uuid default null
)
returns setof public.price_break
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_country text := coalesce(price_breaks.country, private.caller_country());
    v_least integer;
    v_step integer;
    v_most integer;
    v_bulk integer;
    v_starts integer [];
begin
    if not exists (select from public.countries as c where c.code = v_country) then
        perform private.fail('country_unknown', left(v_country, 200));
    end if;
    select p.min_order_quantity, p.order_increment, p.max_order_quantity, p.bulk_min_quantity
    into v_least, v_step, v_most, v_bulk
    from public.products_retailer as p
    where price_breaks.channel = 'wholesale' and p.id = price_breaks.product_id and p.is_active
    union all
    select 1, 1, p.max_order_quantity, 1
    from public.products as p
    where price_breaks.channel = 'retail' and p.id = price_breaks.product_id and p.is_active;
    if not found then
        perform private.fail('product_not_found', price_breaks.product_id::text);
    end if;
    if price_breaks.variant_id is not null and not exists (
        select from public.product_variants as v
        where v.id = price_breaks.variant_id
            and v.listing_id = price_breaks.product_id
            and v.is_active
    ) then
        perform private.fail('variant_not_found', price_breaks.variant_id::text);
    end if;

    -- The first quantity that can be ordered where a price could begin.
    select array_agg(distinct a.quantity order by a.quantity) into v_starts
    from (
        select v_least as quantity
        union all
        select v_bulk
        union all
        select lower(t.quantities)
        from public.price_tiers as t
        where t.retailer_product_id = price_breaks.product_id
        union all
        select upper(t.quantities)
        from public.price_tiers as t
        where t.retailer_product_id = price_breaks.product_id
    ) as s
    cross join lateral (
        select v_least + (s.quantity - v_least + v_step - 1) / v_step * v_step as quantity
    ) as a
    where s.quantity >= v_least and a.quantity <= v_most;

    return query
    with priced as (
        select
            l.quantity, l.unit_price, l.list_price, l.currency,
            lag(l.unit_price) over (order by l.quantity) as previous_price
        from private.price_lines(
            array_fill(price_breaks.product_id, array[cardinality(v_starts)]),
            array_fill(price_breaks.channel, array[cardinality(v_starts)]),
            v_starts, v_country,
            case
                when price_breaks.variant_id is not null
                    then array_fill(price_breaks.variant_id, array[cardinality(v_starts)])
            end
        ) as l
        where l.unit_price is not null
    )

    select
        p.quantity,
        coalesce(
            lead(p.quantity) over (order by p.quantity) - v_step,
            v_least + (v_most - v_least) / v_step * v_step
        ),
        p.unit_price, p.list_price, p.currency
    from priced as p
    where p.unit_price is distinct from p.previous_price
    order by p.quantity;
    if not found then
        perform private.fail('product_not_sold_in_country', v_country);
    end if;
end
$$;

create or replace function public.price_breaks(
    product_id uuid,
    channel public.product_channel,
    country text default null,
    variant_id uuid default null
)
returns setof public.price_break
language plpgsql
stable
set search_path = ''
as $$
begin
    if private.is_not_modified() then
        return;
    end if;
    return query
    select b.*
    from private.price_breaks(
        price_breaks.product_id, price_breaks.channel, price_breaks.country,
        price_breaks.variant_id
    ) as b;
end
$$;

revoke all on function private.price_breaks(uuid, public.product_channel, text, uuid) from public;
revoke all on function public.price_breaks(uuid, public.product_channel, text, uuid) from public;
grant execute on function private.price_breaks(uuid, public.product_channel, text, uuid)
to anon, authenticated, service_role;
grant execute on function public.price_breaks(uuid, public.product_channel, text, uuid)
to anon, authenticated, service_role;

comment on function private.price_breaks(uuid, public.product_channel, text, uuid) is
'Core of price_breaks. Definer because floors are closed to its callers; answers prices only.';
comment on function public.price_breaks(uuid, public.product_channel, text, uuid) is
'What one piece costs at each quantity in the country (null = the caller''s own): one row a '
'price, by rising quantity. A cart, a quote and an order ask the same. variant_id: of this '
'variant, else of a line without one. Errors: product_not_found, variant_not_found, '
'product_not_sold_in_country, country_unknown.';
