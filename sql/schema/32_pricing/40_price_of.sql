-- The calculation itself: from what a piece costs to what it is sold for, for many listings and
-- countries at once, and without writing anything.

create type private.price_term as (
    channel public.product_channel,
    category_id uuid,
    country text,
    from_cost numeric,
    below_cost numeric,
    freight_rule_id uuid,
    freight_dollars numeric,
    freight_per_kilogram numeric,
    assumed_grams integer,
    volume_divisor integer,
    duty_rule_id uuid,
    duty_percent numeric,
    exchange_rule_id uuid,
    exchange_percent numeric,
    fee_rule_id uuid,
    fee_percent numeric,
    margin_rule_id uuid,
    margin_percent numeric,
    margin_dollars numeric,
    floor_rule_id uuid,
    floor_percent numeric,
    floor_dollars numeric
);

comment on type private.price_term is
'The rules that win for a kind of goods in a country, between two costs; amounts in dollars.';

create type private.price_candidate as (
    channel public.product_channel,
    category_id uuid,
    country text,
    rule_id uuid,
    component text,
    costs numrange,
    percent numeric,
    dollars numeric,
    dollars_per_kilogram numeric,
    assumed_grams integer,
    volume_divisor integer,
    place bigint
);

comment on type private.price_candidate is
'A rule that could hold for a kind of goods in a country; the lowest place wins where its costs '
'fit.';

create type private.rule_price as (
    listing_id uuid,
    channel public.product_channel,
    country text,
    currency text,
    cost numeric,
    cost_currency text,
    rate numeric,
    freight numeric,
    freight_is_quoted boolean,
    exchange_percent numeric,
    goods numeric,
    duty_percent numeric,
    duty_is_known boolean,
    duty numeric,
    landed numeric,
    margin_percent numeric,
    margin_minimum numeric,
    floor_percent numeric,
    floor_minimum numeric,
    fee_percent numeric,
    tax_rate numeric,
    target numeric,
    floor numeric,
    amount numeric,
    rule_ids uuid [],
    problem text
);

comment on type private.rule_price is
'What the rules make of a listing in a country, each step in the country''s currency: goods = '
'(cost + freight) with the buffer, landed = goods + duty, target and floor with payment fee and '
'tax, amount = target rounded. problem: not_served, rate_missing, tax_missing (its last rate has '
'ended), rule_missing, too_dear.';

create or replace function private.price_candidates(
    channels public.product_channel [], category_ids uuid [], country text
)
returns setof private.price_candidate
language plpgsql
stable
rows 500
set search_path = ''
as $$
begin
    return query
    with recursive scope as (
        select distinct s.channel, s.category_id
        from unnest(price_candidates.channels, price_candidates.category_ids)
            as s (channel, category_id)
    ),

    branch as (
        select distinct s.category_id, s.category_id as ancestor_id, 0 as distance
        from scope as s
        union all
        select b.category_id, c.parent_id, b.distance + 1
        from branch as b
        inner join public.categories as c on b.ancestor_id = c.id
        where c.parent_id is not null and b.distance < 16
    )

    select
        s.channel, s.category_id, m.code, r.id, r.component, r.costs, r.percent::numeric,
        r.amount / p.per_dollar, r.per_kilogram / p.per_dollar, r.assumed_grams,
        r.volume_divisor,
        row_number() over (
            partition by s.channel, s.category_id, m.code, r.component
            order by
                coalesce(b.distance, 99), r.country is null, r.channel is null, lower(r.costs)
        )
    from scope as s
    cross join public.countries as m
    inner join private.price_rules as r
        on (r.channel is null or r.channel = s.channel)
            and (r.country is null or r.country = m.code)
    inner join private.pricing_rates as p on r.currency = p.currency
    left join branch as b on s.category_id = b.category_id and r.category_id = b.ancestor_id
    where (r.category_id is null or b.distance is not null)
        and (price_candidates.country is null or m.code = price_candidates.country);
end
$$;

