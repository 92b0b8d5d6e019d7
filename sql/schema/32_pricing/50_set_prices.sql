create or replace function private.set_prices(listing_ids uuid [])
returns jsonb
language plpgsql
set search_path = ''
-- One listing or five thousand, in tables that nobody has counted yet: no plan may compare each
-- with each. (No plan_cache_mode: the rows' triggers would be planned anew for every row.)
set enable_nestloop = off
set jit = 'off'
as $$
declare
    v_prices private.rule_price [];
    v_unpriced private.rule_price [];
    v_floored private.rule_price [];
    v_inserted integer;
    v_updated integer;
    v_removed integer;
    v_held integer;
    v_held_now uuid [];
begin
    perform private.lock_prices();
    select
        coalesce(array_agg(p) filter (where p.problem is null), '{}'),
        coalesce(array_agg(p) filter (where p.problem is not null), '{}'),
        -- What is set by hand where nothing is sent has a floor as well.
        coalesce(
            array_agg(p) filter (
                where p.problem is null or (p.problem = 'not_served' and p.floor < 1000000000)
            ), '{}'
        )
    into v_prices, v_unpriced, v_floored
    from private.price_of(set_prices.listing_ids) as p;

    -- Floors that fall first, then the prices, then floors that rise: no price is ever under its
    -- floor, and one set by hand that a floor overtakes is held.
    update private.price_floors as f
    set amount = n.floor, cost = n.cost, cost_currency = n.cost_currency
    from unnest(v_floored) as n
    where f.listing_id = any(set_prices.listing_ids)
        and f.listing_id = n.listing_id
        and f.country = n.country
        and f.amount > n.floor;

    delete from public.product_prices as pp
    using unnest(v_unpriced) as n
    where pp.listing_id = any(set_prices.listing_ids)
        and pp.listing_id = n.listing_id
        and pp.country = n.country
        and pp.source = 'rule'
        and n.problem = 'not_served';
    get diagnostics v_removed = row_count;

    -- What now costs more than a price can be, or more than when it was last priced and cannot be
    -- priced anew, is not for sale at the price of another day.
    with held as (
        update public.product_prices as pp
        set is_held = true
        from unnest(v_unpriced) as n
        left join private.price_floors as f
            on f.listing_id = any(set_prices.listing_ids)
                and n.listing_id = f.listing_id
                and n.country = f.country
        where pp.listing_id = any(set_prices.listing_ids)
            and pp.listing_id = n.listing_id
            and pp.country = n.country
            and not pp.is_held
            and (
                n.problem = 'too_dear'
                or (
                    n.problem in ('rate_missing', 'tax_missing', 'rule_missing')
                    and (n.cost > f.cost or n.cost_currency <> f.cost_currency)
                )
            )
        returning pp.listing_id
    )

    select array_agg(h.listing_id) into v_held_now from held as h;
    if v_held_now is not null then
        perform private.report_held_prices(
            v_held_now, cardinality(v_held_now), 'unpriced'
        );
    end if;

    update public.product_prices as pp
    set amount = n.amount, is_held = false
    from unnest(v_prices) as n
    where pp.listing_id = any(set_prices.listing_ids)
        and pp.listing_id = n.listing_id
        and pp.country = n.country
        and pp.source = 'rule'
        and (pp.amount, pp.is_held) is distinct from (n.amount::numeric(12, 2), false);
    get diagnostics v_updated = row_count;

    insert into public.product_prices (
        product_id, retailer_product_id, country, currency, amount, source
    )
    select
        case when n.channel = 'retail' then n.listing_id end,
        case when n.channel = 'wholesale' then n.listing_id end,
        n.country, n.currency, n.amount, 'rule'
    from unnest(v_prices) as n
    left join public.product_prices as pp
        on pp.listing_id = any(set_prices.listing_ids)
            and n.listing_id = pp.listing_id
            and n.country = pp.country
    where pp.listing_id is null;
    get diagnostics v_inserted = row_count;

    insert into private.price_floors as f (
        listing_id, country, currency, amount, cost, cost_currency
    )
    select n.listing_id, n.country, n.currency, n.floor, n.cost, n.cost_currency
    from unnest(v_floored) as n
    left join private.price_floors as k
        on k.listing_id = any(set_prices.listing_ids)
            and n.listing_id = k.listing_id
            and n.country = k.country
    where (k.amount, k.cost, k.cost_currency)
        is distinct from (n.floor::numeric(12, 2), n.cost::numeric(12, 2), n.cost_currency)
    on conflict on constraint price_floors_pkey do update
    set amount = excluded.amount, cost = excluded.cost, cost_currency = excluded.cost_currency
    where (f.amount, f.cost, f.cost_currency)
        is distinct from (excluded.amount, excluded.cost, excluded.cost_currency);

    update public.product_prices as pp
    set is_held = false
    from unnest(v_floored) as n
    where pp.listing_id = any(set_prices.listing_ids)
        and pp.listing_id = n.listing_id
        and pp.country = n.country
        and pp.source = 'manual'
        and pp.is_held
        and pp.amount >= n.floor;

    select count(*) into v_held
    from public.product_prices as pp
    where pp.listing_id = any(set_prices.listing_ids) and pp.is_held;

    return jsonb_build_object(
        'priced', cardinality(v_prices),
        'written', v_inserted + v_updated + v_removed,
        'held', v_held,
        'unpriced', cardinality(v_unpriced)
    );
end
$$;

revoke all on function private.set_prices(uuid []) from public;

comment on function private.set_prices(uuid []) is
'Makes the prices of listings with a known cost anew, in every country, writing only what '
'differs; prices set by hand stay. At most some 5,000 at once; call private.lock_prices() before '
'touching rows of products in the same transaction. Counts of (listing, country): {priced, '
'written, held, unpriced}.';

-- All prices anew: after a rate, a rule or a tax has changed. One row says how far it has come, so
-- that whoever is killed on the way loses nothing.
create table private.repricings (
    is_only boolean primary key default true,
    requested_at timestamptz not null default '-infinity',
    started_at timestamptz not null default '-infinity',
    finished_at timestamptz not null default '-infinity',
    after_id uuid,
    constraint repricings_is_one_row check (is_only)
);

alter table private.repricings enable row level security;

comment on table private.repricings is
'One row: when all prices were last asked to be made anew, and how far that has come.';
comment on column private.repricings.after_id is
'The listing that was done last; null = at the beginning.';

create or replace function private.request_repricing()
returns void
language plpgsql
set search_path = ''
as $$
begin
    update private.repricings as r set requested_at = clock_timestamp() where true;
    perform private.emit(
        'reprice_products', '{}', 'reprice_products/' || pg_current_xact_id()::text
    );
end
$$;

create or replace function service.reprice_products(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_walk private.repricings;
    v_ids uuid [];
    v_result jsonb;
begin
    select r.* into v_walk from private.repricings as r for update;
    -- What changes by date, a tax or a rule of the calendar, shows within the day.
    if v_walk.finished_at >= v_walk.started_at
        and v_walk.started_at >= v_walk.requested_at
        and v_walk.finished_at > now() - interval '1 day' then
        return jsonb_build_object('priced', 0, 'written', 0, 'is_done', true);
    end if;
    if v_walk.finished_at >= v_walk.started_at or v_walk.started_at < v_walk.requested_at then
        v_walk.started_at := clock_timestamp();
        v_walk.after_id := null;
    end if;
    select array_agg(c.listing_id order by c.listing_id) into v_ids
    from (
        select p.listing_id
        from private.product_costs as p
        where v_walk.after_id is null or p.listing_id > v_walk.after_id
        order by p.listing_id
        limit reprice_products.batch
    ) as c;
    v_result := private.set_prices(coalesce(v_ids, '{}'));
    if v_ids is null or cardinality(v_ids) < reprice_products.batch then
        v_walk.finished_at := clock_timestamp();
        v_walk.after_id := null;
    else
        v_walk.after_id := v_ids[cardinality(v_ids)];
    end if;
    update private.repricings as r
    set started_at = v_walk.started_at,
        finished_at = v_walk.finished_at,
        after_id = v_walk.after_id
    where true;
    return jsonb_build_object(
        'priced', v_result -> 'priced',
        'written', v_result -> 'written',
        'is_done', v_walk.finished_at >= v_walk.started_at
    );
end
$$;

create or replace function service.continue_repricing()
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.emit(
        'reprice_products', '{}',
        concat_ws('/', 'reprice_products', r.started_at::text, r.after_id::text)
    )
    from private.repricings as r
    where r.finished_at < r.started_at;
    return '{}'::jsonb;
end
$$;

revoke all on function private.request_repricing() from public;
revoke all on function service.reprice_products(integer) from public;
revoke all on function service.continue_repricing() from public;
grant execute on function service.reprice_products(integer) to mallgram_service;
grant execute on function service.continue_repricing() to mallgram_service;

comment on function private.request_repricing() is
'Has every price made anew by the job reprice_products.';
comment on function service.reprice_products(integer) is
'Makes the next listings'' prices anew, if that was asked for or a day has passed: {priced, '
'written, is_done}. Call until is_done. Definer because prices have no write grant.';
comment on function service.continue_repricing() is
'Has another job go on where this one ends its time. Definer because the outbox is closed to the '
'service.';
