-- Between fetching and taking in: what of a run is good enough, what is the same thing twice, which
-- of our products each is; and whether the whole would change more than a person has allowed.

create or replace function private.image_key(url text)
returns text
language sql
immutable
set search_path = ''
as $$
    select nullif(substring(image_key.url from '([^/]+?)(?:_\d+x\d+)?\.[a-zA-Z]+(?:[?_].*)?$'), '')
$$;

create or replace function private.note_freight(run_id uuid)
returns void
language plpgsql
set search_path = ''
set jit = 'off'
as $$
declare
    v_platform text := (
        select r.platform from private.sync_runs as r where r.id = note_freight.run_id
    );
begin
    insert into private.supplier_freight as f (
        platform, external_id, country, fee, currency, min_days, max_days
    )
    select
        v_platform, s.external_id, q.country, q.fee, coalesce(q.currency, s.currency),
        q.min_days, q.max_days
    from private.staged_products as s
    cross join lateral jsonb_to_recordset(s.freight) as q (
        country text, fee numeric, currency text, min_days smallint, max_days smallint
    )
    where s.run_id = note_freight.run_id
        -- A fee in a currency that the shop does not know is not known.
        and exists (
            select from public.currencies as k where k.code = coalesce(q.currency, s.currency)
        )
        and exists (select from public.countries as n where n.code = q.country)
    on conflict on constraint supplier_freight_pkey do update
    set fee = excluded.fee,
        currency = excluded.currency,
        min_days = excluded.min_days,
        max_days = excluded.max_days,
        asked_at = excluded.asked_at;
end
$$;

create or replace function private.prepare_judgement(run_id uuid)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_run private.sync_runs := (
        select r from private.sync_runs as r where r.id = prepare_judgement.run_id
    );
begin
    -- A slice that was killed after its COPY has staged some goods twice: the last one counts.
    delete from private.staged_products as s
    using private.staged_products as t
    where s.run_id = v_run.id
        and t.run_id = v_run.id
        and s.external_id = t.external_id
        and s.id < t.id;
    -- Categories that only a good's own page has named wait for a person as well.
    insert into private.supplier_categories as c (
        platform, external_id, parent_external_id, name, suggested_category_id
    )
    select distinct on (p.leaf)
        v_run.platform, p.leaf, p.parent, p.name, private.suggest_category(p.name)
    from (
        select
            s.category_path[cardinality(s.category_path)] as leaf,
            s.category_path[cardinality(s.category_path) - 1] as parent,
            left(s.category_name, 300) as name
        from private.staged_products as s
        where s.run_id = v_run.id
    ) as p
    where p.leaf ~ '^[[:graph:]]{1,100}$'
    order by p.leaf, p.parent nulls last
    on conflict on constraint supplier_categories_pkey do nothing;
    perform private.note_freight(v_run.id);
    -- Thousands of rows since anybody counted: what follows is planned with true numbers.
    analyze private.staged_products, private.sync_items, private.supplier_freight;
end
$$;

create or replace function private.judge_sync(run_id uuid, after text, batch integer)
returns text
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_run private.sync_runs := (
        select r from private.sync_runs as r where r.id = judge_sync.run_id
    );
    v_banned text := private.banned_pattern();
    v_upto text;