create or replace function private.price_terms(
    channels public.product_channel [], category_ids uuid [], country text
)
returns setof private.price_term
language plpgsql
stable
rows 500
set search_path = ''
as $$
begin
    return query
    with candidate as materialized (
        select c.*
        from private.price_candidates(
            price_terms.channels, price_terms.category_ids, price_terms.country
        ) as c
    ),

    -- Between two neighbouring edges nothing changes: one row a band, whatever the rules' own are.
    edge as (
        select distinct c.channel, c.category_id, c.country, e.cost
        from candidate as c
        cross join lateral (values (lower(c.costs)), (upper(c.costs))) as e (cost)
        where e.cost is not null
    ),

    winner as (
        select distinct on (e.channel, e.category_id, e.country, e.cost, c.component)
            e.channel, e.category_id, e.country, e.cost, c.component, c.rule_id, c.percent,
            c.dollars, c.dollars_per_kilogram, c.assumed_grams, c.volume_divisor
        from edge as e
        inner join candidate as c
            on e.channel = c.channel
                and e.category_id = c.category_id
                and e.country = c.country
                and c.costs @> e.cost
        order by e.channel, e.category_id, e.country, e.cost, c.component, c.place
    )

    select
        w.channel, w.category_id, w.country, w.cost,
        lead(w.cost) over (
            partition by w.channel, w.category_id, w.country order by w.cost
        ),
        max(w.rule_id::text) filter (where w.component = 'freight')::uuid,
        max(w.dollars) filter (where w.component = 'freight'),
        max(w.dollars_per_kilogram) filter (where w.component = 'freight'),
        max(w.assumed_grams) filter (where w.component = 'freight'),
        max(w.volume_divisor) filter (where w.component = 'freight'),
        max(w.rule_id::text) filter (where w.component = 'duty')::uuid,
        max(w.percent) filter (where w.component = 'duty'),
        max(w.rule_id::text) filter (where w.component = 'exchange_buffer')::uuid,
        max(w.percent) filter (where w.component = 'exchange_buffer'),
        max(w.rule_id::text) filter (where w.component = 'payment_fee')::uuid,
        max(w.percent) filter (where w.component = 'payment_fee'),
        max(w.rule_id::text) filter (where w.component = 'margin')::uuid,
        max(w.percent) filter (where w.component = 'margin'),
        max(w.dollars) filter (where w.component = 'margin'),
        max(w.rule_id::text) filter (where w.component = 'floor')::uuid,
        max(w.percent) filter (where w.component = 'floor'),
        max(w.dollars) filter (where w.component = 'floor')
    from winner as w
    group by w.channel, w.category_id, w.country, w.cost;
end
$$;

create or replace function private.price_of(listing_ids uuid [], country text default null)
returns setof private.rule_price
language plpgsql
stable
set search_path = ''
-- One listing or five thousand: a plan that is made for the other is quadratic.
set plan_cache_mode = 'force_custom_plan'
set enable_nestloop = on
set jit = 'off'
as $$
declare
    v_channels public.product_channel [];
    v_category_ids uuid [];
