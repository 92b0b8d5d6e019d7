create table private.price_reasons (
    reason text primary key,
    text_en text not null,
    text_fr text not null,
    constraint price_reasons_reason_is_snake_case check (reason ~ '^[a-z][a-z_]{2,40}$'),
    constraint price_reasons_texts_are_one_line
    check (text_en ~ '^[^[:cntrl:]]+$' and text_fr ~ '^[^[:cntrl:]]+$')
);

alter table private.price_reasons enable row level security;

comment on table private.price_reasons is
'Why a rule applied to a price or lost, as explain_price says it.';

create or replace function private.explain_rule(
    rule text, is_applied boolean, reason text, facts jsonb
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_text text;
begin
    select case when private.caller_language() = 'fr' then r.text_fr else r.text_en end
    into strict v_text
    from private.price_reasons as r
    where r.reason = explain_rule.reason;
    return jsonb_build_object(
        'rule', explain_rule.rule, 'applied', explain_rule.is_applied,
        'reason', explain_rule.reason, 'text', v_text
    ) || explain_rule.facts;
end
$$;

create or replace function private.explain_discounts(
    product_id uuid, quantity integer, line private.order_line
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_rules jsonb;
    v_percent numeric;
    v_exact numeric;
begin
    with discount as (
        select
            'price_tier' as rule, t.id, t.discount_percent as percent,
            lower(t.quantities) as min_quantity, upper(t.quantities) - 1 as max_quantity,
            t.quantities @> explain_discounts.quantity as is_reached, 1 as place
        from public.price_tiers as t
        where t.retailer_product_id = explain_discounts.product_id
        union all
        select
            'bulk_discount', null, p.bulk_discount_percent, p.bulk_min_quantity, null,
            explain_discounts.quantity >= p.bulk_min_quantity, 2
        from public.products_retailer as p
        where p.id = explain_discounts.product_id and p.bulk_discount_percent > 0
    ),

    ranked as (
        select
            d.*,
            row_number() over (order by d.is_reached desc, d.percent desc, d.place) as rank
        from discount as d
    )

    select
        jsonb_agg(
            private.explain_rule(
                r.rule,
                r.is_reached and r.rank = 1,
                case
                    when not r.is_reached then 'quantity_outside'
                    when r.rank = 1 then 'largest_discount'
                    else 'larger_discount_won'
                end,
                jsonb_strip_nulls(
                    jsonb_build_object(
                        'id', r.id,
                        'min_quantity', r.min_quantity,
                        'max_quantity', r.max_quantity,
                        'discount_percent', r.percent
                    )
                )
            )
            order by r.place, r.min_quantity
        ),
        max(r.percent) filter (where r.is_reached)
    into v_rules, v_percent
    from ranked as r;
    v_exact := private.discounted_price(
        (explain_discounts.line).list_price, coalesce(v_percent, 0),
        (explain_discounts.line).currency, null
    );
    if (explain_discounts.line).unit_price > v_exact then
        v_rules := v_rules || private.explain_rule(
            'floor', true, 'discount_limited',
            jsonb_build_object('unit_price', (explain_discounts.line).unit_price)
        );
    end if;
    return coalesce(v_rules, '[]');
end
$$;

create or replace function private.explain_calculation(
    product_id uuid, channel public.product_channel, country text
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_price private.rule_price;
    v_category_id uuid;
    v_dollars numeric;
    v_rules jsonb;
begin
    select p.* into v_price
    from private.price_of(array[explain_calculation.product_id], explain_calculation.country) as p;
    if not found then
        return null;
    end if;
    select v_price.cost / r.per_dollar into v_dollars
    from private.pricing_rates as r
    where r.currency = v_price.cost_currency;
    select p.category_id into v_category_id
    from public.products as p
    where p.id = explain_calculation.product_id
    union all
    select p.category_id
    from public.products_retailer as p
    where p.id = explain_calculation.product_id;

    select
        jsonb_agg(
            private.explain_rule(
                r.component, e.reason = 'most_specific', e.reason,
                jsonb_build_object(
                    'id', r.id,
                    'channel', r.channel,
                    'country', r.country,
                    'category', g.slug,
                    'min_cost', lower(r.costs),
                    'below_cost', upper(r.costs),
                    'percent', r.percent,
                    'amount', r.amount,
                    'per_kilogram', r.per_kilogram,
                    'currency', r.currency
                )
            )
            order by r.component, e.reason <> 'most_specific', r.id
        )
    into v_rules
    from private.price_rules as r
    left join public.categories as g on r.category_id = g.id
    left join private.price_candidates(
        array[explain_calculation.channel], array[v_category_id], explain_calculation.country
    ) as c on r.id = c.rule_id
    cross join lateral (
        select
            case
                when r.country is distinct from explain_calculation.country
                    and r.country is not null then 'other_country'
                when r.channel is distinct from explain_calculation.channel
                    and r.channel is not null then 'other_channel'
                when c.rule_id is null then 'other_category'
                when not r.costs @> v_dollars then 'other_cost'
                when r.id <> all(v_price.rule_ids) then 'less_specific'
                when r.component = 'freight' and v_price.freight_is_quoted
                    then 'supplier_quoted'
                when r.component = 'duty' and v_price.duty_is_known then 'duty_known'
                when r.component = 'exchange_buffer' and v_price.exchange_percent = 0
                    and r.percent > 0 then 'same_currency'
                else 'most_specific'
            end as reason
    ) as e;
    return to_jsonb(v_price) - '{listing_id, channel, country, rule_ids}'::text []
        || jsonb_build_object('rules', v_rules);
end
$$;

create or replace function private.explain_price(
    product_id uuid,
    channel public.product_channel,
    quantity integer,
    country text,
    variant_id uuid default null
)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_country text := coalesce(explain_price.country, private.caller_country());
    v_line private.order_line;
    v_price public.product_prices;
    v_rules jsonb := '[]'::jsonb;
    v_calculation jsonb;
    v_floor numeric;
    v_ratio numeric;
begin
    if not exists (select from public.countries as c where c.code = v_country) then
        perform private.fail('country_unknown', left(v_country, 200));
    end if;
    if explain_price.quantity is null or explain_price.quantity not between 1 and 10000 then
        perform private.fail('quantity_invalid', explain_price.quantity::text);
    end if;
    select l.* into v_line
    from private.price_lines(
        array[explain_price.product_id], array[explain_price.channel],
        array[explain_price.quantity], v_country,
        case when explain_price.variant_id is not null then array[explain_price.variant_id] end
    ) as l;
    if v_line.problem = 'product_not_found' then
        perform private.fail('product_not_found', explain_price.product_id::text);
    end if;
    if v_line.problem = 'variant_not_found' then
        perform private.fail('variant_not_found', explain_price.variant_id::text);
    end if;

    select v.price_ratio into v_ratio
    from public.product_variants as v
    where v.id = explain_price.variant_id;
    select pp.* into v_price
    from public.product_prices as pp
    where pp.listing_id = explain_price.product_id and pp.country = v_country;
    if v_line.unit_price is not null then
        v_rules := jsonb_build_array(
            private.explain_rule(
                'listed_price', true, 'listed_by_' || v_price.source,
                jsonb_build_object('amount', v_price.amount)
            )
        );
        if v_ratio > 1 then
            v_rules := v_rules || private.explain_rule(
                'variant', true, 'other_variant',
                jsonb_build_object('amount', v_line.list_price, 'price_ratio', v_ratio)
            );
        elsif v_ratio = 1 then
            v_rules := v_rules || private.explain_rule(
                'variant', false, 'cheapest_variant', jsonb_build_object('price_ratio', v_ratio)
            );
        elsif v_line.problem = 'variant_required' then
            v_rules := v_rules || private.explain_rule('variant', false, 'variant_open', '{}');
        end if;
        v_rules := v_rules || private.explain_discounts(
            explain_price.product_id, explain_price.quantity, v_line
        );
    end if;

    -- What a piece costs the shop, and what follows from it, is for admins.
    if private.is_admin() then
        v_calculation := private.explain_calculation(
            explain_price.product_id, explain_price.channel, v_country
        );
        select f.amount * coalesce(v_ratio, 1) into v_floor
        from private.price_floors as f
        where f.listing_id = explain_price.product_id and f.country = v_country;
        if v_price.is_held then
            v_rules := v_rules || private.explain_rule(
                'listed_price', false,
                case
                    when v_price.amount * coalesce(v_ratio, 1) < v_floor then 'held_under_floor' else 'held_unpriced'
                end,
                jsonb_build_object('amount', v_price.amount)
            );
        end if;
        if v_price.source = 'manual' and v_calculation is not null then
            v_rules := v_rules || private.explain_rule(
                'rule_price', false, 'listed_by_manual',
                jsonb_build_object('amount', v_calculation -> 'amount')
            );
        end if;
        v_calculation := jsonb_build_object('calculation', v_calculation, 'floor', v_floor);
    end if;
    return jsonb_build_object(
        'product_id', explain_price.product_id,
        'channel', explain_price.channel,
        'quantity', explain_price.quantity,
        'country', v_country,
        'currency', v_line.currency,
        'list_price', v_line.list_price,
        'unit_price', v_line.unit_price,
        'subtotal', explain_price.quantity * v_line.unit_price,
        'problem', v_line.problem,
        'rules', v_rules
    ) || coalesce(v_calculation, '{}') || case
        when explain_price.variant_id is null then '{}'
        else jsonb_build_object('variant_id', explain_price.variant_id)
    end;
end
$$;

create or replace function public.explain_price(
    product_id uuid,
    channel public.product_channel,
    quantity integer,
    country text default null,
    variant_id uuid default null
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
    return private.explain_price(
        explain_price.product_id, explain_price.channel, explain_price.quantity,
        explain_price.country, explain_price.variant_id
    );
end
$$;

revoke all on function private.explain_rule(text, boolean, text, jsonb) from public;
revoke all on function private.explain_discounts(uuid, integer, private.order_line) from public;
revoke all on function private.explain_calculation(
    uuid, public.product_channel, text
) from public;
revoke all on function private.explain_price(
    uuid, public.product_channel, integer, text, uuid
) from public;
revoke all on function public.explain_price(
    uuid, public.product_channel, integer, text, uuid
) from public;
grant execute on function private.explain_price(uuid, public.product_channel, integer, text, uuid)
to anon, authenticated, service_role;
grant execute on function public.explain_price(uuid, public.product_channel, integer, text, uuid)
to anon, authenticated, service_role;

comment on function private.explain_rule(text, boolean, text, jsonb) is
'One rule of an explanation, with its sentence in the caller''s language.';
comment on function private.explain_discounts(uuid, integer, private.order_line) is
'Every discount of a wholesale listing, and which one made the line''s price.';
comment on function private.explain_calculation(uuid, public.product_channel, text) is
'How the rules come to a listing''s price, and every rule that won or lost. Null without a cost.';
comment on function private.explain_price(uuid, public.product_channel, integer, text, uuid) is
'Core of explain_price. Definer because rules and floors are closed to its callers; what tells '
'the cost is answered to admins only.';
comment on function public.explain_price(uuid, public.product_channel, integer, text, uuid) is
'Why a piece costs what it does at this quantity in the country (null = the caller''s own): '
'{product_id, channel, quantity, country, currency, list_price, unit_price, subtotal, problem, '
'rules: [{rule, applied, reason, text, …}]}. Admins see floor and calculation as well, with '
'every price rule that won or lost. problem is the code that an order would be refused with. '
'variant_id: of this variant, and answered with it, floor as well; else of a line without one. The '
'calculation is always the listing''s, its cheapest variant''s. Errors: product_not_found, '
'variant_not_found, country_unknown, quantity_invalid.';
