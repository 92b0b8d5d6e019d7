-- What admins do about prices.

create or replace function private.set_price(
    product_id uuid, channel public.product_channel, country text, amount numeric
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_currency text;
begin
    perform private.require_admin();
    select c.currency into v_currency
    from public.countries as c
    where c.code = set_price.country;
    if not found then
        perform private.fail('country_unknown', left(set_price.country, 200));
    end if;
    if not exists (
        select from public.products as p
        where set_price.channel = 'retail' and p.id = set_price.product_id
        union all
        select from public.products_retailer as p
        where set_price.channel = 'wholesale' and p.id = set_price.product_id
    ) then
        perform private.fail('product_not_found', set_price.product_id::text);
    end if;
    perform private.lock_prices();
    if set_price.amount is null then
        update public.product_prices as pp
        set source = 'rule'
        where pp.listing_id = set_price.product_id
            and pp.country = set_price.country
            and pp.source = 'manual';
        perform private.set_prices(array[set_price.product_id]);
    else
        if set_price.amount <= 0 or set_price.amount >= 10000000000 then
            perform private.fail('price_invalid', set_price.amount::text);
        end if;
        if set_price.amount <> private.round_money(set_price.amount, v_currency) then
            perform private.fail('price_not_rounded', v_currency);
        end if;
        -- Against the floor of today, which may be known only now.
        perform private.set_prices(array[set_price.product_id]);
        insert into public.product_prices (
            product_id, retailer_product_id, country, currency, amount, source
        )
        values (
            case when set_price.channel = 'retail' then set_price.product_id end,
            case when set_price.channel = 'wholesale' then set_price.product_id end,
            set_price.country, v_currency, set_price.amount, 'manual'
        )
        on conflict on constraint product_prices_pkey do update
        set amount = excluded.amount, source = 'manual', is_held = false;
        perform private.set_prices(array[set_price.product_id]);
    end if;
    return private.explain_price(
        set_price.product_id, set_price.channel,
        coalesce(
            (
                select p.min_order_quantity
                from public.products_retailer as p
                where p.id = set_price.product_id
            ), 1
        ),
        set_price.country
    );
end
$$;

create or replace function public.set_price(
    product_id uuid, channel public.product_channel, country text, amount numeric
)
returns jsonb
language plpgsql
set search_path = ''
as $$
begin
    return private.set_price(
        set_price.product_id, set_price.channel, set_price.country, set_price.amount
    );
end
$$;

create or replace function private.price_rule_as_json(rule private.price_rules)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        jsonb_build_object(
            'id', price_rule_as_json.rule.id,
            'component', price_rule_as_json.rule.component,
            'channel', price_rule_as_json.rule.channel,
            'country', price_rule_as_json.rule.country,
            'category', (
                select c.slug from public.categories as c
                where c.id = price_rule_as_json.rule.category_id
            ),
            'min_cost', lower(price_rule_as_json.rule.costs),
            'below_cost', upper(price_rule_as_json.rule.costs),
            'percent', price_rule_as_json.rule.percent,
            'amount', price_rule_as_json.rule.amount,
            'per_kilogram', price_rule_as_json.rule.per_kilogram,
            'currency', price_rule_as_json.rule.currency,
            'assumed_grams', price_rule_as_json.rule.assumed_grams,
            'volume_divisor', price_rule_as_json.rule.volume_divisor,
            'note', price_rule_as_json.rule.note
        )
$$;

create or replace function private.price_rules()
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.require_admin();
    return (
        select
            coalesce(
                jsonb_agg(
                    private.price_rule_as_json(r)
                    order by
                        r.component, r.channel nulls first, r.country nulls first,
                        r.category_id nulls first, lower(r.costs)
                ), '[]'
            )
        from private.price_rules as r
    );
end
$$;

create or replace function private.price_rule_problem(
    component text,
    min_cost numeric,
    below_cost numeric,
    percent numeric,
    amount numeric,
    per_kilogram numeric,
    assumed_grams integer,
    note text,
    volume_divisor integer
)
returns text
language plpgsql
immutable
set search_path = ''
as $$
begin
    -- What is left out is no problem; NaN is more than any limit.
    return case
        when price_rule_problem.component is null
            or price_rule_problem.component not in (
                'freight', 'duty', 'exchange_buffer', 'payment_fee', 'margin', 'floor'
            ) then 'component'
        when price_rule_problem.min_cost not between 0 and 9999999999 then 'min_cost'
        when price_rule_problem.below_cost <= coalesce(price_rule_problem.min_cost, 0)
            or price_rule_problem.below_cost > 10000000000 then 'below_cost'
        when price_rule_problem.percent not between 0 and case price_rule_problem.component
            when 'freight' then 0
            when 'payment_fee' then 30
            else 900
        end then 'percent'
        when price_rule_problem.amount not between 0 and case
            when price_rule_problem.component in ('freight', 'margin', 'floor')
                then 9999999999.99
            else 0
        end then 'amount'
        when price_rule_problem.per_kilogram not between 0 and case price_rule_problem.component
            when 'freight' then 9999999999.99 else 0
        end then 'per_kilogram'
        when price_rule_problem.assumed_grams < 1 then 'assumed_grams'
        when price_rule_problem.note !~ '^[^[:cntrl:]]{1,200}$' then 'note'
        when price_rule_problem.volume_divisor < 1
            or (
                price_rule_problem.volume_divisor is not null
                and price_rule_problem.component <> 'freight'
            ) then 'volume_divisor'
        -- Nothing said is not nothing asked: a rule of zero is written as one.
        when num_nonnulls(
            price_rule_problem.percent, price_rule_problem.amount, price_rule_problem.per_kilogram
        ) = 0
            then case price_rule_problem.component when 'freight' then 'amount' else 'percent' end
    end;
end
$$;

create or replace function private.set_price_rule(
    component text,
    channel public.product_channel,
    country text,
    category text,
    min_cost numeric,
    below_cost numeric,
    percent numeric,
    amount numeric,
    per_kilogram numeric,
    currency text,
    assumed_grams integer,
    note text,
    volume_divisor integer
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_category_id uuid;
    v_costs numrange;
    v_rule private.price_rules;
    v_problem text;
begin
    perform private.require_admin();
    v_problem := private.price_rule_problem(
        set_price_rule.component, set_price_rule.min_cost, set_price_rule.below_cost,
        set_price_rule.percent, set_price_rule.amount, set_price_rule.per_kilogram,
        set_price_rule.assumed_grams, set_price_rule.note, set_price_rule.volume_divisor
    );
    if v_problem is not null then
        perform private.fail('price_rule_invalid', v_problem);
    end if;
    if set_price_rule.currency is not null and not exists (
        select from public.currencies as c where c.code = set_price_rule.currency
    ) then
        perform private.fail('currency_unknown', left(set_price_rule.currency, 200));
    end if;
    if set_price_rule.country is not null and not exists (
        select from public.countries as c where c.code = set_price_rule.country
    ) then
        perform private.fail('country_unknown', left(set_price_rule.country, 200));
    end if;
    if set_price_rule.category is not null then
        select c.id into v_category_id
        from public.categories as c
        where c.slug = set_price_rule.category;
        if not found then
            perform private.fail('category_not_found', left(set_price_rule.category, 200));
        end if;
    end if;
    v_costs := numrange(
        coalesce(set_price_rule.min_cost, 0), set_price_rule.below_cost
    );
    -- The same rule again is the rule with other values; one that overlaps another is refused.
    select r.* into v_rule
    from private.price_rules as r
    where r.component = set_price_rule.component
        and r.channel is not distinct from set_price_rule.channel
        and r.country is not distinct from set_price_rule.country
        and r.category_id is not distinct from v_category_id
        and r.costs && v_costs
    for update;
    if found and v_rule.costs <> v_costs then
        perform private.fail(
            'price_rule_overlaps', concat_ws(' ', v_rule.component, v_rule.costs::text)
        );
    end if;
    insert into private.price_rules as r (
        id, component, channel, country, category_id, costs, percent, amount, per_kilogram,
        currency, assumed_grams, note, volume_divisor
    )
    values (
        coalesce(v_rule.id, gen_random_uuid()), set_price_rule.component, set_price_rule.channel,
        set_price_rule.country, v_category_id, v_costs, coalesce(set_price_rule.percent, 0),
        coalesce(set_price_rule.amount, 0), coalesce(set_price_rule.per_kilogram, 0),
        coalesce(set_price_rule.currency, 'USD'), coalesce(set_price_rule.assumed_grams, 500),
        set_price_rule.note, set_price_rule.volume_divisor
    )
    on conflict on constraint price_rules_pkey do update
    set percent = excluded.percent,
        amount = excluded.amount,
        per_kilogram = excluded.per_kilogram,
        currency = excluded.currency,
        assumed_grams = excluded.assumed_grams,
        note = excluded.note,
        volume_divisor = excluded.volume_divisor
    returning r.* into v_rule;
    perform private.request_repricing();
    return private.price_rule_as_json(v_rule);
end
$$;

create or replace function private.remove_price_rule(id uuid)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_rule private.price_rules;
begin
    perform private.require_admin();
    delete from private.price_rules as r
    where r.id = remove_price_rule.id
    returning r.* into v_rule;
    if not found then
        perform private.fail('price_rule_not_found', remove_price_rule.id::text);
    end if;
    perform private.request_repricing();
    return private.price_rule_as_json(v_rule);
end
$$;

create or replace function public.price_rules()
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
    return private.price_rules();
end
$$;

create or replace function public.set_price_rule(
    component text,
    channel public.product_channel default null,
    country text default null,
    category text default null,
    min_cost numeric default null,
    below_cost numeric default null,
    percent numeric default null,
    amount numeric default null,
    per_kilogram numeric default null,
    currency text default null,
    assumed_grams integer default null,
    note text default null,
    volume_divisor integer default null
)
returns jsonb
language plpgsql
set search_path = ''
as $$
begin
    return private.set_price_rule(
        set_price_rule.component, set_price_rule.channel, set_price_rule.country,
        set_price_rule.category, set_price_rule.min_cost, set_price_rule.below_cost,
        set_price_rule.percent, set_price_rule.amount, set_price_rule.per_kilogram,
        set_price_rule.currency, set_price_rule.assumed_grams, set_price_rule.note,
        set_price_rule.volume_divisor
    );
end
$$;

create or replace function public.remove_price_rule(id uuid)
returns jsonb
language plpgsql
set search_path = ''
as $$
begin
    return private.remove_price_rule(remove_price_rule.id);
end
$$;

revoke all on function private.set_price(uuid, public.product_channel, text, numeric) from public;
revoke all on function public.set_price(uuid, public.product_channel, text, numeric) from public;
revoke all on function private.price_rule_as_json(private.price_rules) from public;
revoke all on function private.price_rule_problem(
    text, numeric, numeric, numeric, numeric, numeric, integer, text, integer
) from public;
revoke all on function private.price_rules() from public;
revoke all on function private.set_price_rule(
    text, public.product_channel, text, text, numeric, numeric, numeric, numeric, numeric, text,
    integer, text, integer
) from public;
revoke all on function private.remove_price_rule(uuid) from public;
revoke all on function public.price_rules() from public;
revoke all on function public.set_price_rule(
    text, public.product_channel, text, text, numeric, numeric, numeric, numeric, numeric, text,
    integer, text, integer
) from public;
revoke all on function public.remove_price_rule(uuid) from public;
grant execute on function private.set_price(uuid, public.product_channel, text, numeric)
to authenticated;
grant execute on function public.set_price(uuid, public.product_channel, text, numeric)
to authenticated;
grant execute on function private.price_rules() to authenticated;
grant execute on function private.set_price_rule(
    text, public.product_channel, text, text, numeric, numeric, numeric, numeric, numeric, text,
    integer, text, integer
) to authenticated;
grant execute on function private.remove_price_rule(uuid) to authenticated;
grant execute on function public.price_rules() to authenticated;
grant execute on function public.set_price_rule(
    text, public.product_channel, text, text, numeric, numeric, numeric, numeric, numeric, text,
    integer, text, integer
) to authenticated;
grant execute on function public.remove_price_rule(uuid) to authenticated;

comment on function private.set_price(uuid, public.product_channel, text, numeric) is
'Core of set_price. Definer because prices have no write grant; admins only.';
comment on function public.set_price(uuid, public.product_channel, text, numeric) is
'For admins: sets a price by hand, which no rule overwrites; amount null gives it back to the '
'rules. Answers as explain_price. Errors: authentication_required, admin_required, '
'country_unknown, product_not_found, price_invalid, price_not_rounded, price_below_floor.';
comment on function private.price_rule_as_json(private.price_rules) is
'A price rule as RPCs answer it.';
comment on function private.price_rule_problem(
    text, numeric, numeric, numeric, numeric, numeric, integer, text, integer
) is
'The argument of set_price_rule that no price rule can have, null if there is none.';
comment on function private.price_rules() is
'Core of price_rules. Definer because the table is closed; admins only.';
comment on function private.set_price_rule(
    text, public.product_channel, text, text, numeric, numeric, numeric, numeric, numeric, text,
    integer, text, integer
) is
'Core of set_price_rule. Definer because the table is closed; admins only.';
comment on function private.remove_price_rule(uuid) is
'Core of remove_price_rule. Definer because the table is closed; admins only.';
comment on function public.price_rules() is
'For admins: the price rules, [{id, component, channel, country, category, min_cost, below_cost, '
'percent, amount, per_kilogram, currency, assumed_grams, volume_divisor, note}]. Errors: '
'authentication_required, admin_required.';
comment on function public.set_price_rule(
    text, public.product_channel, text, text, numeric, numeric, numeric, numeric, numeric, text,
    integer, text, integer
) is
'For admins: adds a price rule, or changes the one of the same component, channel, country, '
'category and band of cost (dollars). component: freight, duty, exchange_buffer, payment_fee, '
'margin, floor. volume_divisor, of freight: cubic centimetres that count as a kilogram. Every '
'price is then made anew by a job. Errors: authentication_required, admin_required, '
'price_rule_invalid (details name the argument), currency_unknown, country_unknown, '
'category_not_found, '
'price_rule_overlaps.';
comment on function public.remove_price_rule(uuid) is
'For admins: takes a price rule away and answers what it was; every price is then made anew by a '
'job. Errors: authentication_required, admin_required, price_rule_not_found.';
