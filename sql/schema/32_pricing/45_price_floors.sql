-- Nothing is sold below what it costs to buy, bring, tax and collect. A floor stands apart from
-- the price because it tells the cost; whoever writes either is checked against the other.

create table private.price_floors (
    listing_id uuid not null references private.product_costs (listing_id) on delete cascade,
    country text not null references public.countries (code) on delete restrict,
    currency text not null references public.currencies (code) on delete restrict,
    amount numeric(12, 2) not null,
    cost numeric(12, 2),
    cost_currency text,
    updated_at timestamptz not null default now(),
    primary key (listing_id, country),
    constraint price_floors_amount_positive check (amount > 0),
    constraint price_floors_cost_has_currency check (num_nonnulls(cost, cost_currency) in (0, 2))
);

alter table private.price_floors enable row level security;

create index price_floors_country_listing_id_idx on private.price_floors (country, listing_id);
create index price_floors_currency_idx on private.price_floors (currency);

create trigger price_floors_10_update_updated_at
before update on private.price_floors
for each row execute function public.update_updated_at_column();

comment on table private.price_floors is
'The least a piece may be sold for in a country, tax included; kept with the prices.';
comment on column private.price_floors.cost is
'The cost that it was made of, in cost_currency: one that is higher by now makes it too low.';

-- Prices and floors are written by one at a time, or a price could pass a floor that is just
-- rising. Whoever writes a price by itself shares the lock; who makes many anew has it alone.
create or replace function private.lock_prices()
returns void
language sql
set search_path = ''
as $$
    select pg_advisory_xact_lock(hashtextextended('product_prices', 0))
$$;

create or replace function private.tg_product_prices__share_lock()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock_shared(hashtextextended('product_prices', 0));
    return null;
end
$$;

create or replace function private.tg_product_prices__list_held()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.is_held then
        new.is_listed := false;
    else
        new.is_listed := coalesce(
            (select p.is_active from public.products as p where p.id = new.product_id),
            (
                select p.is_active
                from public.products_retailer as p where p.id = new.retailer_product_id
            )
        );
    end if;
    return new;
end
$$;

create or replace function private.tg_product_prices__check_floors()
returns trigger
language plpgsql
security definer
set search_path = ''
-- Planned once, for one row as for thousands: no plan may compare each with each.
set enable_nestloop = off
as $$
declare
    v_ids uuid [] := array(select n.listing_id from changed as n where not n.is_held);
    v_low text;
begin
    select n.amount || ' ' || n.currency into v_low
    from changed as n
    inner join private.price_floors as f
        on n.listing_id = f.listing_id and n.country = f.country
    where f.listing_id = any(v_ids) and not n.is_held and n.amount < f.amount
    limit 1;
    if found then
        perform private.fail('price_below_floor', v_low);
    end if;
    return null;
end
$$;

create or replace function private.report_held_prices(
    listing_ids uuid [], held integer, reason text
)
returns void
language plpgsql
set search_path = ''
-- As set_prices.
set enable_nestloop = off
as $$
begin
    perform private.open_payment_exception(
        kind => 'price_held',
        -- each batch tells its own: a day's second one is not the first's
        subject_id => md5(
            'price_held' || report_held_prices.reason || pg_current_xact_id()::text
        )::uuid,
        detail => report_held_prices.held::text,
        evidence => (
            select
                jsonb_build_object(
                    'reason', report_held_prices.reason,
                    'prices',
                    jsonb_agg(
                        jsonb_build_object(
                            'listing_id', h.listing_id, 'country', h.country,
                            'amount', h.amount, 'floor', h.floor
                        )
                    )
                )
            from (
                select pp.listing_id, pp.country, pp.amount, f.amount as floor
                from public.product_prices as pp
                left join private.price_floors as f
                    on f.listing_id = any(report_held_prices.listing_ids)
                        and pp.listing_id = f.listing_id
                        and pp.country = f.country
                where pp.listing_id = any(report_held_prices.listing_ids) and pp.is_held
                order by pp.listing_id, pp.country
                limit 20
            ) as h
        )
    );