begin
    select array_agg(s.channel), array_agg(s.category_id) into v_channels, v_category_ids
    from (
        select 'retail'::public.product_channel as channel, p.category_id
        from public.products as p
        where p.id = any(price_of.listing_ids)
        union
        select 'wholesale', p.category_id
        from public.products_retailer as p
        where p.id = any(price_of.listing_ids)
    ) as s;

    -- Step by step, each kept: a step that is written into the next is computed again and again.
    return query
    with item as (
        select
            c.listing_id, 'retail'::public.product_channel as channel, p.category_id, c.cost,
            c.currency, c.duty_percent, p.weight_grams, c.parcel_cm3
        from private.product_costs as c
        inner join public.products as p on c.product_id = p.id
        where c.listing_id = any(price_of.listing_ids) and p.id = any(price_of.listing_ids)
        union all
        select
            c.listing_id, 'wholesale', p.category_id, c.cost, c.currency, c.duty_percent,
            p.weight_grams, c.parcel_cm3
        from private.product_costs as c
        inner join public.products_retailer as p on c.retailer_product_id = p.id
        where c.listing_id = any(price_of.listing_ids) and p.id = any(price_of.listing_ids)
    ),

    market as materialized (
        select
            m.code, m.currency, r.per_dollar,
            -- A tax that ran out is not known to be none.
            case
                when x.rate is not null then x.rate::numeric
                when not exists (
                    select from public.tax_rates as y
                    where y.country = m.code and y.valid_from <= current_date
                ) then 0
            end as tax_rate,
            10::numeric ^ c.minor_unit as units
        from public.countries as m
        inner join public.currencies as c on m.currency = c.code
        left join private.pricing_rates as r on m.currency = r.currency
        left join public.tax_rates as x
            on m.code = x.country and daterange(x.valid_from, x.valid_until) @> current_date
        where price_of.country is null or m.code = price_of.country
    ),

    term as materialized (
        select t.*
        from private.price_terms(v_channels, v_category_ids, price_of.country) as t
    ),

    bought as materialized (
        select
            i.listing_id, i.channel, m.code as country, m.currency, m.per_dollar, m.tax_rate,
            m.units, i.cost, i.currency as cost_currency, t.margin_percent,
            coalesce(q.is_served, true) as is_served,
            m.per_dollar / d.per_dollar as rate,
            q.fee is not null as freight_is_quoted,
            round(
                m.per_dollar * case
                    -- Null without a rate: an estimate may be far below what was quoted.
                    when q.fee is not null then q.fee / qd.per_dollar
                    else t.freight_dollars
                        -- greatest passes over a size or a divisor that is not known
                        + t.freight_per_kilogram * greatest(
                            coalesce(i.weight_grams, t.assumed_grams)::numeric / 1000,
                            i.parcel_cm3::numeric / t.volume_divisor
                        )
                end, 6
            ) as freight,
            case
                when i.currency = m.currency then 0 else coalesce(t.exchange_percent, 0)
            end as exchange_percent,
            coalesce(i.duty_percent, t.duty_percent) as duty_percent,
            i.duty_percent is not null as duty_is_known,
            round(t.margin_dollars * m.per_dollar, 6) as margin_minimum,
            coalesce(t.floor_percent, 0) as floor_percent,
            round(coalesce(t.floor_dollars, 0) * m.per_dollar, 6) as floor_minimum,
            coalesce(t.fee_percent, 0) as fee_percent,
            array_remove(
                array[
                    t.freight_rule_id, t.duty_rule_id, t.exchange_rule_id, t.fee_rule_id,
                    t.margin_rule_id, t.floor_rule_id
                ], null
            ) as rule_ids
        from item as i
        cross join market as m
        left join private.pricing_rates as d on i.currency = d.currency
        left join private.product_freights as q
            on q.listing_id = any(price_of.listing_ids)
                and i.listing_id = q.listing_id
                and m.code = q.country
        left join private.pricing_rates as qd on q.currency = qd.currency
        left join term as t
            on i.channel = t.channel
                and i.category_id = t.category_id
                and m.code = t.country
                and i.cost / d.per_dollar >= t.from_cost
                and (t.below_cost is null or i.cost / d.per_dollar < t.below_cost)
    ),

    goods as materialized (
        select
            b.*,
            round((b.cost * b.rate + b.freight) * (1 + b.exchange_percent / 100), 6) as goods,
            -- Of what is paid the tax goes to the state and the fee to the gateway: the rest is
            -- what counts.
            (1 + b.tax_rate) / (1 - b.fee_percent / 100 * (1 + b.tax_rate)) as gross
        from bought as b
    ),

    landed as materialized (
        select g.*, round(g.goods * (1 + g.duty_percent / 100), 6) as landed
        from goods as g
    ),

    priced as materialized (
        select
            l.*,
            ceil(
                greatest(
                    l.landed * (1 + l.floor_percent / 100), l.landed + l.floor_minimum
                ) * l.gross * l.units
            ) / l.units as floor,
            case
                when l.margin_percent is not null then greatest(
                    l.landed * (1 + l.margin_percent / 100), l.landed + l.margin_minimum
                ) * l.gross
            end as wanted
        from landed as l
    ),

    target as materialized (
        select
            p.*,
            case when p.wanted is not null then round(greatest(p.wanted, p.floor), 6) end as target
        from priced as p
    )

    select
        t.listing_id, t.channel, t.country, t.currency, t.cost::numeric, t.cost_currency, t.rate,
        t.freight, t.freight_is_quoted, t.exchange_percent, t.goods, t.duty_percent,
        t.duty_is_known, t.landed - t.goods, t.landed, t.margin_percent, t.margin_minimum,
        t.floor_percent, t.floor_minimum, t.fee_percent, t.tax_rate, t.target,
        round(t.floor, 2),
        round(
            case
                when r.step is null then ceil(t.target * t.units) / t.units
                else ceil((t.target - r.ending) / r.step) * r.step + r.ending
            end, 2
        ),
        t.rule_ids,
        case
            when not t.is_served then 'not_served'
            when t.rate is null or t.freight_is_quoted and t.freight is null then 'rate_missing'
            when t.tax_rate is null then 'tax_missing'
            when t.target is null then 'rule_missing'
            -- what a price can be at most: numeric(12, 2)
            when t.target >= 1000000000 then 'too_dear'
        end
    from target as t
    left join private.price_roundings as r
        on t.currency = r.currency and r.amounts @> t.target;
end
$$;

create or replace function private.base_price(
    channel public.product_channel, category_id uuid, cost numeric, currency text
)
returns numeric
language plpgsql
stable
set search_path = ''
as $$
declare
    v_dollars numeric;
begin
    select base_price.cost / p.per_dollar into v_dollars
    from private.pricing_rates as p
    where p.currency = base_price.currency;
    return (
        select
            greatest(
                ceil(
                    100 * greatest(
                        v_dollars * (1 + c.percent / 100), v_dollars + c.dollars
                    )
                ) / 100,
                0.01
            )
        from private.price_candidates(
            array[base_price.channel], array[base_price.category_id], null
        ) as c
        where c.component = 'margin' and c.costs @> v_dollars
        order by c.percent desc, c.place
        limit 1
    );
end
$$;

revoke all on function private.price_candidates(
    public.product_channel [], uuid [], text
) from public;
revoke all on function private.price_terms(public.product_channel [], uuid [], text) from public;
revoke all on function private.price_of(uuid [], text) from public;
revoke all on function private.base_price(
    public.product_channel, uuid, numeric, text
) from public;

comment on function private.price_candidates(public.product_channel [], uuid [], text) is
'The rules that could hold for these kinds of goods (channel and category by place) in the '
'country, or in all.';
comment on function private.price_terms(public.product_channel [], uuid [], text) is
'The rules that win for these kinds of goods, by band of cost.';
comment on function private.price_of(uuid [], text) is
'What the rules make of listings with a known cost in a country, or in all. Writes nothing.';
comment on function private.base_price(public.product_channel, uuid, numeric, text) is
'The shop''s base price in dollars: cost and the highest margin of any country, without freight, '
'duty and tax. Null when there is no rate or no rule.';