begin
    select max(n.external_id) into v_upto
    from (
        select i.external_id
        from private.sync_items as i
        where i.run_id = v_run.id and i.is_fetched and i.external_id > judge_sync.after
        order by i.external_id
        limit judge_sync.batch
    ) as n;
    if v_upto is null then
        return null;
    end if;
    with mapped as materialized (
        select m.external_id, m.status, m.category_id
        from private.mapped_categories(v_run.platform) as m
    ),

    staged as materialized (
        select
            s.external_id, concat_ws(' / ', s.title, i.title_fr) as title, s.aliases, s.status,
            s.rating,
            s.review_count, s.order_count, s.seller_rating, s.stock, s.price, s.currency,
            m.category_id, m.status as category_status,
            cardinality(s.image_urls) as image_count,
            s.category_path[cardinality(s.category_path)] as leaf
        from private.staged_products as s
        inner join private.sync_items as i
            on s.run_id = i.run_id and s.external_id = i.external_id
        left join mapped as m on s.category_path[cardinality(s.category_path)] = m.external_id
        where s.run_id = v_run.id
            and s.external_id > judge_sync.after
            and s.external_id <= v_upto
    ),

    median as (
        select
            p.leaf, count(*) as listings,
            percentile_cont(0.5) within group (order by p.price)::numeric as price
        from (
            select s.price, s.category_path[cardinality(s.category_path)] as leaf
            from private.staged_products as s
            where s.run_id = v_run.id
        ) as p
        where p.leaf is not null and p.price > 0
        group by p.leaf
    ),

    shipped as (
        select f.external_id, count(f.fee)::integer as ship_to_count
        from private.supplier_freight as f
        where f.platform = v_run.platform
            and f.external_id > judge_sync.after
            and f.external_id <= v_upto
        group by f.external_id
    ),

    fact as materialized (
        select
            s.external_id, row_number() over (order by s.external_id) as place,
            row(
                s.title ~* v_banned, s.rating, s.review_count, s.order_count, s.seller_rating,
                s.image_count, s.stock, f.ship_to_count, s.price,
                case when m.listings >= 10 then s.price / nullif(m.price, 0) end
            )::private.supplier_facts as facts
        from staged as s
        left join median as m on s.leaf = m.leaf
        left join shipped as f on s.external_id = f.external_id
    ),

    broken as materialized (
        select b.place, b.reasons
        from private.broken_rules(
            (select array_agg(f.facts order by f.place) from fact as f), v_run.channel
        ) as b
    ),

    judged as (
        select
            s.external_id, s.category_id,
            -- Under any of its ids, unless it is on the shelf itself.
            case
                when exists (
                    select from private.supplier_refused as h
                    where h.platform = v_run.platform
                        and h.external_id = any(s.aliases || s.external_id)
                ) and not exists (
                    select from private.supplier_listings as l
                    where l.platform = v_run.platform and l.external_id = s.external_id
                ) then array['removed_by_hand']
                else '{}'
            end
            || case when s.status = 'gone' then array['product_gone'] else '{}' end
            || case
                when s.category_status = 'ignored' then array['category_ignored']
                when s.category_id is null then array['category_unmapped']
                else '{}'
            end
            || case when s.price > 0 then '{}' else array['price_missing'] end
            || case
                when exists (
                    select from private.pricing_rates as d where d.currency = s.currency
                ) then '{}'
                else array['currency_unknown']
            end
            || coalesce(b.reasons, '{}') as reasons
        from staged as s
        inner join fact as f on s.external_id = f.external_id
        left join broken as b on f.place = b.place
    )

    update private.sync_items as i
    set reasons = j.reasons, reason = j.reasons[1], category_id = j.category_id
    from judged as j
    where i.run_id = v_run.id
        and i.external_id = j.external_id
        and i.is_fetched
        and i.reason is null;
    -- Sold out is no reason to forget what is on the shelf: it stays there, with nothing to sell.
    update private.sync_items as i
    set reasons = array_remove(i.reasons, 'stock_out'),
        reason = (array_remove(i.reasons, 'stock_out'))[1]
    from private.supplier_listings as l
    where i.run_id = v_run.id
        and i.reason = 'stock_out'
        and i.external_id > judge_sync.after
        and i.external_id <= v_upto
        and l.platform = v_run.platform
        and l.external_id = i.external_id;
    return v_upto;
end
$$;

create or replace function private.fold_duplicates(run_id uuid)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_platform text := (
        select r.platform from private.sync_runs as r where r.id = fold_duplicates.run_id
    );
begin
    -- Either of two may name the other. The same thing under two ids has the same least id; the
    -- same picture is looked at more closely.
    with other as materialized (
        select s.external_id, a.id
        from private.staged_products as s
        cross join lateral unnest(s.aliases) as a (id)
        where s.run_id = fold_duplicates.run_id and a.id <> s.external_id
    ),

    family as materialized (
        select n.external_id, min(n.id collate "C") as family
        from (
            select o.external_id, o.id from other as o
            union all
            select o.id, o.external_id from other as o
        ) as n
        group by n.external_id
    ),

    good as materialized (
        select
            s.external_id, s.title, s.price, i.category_id,
            least(s.external_id collate "C", y.family) as family,
            private.image_key(s.image_urls[1]) as image_key,
            (l.listing_id is not null) as is_known,
            coalesce(s.rating, 3) * ln(2 + coalesce(s.order_count, 0)) as score
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        left join private.supplier_listings as l
            on l.platform = v_platform and i.external_id = l.external_id
        left join family as y on i.external_id = y.external_id
        where i.run_id = fold_duplicates.run_id and i.reason is null
    ),

    ranked as (
        select
            g.external_id, g.title, g.price, g.category_id, g.family, g.image_key,
            first_value(g.external_id) over (
                partition by g.family
                order by g.is_known desc, g.score desc, g.price, g.external_id collate "C"
            ) as best_of_family,
            row_number() over (
                partition by g.image_key
                order by g.is_known desc, g.score desc, g.price, g.external_id collate "C"
            ) as place
        from good as g
    ),

    folded as (
        select r.external_id, r.best_of_family as original
        from ranked as r
        where r.external_id <> r.best_of_family
        union all
        select b.external_id, b.original
        from (
            select distinct on (r.external_id) r.external_id, o.external_id as original
            from ranked as r
            inner join ranked as o on r.image_key = o.image_key
            where o.place < r.place
                -- A name that hundreds of files have ("1.jpg") says nothing, and costs the square.
                and r.place <= 50
                and r.external_id = r.best_of_family
                and o.external_id = o.best_of_family
                and greatest(o.price, r.price) <= least(o.price, r.price) * 1.1
                and extensions.similarity(o.title, r.title) >= 0.9
            order by r.external_id, o.place
        ) as b
    )

    update private.sync_items as i
    set reason = 'duplicate', reasons = array['duplicate'], duplicate_of = f.original
    from folded as f
    where i.run_id = fold_duplicates.run_id and i.external_id = f.external_id;