end
$$;

create or replace function private.tg_price_floors__hold_prices()
returns trigger
language plpgsql
security definer
set search_path = ''
-- As set_prices.
set enable_nestloop = off
as $$
declare
    v_ids uuid [] := array(select f.listing_id from changed as f);
    v_held integer;
begin
    update public.product_prices as pp
    set is_held = true
    from changed as f
    where pp.listing_id = any(v_ids)
        and pp.listing_id = f.listing_id
        and pp.country = f.country
        and not pp.is_held
        and pp.amount < f.amount;
    get diagnostics v_held = row_count;
    if v_held > 0 then
        perform private.report_held_prices(v_ids, v_held, 'under_floor');
    end if;
    update public.product_prices as pp
    set is_held = false
    from changed as f
    where pp.listing_id = any(v_ids)
        and pp.listing_id = f.listing_id
        and pp.country = f.country
        and pp.is_held
        and pp.amount >= f.amount;
    return null;
end
$$;

create trigger product_prices_05_share_lock
before insert or update of amount, is_held, source on public.product_prices
for each statement execute function private.tg_product_prices__share_lock();

create trigger product_prices_20_list_held
before update on public.product_prices
for each row when (old.is_held is distinct from new.is_held)
execute function private.tg_product_prices__list_held();

create trigger product_prices_60_check_floors_inserted
after insert on public.product_prices
referencing new table as changed
for each statement execute function private.tg_product_prices__check_floors();

create trigger product_prices_60_check_floors_updated
after update on public.product_prices
referencing new table as changed
for each statement execute function private.tg_product_prices__check_floors();

create trigger price_floors_80_hold_inserted
after insert on private.price_floors
referencing new table as changed
for each statement execute function private.tg_price_floors__hold_prices();

create trigger price_floors_80_hold_updated
after update on private.price_floors
referencing new table as changed
for each statement execute function private.tg_price_floors__hold_prices();

revoke all on function private.lock_prices() from public;
revoke all on function private.tg_product_prices__share_lock() from public;
revoke all on function private.tg_product_prices__list_held() from public;
revoke all on function private.tg_product_prices__check_floors() from public;
revoke all on function private.report_held_prices(uuid [], integer, text) from public;
revoke all on function private.tg_price_floors__hold_prices() from public;

comment on function private.lock_prices() is
'Until the transaction ends nobody else writes a price. Taken before any row is touched, by '
'whoever makes many prices anew.';
comment on function private.tg_product_prices__share_lock() is
'Trigger: a price is not written while floors are.';
comment on function private.tg_product_prices__list_held() is
'Trigger: what is held is not listed, what is held no longer is listed as its product is.';
comment on function private.tg_product_prices__check_floors() is
'Trigger: no live price is under its floor. Error: price_below_floor. Definer because floors are '
'closed to everyone.';
comment on function private.report_held_prices(uuid [], integer, text) is
'Puts prices that were just held before the admins, once a batch and reason: under_floor, or '
'unpriced where a cost has risen and no price could be made of it.';
comment on function private.tg_price_floors__hold_prices() is
'Trigger: a price that its floor has overtaken is held, and the admins told; one that is above it '
'again is live. Definer because prices have no update grant for everyone.';

create table public.price_history (
    id uuid primary key default gen_random_uuid(),
    listing_id uuid not null generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    country text not null references public.countries (code) on delete restrict,
    currency text not null references public.currencies (code) on delete restrict,
    amount numeric(12, 2),
    previous_amount numeric(12, 2),
    source text not null,
    changed_at timestamptz not null default clock_timestamp(),
    constraint price_history_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint price_history_amounts_positive check (amount > 0 and previous_amount > 0),
    constraint price_history_says_something check (amount is distinct from previous_amount),
    constraint price_history_source_is_known check (source in ('rule', 'manual'))
);

