-- How prices end, as admins see and change it: a currency's bands at once, so that none overlaps
-- another and no size of price is left out.

create or replace function private.price_roundings()
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
            jsonb_object_agg(
                c.code,
                (
                    select
                        coalesce(
                            jsonb_agg(
                                jsonb_build_object(
                                    'from', lower(r.amounts), 'step', r.step, 'ending', r.ending
                                )
                                order by lower(r.amounts)
                            ), '[]'
                        )
                    from private.price_roundings as r
                    where r.currency = c.code
                )
            )
        from public.currencies as c
        where exists (select from public.countries as m where m.currency = c.code)
    );
end
$$;

create or replace function private.rounding_problem(
    band jsonb, previous_from numeric, currency text
)
returns text
language plpgsql
stable
set search_path = ''
as $$
begin
    -- The type first: as text a number may be anything.
    return case
        when jsonb_typeof(rounding_problem.band) <> 'object' then 'band'
        when jsonb_typeof(rounding_problem.band -> 'from') is distinct from 'number' then 'from'
        when jsonb_typeof(rounding_problem.band -> 'step') is distinct from 'number' then 'step'
        when jsonb_typeof(rounding_problem.band -> 'ending') not in ('number', 'null') then 'ending'
        when rounding_problem.previous_from is null
            and (rounding_problem.band ->> 'from')::numeric <> 0 then 'from'
        when (rounding_problem.band ->> 'from')::numeric <= rounding_problem.previous_from
            or (rounding_problem.band ->> 'from')::numeric > 9999999999 then 'from'
        when (rounding_problem.band ->> 'step')::numeric not between 0.01 and 1000000000
            or (rounding_problem.band ->> 'step')::numeric <> private.round_money(
                (rounding_problem.band ->> 'step')::numeric, rounding_problem.currency
            ) then 'step'
        when (rounding_problem.band ->> 'ending')::numeric < 0
            or (rounding_problem.band ->> 'ending')::numeric
            >= (rounding_problem.band ->> 'step')::numeric
            or (rounding_problem.band ->> 'ending')::numeric <> private.round_money(
                (rounding_problem.band ->> 'ending')::numeric, rounding_problem.currency
            ) then 'ending'
    end;
end
$$;

create or replace function private.set_price_roundings(currency text, roundings jsonb)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_from numeric;
    v_problem text;
begin
    perform private.require_admin();
    if not exists (
        select from public.currencies as c where c.code = set_price_roundings.currency
    ) then
        perform private.fail('currency_unknown', left(set_price_roundings.currency, 200));
    end if;
    if jsonb_typeof(set_price_roundings.roundings) is distinct from 'array'
        or jsonb_array_length(set_price_roundings.roundings) not between 1 and 50 then
        perform private.fail('price_roundings_invalid', 'roundings');
    end if;
    for v_place in 0 .. jsonb_array_length(set_price_roundings.roundings) - 1 loop
        v_problem := private.rounding_problem(
            set_price_roundings.roundings -> v_place, v_from, set_price_roundings.currency
        );
        if v_problem is not null then
            perform private.fail(
                'price_roundings_invalid', format('roundings[%s].%s', v_place, v_problem)
            );
        end if;
        v_from := (set_price_roundings.roundings -> v_place ->> 'from')::numeric;
    end loop;
    -- One admin after the other, and not while prices are made.
    perform private.lock_prices();
    delete from private.price_roundings as r where r.currency = set_price_roundings.currency;
    insert into private.price_roundings (currency, amounts, step, ending)
    select
        set_price_roundings.currency,
        numrange(
            (b.band ->> 'from')::numeric,
            lead((b.band ->> 'from')::numeric) over (order by b.place)
        ),
        (b.band ->> 'step')::numeric, coalesce((b.band ->> 'ending')::numeric, 0)
    from jsonb_array_elements(set_price_roundings.roundings)
        with ordinality as b (band, place);
    perform private.request_repricing();
    return private.price_roundings();
end
$$;

create or replace function public.price_roundings()
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
    return private.price_roundings();
end
$$;

create or replace function public.set_price_roundings(currency text, roundings jsonb)
returns jsonb
language plpgsql
set search_path = ''
as $$
begin
    return private.set_price_roundings(
        set_price_roundings.currency, set_price_roundings.roundings
    );
end
$$;

revoke all on function private.price_roundings() from public;
revoke all on function private.rounding_problem(jsonb, numeric, text) from public;
revoke all on function private.set_price_roundings(text, jsonb) from public;
revoke all on function public.price_roundings() from public;
revoke all on function public.set_price_roundings(text, jsonb) from public;
grant execute on function private.price_roundings() to authenticated;
grant execute on function private.set_price_roundings(text, jsonb) to authenticated;
grant execute on function public.price_roundings() to authenticated;
grant execute on function public.set_price_roundings(text, jsonb) to authenticated;

comment on function private.price_roundings() is
'Core of price_roundings. Definer because the table is closed; admins only.';
comment on function private.rounding_problem(jsonb, numeric, text) is
'The key of a band of roundings that cannot be so (band: it is no object), null if there is none; '
'previous_from is the band''s before it.';
comment on function private.set_price_roundings(text, jsonb) is
'Core of set_price_roundings. Definer because the table is closed; admins only.';
comment on function public.price_roundings() is
'For admins: how the rules'' prices end, by currency: {XAF: [{from, step, ending}]}. A price from '
'''from'' up to the next band is the next multiple of step, plus ending; without bands it is '
'rounded up to its currency''s decimals. Errors: authentication_required, admin_required.';
comment on function public.set_price_roundings(text, jsonb) is
'For admins: replaces a currency''s bands, the first from 0 and each above the one before; ending '
'may be left out. Every price is then made anew by a job. Answers as price_roundings. Errors: '
'authentication_required, admin_required, currency_unknown, price_roundings_invalid (details name '
'the value).';