end
$$;

create or replace function private.match_sync_items(run_id uuid)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_platform text := (
        select r.platform from private.sync_runs as r where r.id = match_sync_items.run_id
    );
    v_channel public.product_channel := (
        select r.channel from private.sync_runs as r where r.id = match_sync_items.run_id
    );
begin
    with item as (
        select i.external_id, s.aliases, s.seller_external_id
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        where i.run_id = match_sync_items.run_id and i.reason is null
    ),

    alias as (
        select distinct on (a.external_id) a.external_id, a.listing_id
        from (
            select distinct on (l.listing_id) i.external_id, l.listing_id
            from item as i
            cross join lateral unnest(i.aliases) as o (id)
            inner join private.supplier_listings as l
                on l.platform = v_platform and o.id = l.external_id
            where not exists (select from item as n where n.external_id = l.external_id)
            order by l.listing_id, i.external_id
        ) as a
        order by a.external_id, a.listing_id
    ),

    -- Products that were put in by hand with their supplier's id.
    adopted as (
        select i.external_id, p.id as listing_id
        from item as i
        inner join public.suppliers as u
            on u.platform = v_platform and i.seller_external_id = u.external_id
        inner join (
            select p.id, p.supplier_id, p.external_id
            from public.products as p
            where v_channel = 'retail'
            union all
            select p.id, p.supplier_id, p.external_id
            from public.products_retailer as p
            where v_channel = 'wholesale'
        ) as p on u.id = p.supplier_id and i.external_id = p.external_id
        where not exists (
            select from private.supplier_listings as l where l.listing_id = p.id
        )
    )

    update private.sync_items as i
    set listing_id = coalesce(l.listing_id, a.listing_id, d.listing_id, gen_random_uuid())
    from item as n
    left join private.supplier_listings as l
        on l.platform = v_platform and n.external_id = l.external_id
    left join alias as a on n.external_id = a.external_id
    left join adopted as d on n.external_id = d.external_id
    where i.run_id = match_sync_items.run_id
        and i.external_id = n.external_id
        and i.listing_id is null;
end
$$;

create or replace function private.sync_change_share(run_id uuid)
returns numeric
language sql
stable
set search_path = ''
as $$
    with live as (
        select p.id, p.name, p.category_id
        from public.products as p
        where p.is_active
        union all
        select p.id, p.name, p.category_id
        from public.products_retailer as p
        where p.is_active
    )

    select
        case
            when count(*) < 20 then 0
            else round(
                (count(*) filter (
                    where case
                        when i.reason is null and i.listing_id is not null
                            then (c.cost, c.currency)
                                is distinct from (s.price::numeric(12, 2), s.currency)
                                or s.stock = 0 and k.available > 0
                                or not 'name' = any(l.held_columns) and p.name <> s.title
                                or not 'category_id' = any(l.held_columns)
                                and p.category_id <> i.category_id
                        else x.reason is distinct from 'not_answered'
                    end
                ))::numeric / count(*), 4
            )
        end
    from private.sync_runs as r
    inner join private.supplier_listings as l on r.platform = l.platform
    inner join live as p on l.listing_id = p.id
    left join private.sync_items as i on i.run_id = r.id and l.listing_id = i.listing_id
    left join private.sync_items as x on x.run_id = r.id and l.external_id = x.external_id
    left join private.staged_products as s
        on i.run_id = s.run_id and i.external_id = s.external_id
    left join private.product_costs as c on l.listing_id = c.listing_id
    left join public.product_stock as k on l.listing_id = k.listing_id
    where r.id = sync_change_share.run_id