alter table public.price_history enable row level security;

create index price_history_listing_id_country_changed_at_idx
on public.price_history (listing_id, country, changed_at desc);
create index price_history_product_id_idx on public.price_history (product_id);
create index price_history_retailer_product_id_idx
on public.price_history (retailer_product_id);
create index price_history_country_idx on public.price_history (country);
create index price_history_currency_idx on public.price_history (currency);

comment on table public.price_history is
'Every price that was ever live, from when: written with the price, never changed.';
comment on column public.price_history.amount is 'Null = from then on not for sale there.';
comment on column public.price_history.previous_amount is 'Null = was not for sale there.';

create policy select_listed on public.price_history
for select to anon, authenticated
using (
    exists (select from public.products as p where p.id = product_id)
    or exists (select from public.products_retailer as r where r.id = retailer_product_id)
);
comment on policy select_listed on public.price_history is
'These prices were all public; shown of the goods that the reader sees.';

grant select on public.price_history to anon, authenticated, service_role;

create or replace function private.tg_price_history__refuse_delete()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    -- A product that is deleted takes its history along: that is a trigger's doing.
    if pg_trigger_depth() = 1 then
        perform private.fail('record_immutable', tg_table_name);
    end if;
    return old;
end
$$;

create or replace function private.tg_product_prices__write_history()
returns trigger
language plpgsql
security definer
set search_path = ''
-- Planned once, for one row as for thousands: old and new are never compared each with each.
set enable_nestloop = off
as $$
begin
    if tg_op = 'INSERT' then
        insert into public.price_history (
            product_id, retailer_product_id, country, currency, amount, source
        )
        select n.product_id, n.retailer_product_id, n.country, n.currency, n.amount, n.source
        from changed as n
        where not n.is_held;
    elsif tg_op = 'UPDATE' then
        insert into public.price_history (
            product_id, retailer_product_id, country, currency, amount, previous_amount, source
        )
        select
            n.product_id, n.retailer_product_id, n.country, n.currency,
            case when not n.is_held then n.amount end,
            case when not o.is_held then o.amount end,
            n.source
        from changed as n
        inner join replaced as o on n.listing_id = o.listing_id and n.country = o.country
        where case when not n.is_held then n.amount end
            is distinct from case when not o.is_held then o.amount end;
    else
        insert into public.price_history (
            product_id, retailer_product_id, country, currency, previous_amount, source
        )
        select o.product_id, o.retailer_product_id, o.country, o.currency, o.amount, o.source
        from replaced as o
        where not o.is_held
            and (
                exists (select from public.products as p where p.id = o.product_id)
                or exists (
                    select from public.products_retailer as p where p.id = o.retailer_product_id
                )
            );
    end if;
    return null;
end
$$;

create trigger price_history_50_refuse_update
before update on public.price_history
for each row execute function private.tg__refuse_change();

create trigger price_history_50_refuse_delete
before delete on public.price_history
for each row execute function private.tg_price_history__refuse_delete();

create trigger product_prices_90_write_history_inserted
after insert on public.product_prices
referencing new table as changed
for each statement execute function private.tg_product_prices__write_history();

create trigger product_prices_90_write_history_updated
after update on public.product_prices
referencing old table as replaced new table as changed
for each statement execute function private.tg_product_prices__write_history();

create trigger product_prices_90_write_history_deleted
after delete on public.product_prices
referencing old table as replaced
for each statement execute function private.tg_product_prices__write_history();

revoke all on function private.tg_price_history__refuse_delete() from public;
revoke all on function private.tg_product_prices__write_history() from public;

comment on function private.tg_price_history__refuse_delete() is
'Trigger: history goes only with its product. Error: record_immutable.';
comment on function private.tg_product_prices__write_history() is
'Trigger: a price that begins, moves or ends is noted. Definer because nobody may write history.';
