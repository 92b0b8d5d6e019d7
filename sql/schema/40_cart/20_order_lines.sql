-- The one resolver from (product, channel, quantity, country) to a price or the reason why not.
-- Cart, quote and order all ask it, so what is shown is what is charged.

create type private.order_line as (
    line_number integer,
    listing_id uuid,
    channel public.product_channel,
    quantity integer,
    name text,
    name_fr text,
    currency text,
    list_price numeric(12, 2),
    unit_price numeric(12, 2),
    available integer,
    problem text,
    problem_detail text
);

comment on type private.order_line is
'A priced line; problem is an error code when the line cannot be ordered so.';

create or replace function private.read_items(
    items jsonb,
    out listing_ids uuid [],
    out channels public.product_channel [],
    out quantities integer []
)
language plpgsql
stable
set search_path = ''
as $$
declare
    v_item jsonb;
    v_place integer;
begin
    if jsonb_typeof(read_items.items) is distinct from 'array' then
        perform private.fail('order_items_invalid', 'items is not an array');
    end if;
    if jsonb_array_length(read_items.items) > 500 then
        perform private.fail('order_items_invalid', 'more than 500 items');
    end if;
    for v_position in 0 .. jsonb_array_length(read_items.items) - 1 loop
        v_item := read_items.items -> v_position;
        -- The type first: as text a number may be ten thousand times its size.
        if jsonb_typeof(v_item -> 'product_id') is distinct from 'string'
            or (v_item ->> 'product_id')
            !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
            perform private.fail('order_items_invalid', format('items[%s].product_id', v_position));
        end if;
        if jsonb_typeof(v_item -> 'channel') is distinct from 'string'
            or (v_item ->> 'channel') not in ('retail', 'wholesale') then
            perform private.fail('order_items_invalid', format('items[%s].channel', v_position));
        end if;
        if jsonb_typeof(v_item -> 'quantity') is distinct from 'number'
            or (v_item ->> 'quantity') !~ '^[0-9]{1,5}$'
            or (v_item ->> 'quantity')::integer not between 1 and 10000 then
            perform private.fail('quantity_invalid', format('items[%s].quantity', v_position));
        end if;
        -- Two lines of one product are one demand: checked alone, each would pass.
        v_place := array_position(listing_ids, (v_item ->> 'product_id')::uuid);
        while channels[v_place] <> (v_item ->> 'channel')::public.product_channel loop
            v_place := array_position(listing_ids, listing_ids[v_place], v_place + 1);
        end loop;
        if v_place is null then
            listing_ids := listing_ids || (v_item ->> 'product_id')::uuid;
            channels := channels || (v_item ->> 'channel')::public.product_channel;
            quantities := quantities || (v_item ->> 'quantity')::integer;
        else
            quantities[v_place] := least(
                quantities[v_place] + (v_item ->> 'quantity')::integer, 1000000
            );
        end if;
    end loop;
end
$$;

create or replace function private.price_lines(
    listing_ids uuid [],
    channels public.product_channel [],
    quantities integer [],
    country text
)
returns setof private.order_line
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
    select
        i.line_number::integer,
        i.listing_id,
        i.channel,
        i.quantity,
        l.name,
        l.name_fr,
        pp.currency,
        pp.amount,
        -- a listed price is rounded already: only a discounted one is rounded again
        case
            when greatest(t.discount_percent, b.discount_percent) > 0 then private.round_money(
                pp.amount * (100 - greatest(t.discount_percent, b.discount_percent)) / 100,
                pp.currency
            )
            else pp.amount
        end::numeric(12, 2),
        coalesce(s.available, 0),
        p.problem,
        case
            when p.problem is not null then jsonb_build_object(
                'product_id', i.listing_id,
                'channel', i.channel,
                'quantity', i.quantity,
                'minimum', l.min_order_quantity,
                'maximum', l.max_order_quantity,
                'increment', l.order_increment,
                'available', coalesce(s.available, 0)
            )::text
        end
    from unnest(
        price_lines.listing_ids, price_lines.channels, price_lines.quantities
    ) with ordinality as i (listing_id, channel, quantity, line_number)
    left join lateral (
        select
            p.id, p.name, p.name_fr, 1 as min_order_quantity, 1 as order_increment,
            p.max_order_quantity, 0::numeric as bulk_discount_percent, 1 as bulk_min_quantity
        from public.products as p
        where i.channel = 'retail' and p.id = i.listing_id and p.is_active
        union all
        select
            p.id, p.name, p.name_fr, p.min_order_quantity, p.order_increment,
            p.max_order_quantity, p.bulk_discount_percent, p.bulk_min_quantity
        from public.products_retailer as p
        where i.channel = 'wholesale' and p.id = i.listing_id and p.is_active
    ) as l on true
    left join public.product_prices as pp
        on l.id = pp.listing_id and pp.country = price_lines.country
    left join public.product_stock as s on l.id = s.listing_id
    left join lateral (
        select l.bulk_discount_percent as discount_percent
        where i.quantity >= l.bulk_min_quantity
    ) as b on true
    left join lateral (
        select pt.discount_percent
        from public.price_tiers as pt
        where i.channel = 'wholesale'
            and pt.retailer_product_id = l.id
            and pt.quantities @> i.quantity
    ) as t on true
    cross join lateral (
        select
            case
                when l.id is null then 'product_not_found'
                when i.quantity < l.min_order_quantity then 'quantity_below_minimum'
                when i.quantity > l.max_order_quantity then 'quantity_above_maximum'
                when (i.quantity - l.min_order_quantity) % l.order_increment <> 0
                    then 'quantity_not_in_steps'
                when pp.amount is null then 'product_not_sold_in_country'
                when i.quantity > coalesce(s.available, 0) then 'stock_insufficient'
            end as problem
    ) as p;
end
$$;

revoke all on function private.read_items(jsonb) from public;
revoke all on function private.price_lines(
    uuid [], public.product_channel [], integer [], text
) from public;

comment on function private.read_items(jsonb) is
'items as arrays, one place a product, quantities of the same product summed. Keys other than '
'product_id, '
'channel, quantity are not read: prices come from nobody. Errors: order_items_invalid, '
'quantity_invalid.';
comment on function private.price_lines(
    uuid [], public.product_channel [], integer [], text
) is
'The lines, priced for the country, in the order given, each with its problem if it has one.';