$$;

create or replace function service.decide_sync(run_id uuid)
returns jsonb
language plpgsql
security definer
set search_path = ''
set jit = 'off'
as $$
declare
    v_run private.sync_runs;
    v_deadline timestamptz := clock_timestamp() + interval '3 seconds';
    v_through text;
    v_next text;
    v_share numeric;
    v_status private.sync_status := 'applying'::private.sync_status;
begin
    select r.* into v_run
    from private.sync_runs as r
    where r.id = decide_sync.run_id and r.status = 'collecting'
    for update;
    if not found then
        return jsonb_build_object('status', null, 'change_share', null);
    end if;
    -- An attempt that was thought dead may have noted more since the caller looked.
    if v_run.judged_through is null and (exists (
        select from private.sync_items as i
        where i.run_id = v_run.id and not i.is_fetched and i.reason is null
    ) or exists (
        select from private.sync_pages as p where p.run_id = v_run.id and p.done_at is null
    )) then
        return jsonb_build_object('status', 'collecting', 'change_share', null);
    end if;
    v_through := v_run.judged_through;
    if v_through is null then
        perform private.prepare_judgement(v_run.id);
        v_through := '';
    end if;
    -- So much at a time that no run is too large for the time that a statement has.
    loop
        if clock_timestamp() >= v_deadline then
            update private.sync_runs as r set judged_through = v_through where r.id = v_run.id;
            return jsonb_build_object('status', 'collecting', 'change_share', null);
        end if;
        v_next := private.judge_sync(v_run.id, v_through, 5000);
        exit when v_next is null;
        v_through := v_next;
    end loop;
    perform private.fold_duplicates(v_run.id);
    perform private.match_sync_items(v_run.id);
    -- What was counted before the match knows of no listing at all.
    analyze private.sync_items;
    v_share := private.sync_change_share(v_run.id);
    if v_share > (
        select s.change_limit from private.sync_sources as s where s.platform = v_run.platform
    ) then
        v_status := 'waiting'::private.sync_status;
        perform private.open_payment_exception(
            kind => 'sync_waiting', subject_id => v_run.id,
            detail => format('%s: %s %%', v_run.platform, round(v_share * 100, 1)),
            evidence => jsonb_build_object('run_id', v_run.id, 'change_share', v_share)
        );
    end if;
    update private.sync_runs as r
    set status = v_status, change_share = v_share, decided_at = now()
    where r.id = v_run.id;
    return jsonb_build_object('status', v_status, 'change_share', v_share);
end
$$;

revoke all on function private.image_key(text) from public;
revoke all on function private.note_freight(uuid) from public;
revoke all on function private.prepare_judgement(uuid) from public;
revoke all on function private.judge_sync(uuid, text, integer) from public;
revoke all on function private.fold_duplicates(uuid) from public;
revoke all on function private.match_sync_items(uuid) from public;
revoke all on function private.sync_change_share(uuid) from public;
revoke all on function service.decide_sync(uuid) from public;
grant execute on function service.decide_sync(uuid) to mallgram_service;

comment on function private.image_key(text) is
'The name of a picture''s file without its size, the same on every mirror of the supplier.';
comment on function private.note_freight(uuid) is
'Keeps what a run was told of freights, for those goods that it is not asked for next time.';
comment on function private.prepare_judgement(uuid) is
'Leaves one row of each good that was staged twice, notes new categories and freights, and counts.';
comment on function private.judge_sync(uuid, text, integer) is
'Gives the next fetched goods of a run, in the order of the suppliers'' ids, our category and the '
'reasons that speak against them: the last id, null when there are none left.';
comment on function private.fold_duplicates(uuid) is
'Leaves one of each thing: the same under several ids, or the same picture with nearly the same '
'title and price. What is in the shop stays, else the best rated and most ordered.';
comment on function private.match_sync_items(uuid) is
'Finds which product each good is, by its id, by another of its ids, by hand among those of the '
'run''s channel; new ones get an id.';
comment on function private.sync_change_share(uuid) is
'Part of the platform''s live listings whose cost, name or category a run would change, that it '
'would sell out or that it has not found; 0 below twenty listings.';
comment on function service.decide_sync(uuid) is
'Judges a run for some seconds: {status, change_share}; collecting while something is still to be '
'read or judged, waiting when it would change too much, which the admins are told. Definer because '
'the tables are closed to the service.';
