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

create or replace function private.round_money(amount numeric, currency text)
returns numeric
language sql
stable
set search_path = ''
as $$
    select
        round(round_money.amount, c.minor_unit)
    from public.currencies as c
    where c.code = round_money.currency
$$;

create or replace function private.split_money(total numeric, weights numeric [], currency text)
returns numeric []
language sql
stable
set search_path = ''
as $$
    with unit as (
        select 10::numeric ^ -c.minor_unit as step
        from public.currencies as c
        where c.code = split_money.currency
    ),

    part as (
        select
            w.position,
            split_money.total * w.weight / s.whole as exact,
            trunc(split_money.total * w.weight / s.whole / unit.step) * unit.step as floored,
            unit.step
        from unnest(split_money.weights) with ordinality as w (weight, position)
        cross join unit
        cross join (select sum(x) as whole from unnest(split_money.weights) as x) as s
    ),

    ranked as (
        select
            p.position,
            p.floored,
            p.step,
            row_number() over (order by p.exact - p.floored desc, p.position) as place,
            round((split_money.total - sum(p.floored) over ()) / p.step) as missing
        from part as p
    )

    select
        array_agg(
            r.floored + case when r.place <= r.missing then r.step else 0 end order by r.position
        )
    from ranked as r
$$;

revoke all on function private.round_money(numeric, text) from public;
revoke all on function private.split_money(numeric, numeric [], text) from public;
grant execute on function private.round_money(numeric, text) to authenticated, service_role;

comment on function private.round_money(numeric, text) is
'An amount at its currency''s decimals, half away from zero. The only place that rounds money.';
comment on function private.split_money(numeric, numeric [], text) is
'A non-negative total split by positive weights, largest remainder first: the parts sum to it.';
