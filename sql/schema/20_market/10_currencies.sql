create table public.currencies (
    code text primary key,
    name text not null,
    name_fr text not null,
    minor_unit smallint not null,
    cash_step numeric(12, 2) not null,
    constraint currencies_code_is_iso_4217 check (code ~ '^[A-Z]{3}$'),
    constraint currencies_minor_unit_is_known check (minor_unit between 0 and 2),
    constraint currencies_cash_step_positive check (cash_step > 0)
);

alter table public.currencies enable row level security;

comment on table public.currencies is 'Currencies of prices and payments (ISO 4217).';
comment on column public.currencies.minor_unit is 'Decimals of an amount: 0 for XAF, 2 for ZAR.';
comment on column public.currencies.cash_step is
'Smallest step a listed price moves by, in the currency: what coins make possible.';

create policy select_all on public.currencies for select to anon, authenticated using (true);
comment on policy select_all on public.currencies is 'Public reference data.';
grant select on public.currencies to anon, authenticated, service_role;

-- Functions of the checkout are plpgsql where SQL would read as well: plpgsql keeps its plans for
-- the session, a SQL function with a pinned search_path is planned anew at every call.

create or replace function private.round_money(amount numeric, currency text)
returns numeric
language plpgsql
stable
set search_path = ''
as $$
begin
    return (
        select round(round_money.amount, c.minor_unit)
        from public.currencies as c
        where c.code = round_money.currency
    );
end
$$;

create or replace function private.split_money(total numeric, weights numeric [], currency text)
returns numeric []
language plpgsql
stable
set search_path = ''
as $$
declare
    v_step numeric;
    v_whole numeric;
begin
    if split_money.total = 0 then
        return array_fill(0::numeric, array[cardinality(split_money.weights)]);
    end if;
    select 10::numeric ^ -c.minor_unit into strict v_step
    from public.currencies as c where c.code = split_money.currency;
    select sum(x) into strict v_whole from unnest(split_money.weights) as x;

    return (
        with part as (
            select
                w.position,
                split_money.total * w.weight / v_whole as exact,
                trunc(split_money.total * w.weight / v_whole / v_step) * v_step as floored
            from unnest(split_money.weights) with ordinality as w (weight, position)
        ),

        ranked as (
            select
                p.position,
                p.floored,
                row_number() over (order by p.exact - p.floored desc, p.position) as place,
                round((split_money.total - sum(p.floored) over ()) / v_step) as missing
            from part as p
        )

        select
            array_agg(
                r.floored + case when r.place <= r.missing then v_step else 0 end
                order by r.position
            )
        from ranked as r
    );
end
$$;

revoke all on function private.round_money(numeric, text) from public;
revoke all on function private.split_money(numeric, numeric [], text) from public;
grant execute on function private.round_money(numeric, text) to authenticated, service_role;

comment on function private.round_money(numeric, text) is
'An amount at its currency''s decimals, half away from zero. The only place that rounds money.';
comment on function private.split_money(numeric, numeric [], text) is
'A non-negative total split by positive weights, largest remainder first: the parts sum to it.';
