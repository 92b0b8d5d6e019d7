-- The one resolver from (product, channel, quantity, country) to a price or the reason why not.
-- List, product page, cart, quote and order all ask it, so what is shown is what is charged.

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
    problem_detail text,
    variant_id uuid
);

comment on type private.order_line is
'A priced line; problem is an error code when the line cannot be ordered so.';

create or replace function private.discounted_price(
    amount numeric, percent numeric, currency text, floor numeric
)
returns numeric
language plpgsql
stable
set search_path = ''
as $$
begin
    -- No discount goes below the floor, and no floor makes a piece dearer than it is listed. It ends
    -- where prices do above the floor: the floor itself would tell what goods cost.
    return (
        select
            least(
                discounted_price.amount,
                greatest(
                    private.round_money(
                        discounted_price.amount * (100 - discounted_price.percent) / 100, c.code
                    ),
                    private.round_price(discounted_price.floor, c.code)
                )
            )
        from public.currencies as c
        where c.code = discounted_price.currency
    );
end
$$;

create or replace function private.price_lines(
    listing_ids uuid [],
    channels public.product_channel [],
    quantities integer [],
    country text,
    variant_ids uuid [] default null
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
        l.name || coalesce(' (' || v.label || ')', ''),
        case
            when v.label is null then l.name_fr
            else coalesce(l.name_fr, l.name) || ' (' || v.label_fr || ')'
        end,
        pp.currency,
        a.amount::numeric(12, 2),
        -- a listed price is rounded already: only a discounted one is rounded again
        case
            when d.percent > 0 then private.discounted_price(
                a.amount, d.percent, pp.currency, f.amount * coalesce(v.price_ratio, 1)
            )
            else a.amount
        end::numeric(12, 2),
        h.available,
        p.problem,
        case
            when p.problem is not null then jsonb_build_object(
                'product_id', i.listing_id,
                'channel', i.channel,
                'quantity', i.quantity,
                'minimum', l.min_order_quantity,
                'maximum', l.max_order_quantity,
                'increment', l.order_increment,
                'available', h.available
            ) || case
                when i.variant_id is null then '{}'
                else jsonb_build_object('variant_id', i.variant_id)
            end
        end::text,
        i.variant_id
    from (
        -- Variants of one product are taken from one shelf.
        select
            n.listing_id, n.channel, n.quantity, n.variant_id, n.line_number,
            case
                when price_lines.variant_ids is null then n.quantity
                else sum(n.quantity) over (partition by n.listing_id, n.channel)
            end as demand
        from unnest(
            price_lines.listing_ids, price_lines.channels, price_lines.quantities,
            price_lines.variant_ids
        ) with ordinality as n (listing_id, channel, quantity, variant_id, line_number)
    ) as i
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
        on l.id = pp.listing_id and pp.country = price_lines.country and not pp.is_held
    left join public.product_stock as s on l.id = s.listing_id
    left join lateral (
        select
            n.id, n.price_ratio,
            n.on_hand - n.reserved as available,
            private.options_label(n.options) as label,
            private.options_label(coalesce(n.options_fr, n.options)) as label_fr
        from public.product_variants as n
        where n.id = i.variant_id and n.listing_id = l.id and n.is_active
    ) as v on true
    cross join lateral (
        select
            case
                when v.price_ratio > 1
                    then private.variant_amount(pp.amount, v.price_ratio, pp.currency)
                else pp.amount
            end as amount
    ) as a
    cross join lateral (
        -- least and greatest pass over a count that the supplier does not give
        select greatest(least(coalesce(s.available, 0), v.available), 0) as available
    ) as h
    left join lateral (
        select pt.discount_percent
        from public.price_tiers as pt
        where i.channel = 'wholesale'
            and pt.retailer_product_id = l.id
            and pt.quantities @> i.quantity
    ) as t on true
    cross join lateral (
        select
            greatest(
                t.discount_percent,
                case when i.quantity >= l.bulk_min_quantity then l.bulk_discount_percent end
            ) as percent
    ) as d
    -- offset 0: a floor is looked up where there is a discount, and nowhere else
    left join lateral (
        select k.amount
        from private.price_floors as k
        where d.percent > 0 and k.listing_id = l.id and k.country = price_lines.country
        offset 0
    ) as f on true
    cross join lateral (
        select
            case
                when l.id is null then 'product_not_found'
                when i.variant_id is not null and v.id is null then 'variant_not_found'
                when i.quantity < l.min_order_quantity then 'quantity_below_minimum'
                -- at most so many of a product, however its lines are cut
                when greatest(i.quantity, i.demand) > l.max_order_quantity
                    then 'quantity_above_maximum'
                when (i.quantity - l.min_order_quantity) % l.order_increment <> 0
                    then 'quantity_not_in_steps'
                when a.amount is null then 'product_not_sold_in_country'
                -- The listed price is the cheapest variant's: of dearer ones somebody must choose.
                when i.variant_id is null and exists (
                    select from public.product_variants as o
                    where o.listing_id = l.id and o.is_active and o.price_ratio > 1
                ) then 'variant_required'
                when i.quantity > h.available or i.demand > coalesce(s.available, 0)
                    then 'stock_insufficient'
            end as problem
    ) as p;
end
$$;

create or replace function private.unit_price(
    listing_id uuid, channel public.product_channel, quantity integer, country text
)
returns numeric
language plpgsql
stable
set search_path = ''
as $$
begin
    return (
        select l.unit_price
        from private.price_lines(
            array[unit_price.listing_id], array[unit_price.channel], array[unit_price.quantity],
            unit_price.country
        ) as l
    );
end
$$;

revoke all on function private.discounted_price(numeric, numeric, text, numeric) from public;
revoke all on function private.price_lines(
    uuid [], public.product_channel [], integer [], text, uuid []
) from public;
revoke all on function private.unit_price(
    uuid, public.product_channel, integer, text
) from public;

comment on function private.discounted_price(numeric, numeric, text, numeric) is
'A listed price less a percentage, rounded as round_money does, but not under its floor (null = '
'none).';
comment on function private.price_lines(
    uuid [], public.product_channel [], integer [], text, uuid []
) is
'The lines, priced for the country, in the order given, each with its problem if it has one: '
'product_not_found, variant_not_found, quantity_below_minimum, quantity_above_maximum, '
'quantity_not_in_steps, product_not_sold_in_country, variant_required (it has variants dearer than '
'its listed price, and none is named) or stock_insufficient. variant_ids, one a line or null, make '
'the lines of one product one demand, for its stock and its greatest quantity; without them each '
'line stands alone.';
comment on function private.unit_price(uuid, public.product_channel, integer, text) is
'What one piece costs at this quantity; null when it is not sold there.';

-- The listed price is the price at the least quantity: breaks begin above it.
create or replace function private.tg__check_tiers()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_product_id uuid := case tg_table_name
        when 'price_tiers' then to_jsonb(new) ->> 'retailer_product_id'
        else to_jsonb(new) ->> 'id'
    end::uuid;
begin
    if exists (
        select
        from public.price_tiers as t
        inner join public.products_retailer as p on t.retailer_product_id = p.id
        where p.id = v_product_id and lower(t.quantities) <= p.min_order_quantity
    ) then
        perform private.fail('price_tier_too_low', v_product_id::text);
    end if;
    return null;
end
$$;

create constraint trigger price_tiers_90_check_tiers
after insert or update on public.price_tiers
deferrable initially deferred
for each row execute function private.tg__check_tiers();

create constraint trigger products_retailer_90_check_tiers
after update of min_order_quantity on public.products_retailer
deferrable initially deferred
for each row when (new.min_order_quantity > old.min_order_quantity)
execute function private.tg__check_tiers();

revoke all on function private.tg__check_tiers() from public;

comment on function private.tg__check_tiers() is
'Trigger: at commit no price break begins at or below the least quantity, whose price is the '
'listed one. Error: price_tier_too_low. Definer because a deferred trigger runs as the caller.';
