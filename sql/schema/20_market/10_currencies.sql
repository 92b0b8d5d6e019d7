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
    v_whole numeric := 0::numeric;
    v_left numeric := split_money.total;
    v_weight numeric;
    v_exact numeric;
    v_part numeric;
    v_parts numeric [] := '{}'::numeric [];
    v_rests numeric [] := '{}'::numeric [];
    v_largest integer;
begin
    if split_money.total = 0 then
        return array_fill(0::numeric, array[cardinality(split_money.weights)]);
    end if;
    select 10::numeric ^ -c.minor_unit into strict v_step
    from public.currencies as c where c.code = split_money.currency;

    -- In loops, not in one query: a few sums in memory cost less than to start a query for them.
    foreach v_weight in array split_money.weights loop
        v_whole := v_whole + v_weight;
    end loop;
    foreach v_weight in array split_money.weights loop
        v_exact := split_money.total * v_weight / v_whole;
        v_part := trunc(v_exact / v_step) * v_step;
        v_parts := v_parts || v_part;
        v_rests := v_rests || (v_exact - v_part);
        v_left := v_left - v_part;
    end loop;
    -- What rounding down left over goes, a step each, to the largest remainders, first of equals.
    for v_given in 1 .. round(v_left / v_step)::integer loop
        v_largest := 1;
        for v_position in 2 .. cardinality(v_rests) loop
            if v_rests[v_position] > v_rests[v_largest] then
                v_largest := v_position;
            end if;
        end loop;
        v_parts[v_largest] := v_parts[v_largest] + v_step;
        v_rests[v_largest] := -1::numeric;
    end loop;
    return v_parts;
end
$$;

revoke all on function private.round_money(numeric, text) from public;
revoke all on function private.split_money(numeric, numeric [], text) from public;
grant execute on function private.round_money(numeric, text) to authenticated, service_role;

comment on function private.round_money(numeric, text) is
'An amount at its currency''s decimals, half away from zero. The only place that rounds money.';
comment on function private.split_money(numeric, numeric [], text) is
'A non-negative total split by positive weights, largest remainder first: the parts sum to it.';
