-- The end of a run: what was not found twice is taken off, the report is written, and what was
-- staged is forgotten.

create or replace function private.count_absences(run_id uuid, batch integer)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_run private.sync_runs := (
        select r from private.sync_runs as r where r.id = count_absences.run_id
    );
    v_missed uuid [];
    v_is_absent boolean [];
    v_is_silent boolean [];
    v_delist_reasons text [];
    v_through text;
    v_absent integer;
    v_delisted uuid [];
begin
    -- In the order of the suppliers' ids, a batch at a time. What nobody answered for is neither
    -- there nor gone, until it has been so for too long; and what a bad hour hides counts once.
    select
        coalesce(array_agg(n.listing_id order by n.external_id), '{}'),
        array_agg(n.is_absent order by n.external_id),
        array_agg(n.is_silent order by n.external_id),
        array_agg(
            case
                when n.is_absent and n.absences + 1 >= n.absence_limit
                    then coalesce(n.reason, 'vanished')
            end
            order by n.external_id
        ),
        max(n.external_id)
    into v_missed, v_is_absent, v_is_silent, v_delist_reasons, v_through
    from (
        select
            l.listing_id, l.external_id, l.absences, x.reason, s.absence_limit, c.is_silent,
            (not c.is_silent or l.silences + 1 >= s.silence_limit)
            and (
                not v_run.is_scheduled
                or coalesce(l.missed_at <= now() - s.absence_gap, true)
            ) as is_absent
        from private.supplier_listings as l
        inner join private.sync_sources as s on l.platform = s.platform
        left join private.sync_items as x
            on x.run_id = v_run.id and l.external_id = x.external_id
        cross join lateral (
            select coalesce(x.reason = 'not_answered', false) as is_silent
        ) as c
        where l.platform = v_run.platform
            and l.delisted_at is null
            and l.external_id > coalesce(v_run.absences_through, '')
            and not exists (
                select from private.sync_items as i
                where i.run_id = v_run.id and i.listing_id = l.listing_id and i.reason is null
            )
        order by l.external_id
        limit count_absences.batch
    ) as n;
    -- Whoever is changing one of them by hand ends first: what they hold is seen below.
    perform
    from public.products as p
    inner join unnest(v_missed, v_delist_reasons) as m (id, reason) on p.id = m.id
    where m.reason is not null
    order by p.id
    for no key update of p;
    perform
    from public.products_retailer as p
    inner join unnest(v_missed, v_delist_reasons) as m (id, reason) on p.id = m.id
    where m.reason is not null
    order by p.id
    for no key update of p;
    perform
    from private.supplier_listings as l
    where l.listing_id = any(v_missed)
    order by l.listing_id
    for no key update;
    with counted as (
        update private.supplier_listings as l
        set silences = case when m.is_silent then least(l.silences + 1, 1000) else 0 end,
            absences = l.absences + m.is_absent::integer,
            missed_at = case when m.is_absent then now() else l.missed_at end,
            delisted_at = case when m.delist_reason is not null then now() end,
            delist_reason = m.delist_reason
        from unnest(v_missed, v_is_absent, v_is_silent, v_delist_reasons)
            as m (listing_id, is_absent, is_silent, delist_reason)
        where l.listing_id = m.listing_id and (m.is_absent or m.is_silent or l.silences > 0)
        returning l.listing_id, m.is_absent, l.delisted_at, l.held_columns
    )

    select
        count(*) filter (where c.is_absent),
        coalesce(
            array_agg(c.listing_id) filter (
                where c.delisted_at is not null and not 'is_active' = any(c.held_columns)
            ),
            '{}'
        )
    into v_absent, v_delisted
    from counted as c;
    update public.products as p set is_active = false
    where p.id = any(v_delisted) and p.is_active;
    update public.products_retailer as p set is_active = false
    where p.id = any(v_delisted) and p.is_active;
    return jsonb_build_object(
        'absent', v_absent,
        'delisted', cardinality(v_delisted),
        'through', v_through,
        'is_done', cardinality(v_missed) < count_absences.batch
    );
end
$$;

create or replace function private.sync_counts(run_id uuid)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        jsonb_build_object(
            'pages', (
                select count(*) from private.sync_pages as p
                where p.run_id = sync_counts.run_id
            ),
            'pages_open', (
                select count(*) from private.sync_pages as p
                where p.run_id = sync_counts.run_id and p.done_at is null
            ),
            'pages_given_up', (
                select count(*) from private.sync_pages as p
                where p.run_id = sync_counts.run_id and p.is_given_up
            ),
            'found', coalesce(sum(n.items), 0),
            'fetched', coalesce(sum(n.fetched), 0),
            'accepted', coalesce(sum(n.fetched) filter (where n.reason is null), 0),
            'rejected', coalesce(
                jsonb_object_agg(n.reason, n.items) filter (where n.reason is not null), '{}'
            )
        )
    from (
        select
            i.reason, count(*) as items,
            count(*) filter (where i.is_fetched) as fetched
        from private.sync_items as i
        where i.run_id = sync_counts.run_id
        group by i.reason
    ) as n
$$;

create or replace function service.finish_sync(run_id uuid, batch integer default 1000)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_run private.sync_runs;
    v_batch integer;
    v_absences jsonb;
    v_counts jsonb;
begin
    select r.* into v_run
    from private.sync_runs as r
    where r.id = finish_sync.run_id and r.status = 'applying'
    for update;
    if not found then
        return null;
    end if;
    v_batch := least(finish_sync.batch, v_run.batch_limit);
    begin
        -- What leaves the shelf leaves the lists of prices: before the first row, as in apply_sync.
        perform private.lock_prices();
        perform set_config('mallgram.sync_run_id', v_run.id::text, true);
        v_absences := private.count_absences(v_run.id, v_batch);
        perform set_config('mallgram.sync_run_id', '', true);
    exception
        when query_canceled then
            -- Too many for the time that a statement has: half as many next time.
            if v_batch = 1 then
                perform private.end_sync(v_run.id, 'failed', 'too_slow');
                return jsonb_build_object('is_done', true);
            end if;
            update private.sync_runs as r set batch_limit = v_batch / 2 where r.id = v_run.id;
            return jsonb_build_object('is_done', false);
    end;
    v_counts := private.add_counts(v_run.counts, v_absences - '{through,is_done}'::text []);
    if not (v_absences ->> 'is_done')::boolean then
        update private.sync_runs as r
        set counts = v_counts,
            absences_through = v_absences ->> 'through',
            batch_limit = private.next_batch_limit(r.batch_limit, finish_sync.batch)
        where r.id = v_run.id;
        return jsonb_build_object('is_done', false);
    end if;
    v_counts := jsonb_build_object(
        'new', 0, 'changed', 0, 'repriced', 0, 'restocked', 0, 'seen_again', 0
    ) || v_counts || private.sync_counts(v_run.id)
    || jsonb_build_object(
        'categories_waiting', (
            select count(*) from private.supplier_categories as c
            where c.platform = v_run.platform and c.status = 'waiting'
        )
    );
    update private.sync_runs as r set counts = v_counts where r.id = v_run.id;
    perform private.end_sync(v_run.id, 'done', null);
    return v_counts || '{"is_done": true}';
end
$$;

create or replace function service.clear_syncs(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_staged integer;
    v_items integer;
    v_pages integer;
begin
    delete from private.staged_products as s
    where s.id in (
        select o.id
        from private.staged_products as o
        inner join private.sync_runs as r on o.run_id = r.id
        where r.ended_at is not null
        limit clear_syncs.batch
    );
    get diagnostics v_staged = row_count;
    -- The newest ended run of a platform keeps its goods and their reasons, to be looked at.
    delete from private.sync_items as i
    where (i.run_id, i.external_id) in (
        select o.run_id, o.external_id
        from private.sync_items as o
        inner join private.sync_runs as r on o.run_id = r.id
        where r.ended_at < (
            select max(n.ended_at) from private.sync_runs as n where n.platform = r.platform
        )
        limit clear_syncs.batch
    );
    get diagnostics v_items = row_count;
    delete from private.sync_pages as p
    where (p.run_id, p.category, p.keyword, p.page) in (
        select o.run_id, o.category, o.keyword, o.page
        from private.sync_pages as o
        inner join private.sync_runs as r on o.run_id = r.id
        where r.ended_at < (
            select max(n.ended_at) from private.sync_runs as n where n.platform = r.platform
        )
        limit clear_syncs.batch
    );
    get diagnostics v_pages = row_count;
    return jsonb_build_object('staged', v_staged, 'items', v_items, 'pages', v_pages);
end
$$;

revoke all on function private.count_absences(uuid, integer) from public;
revoke all on function private.sync_counts(uuid) from public;
revoke all on function service.finish_sync(uuid, integer) from public;
revoke all on function service.clear_syncs(integer) from public;
grant execute on function service.finish_sync(uuid, integer) to mallgram_service;
grant execute on function service.clear_syncs(integer) to mallgram_service;

comment on function private.count_absences(uuid, integer) is
'Counts the next of what a run has not found on sale and good enough; as often as the source says, '
'it comes off the shelf: {absent, delisted, through, is_done}.';
comment on function private.sync_counts(uuid) is
'{pages, pages_open, found, fetched, accepted, rejected: {reason: goods}} of a run so far.';
comment on function service.finish_sync(uuid, integer) is
'Counts the next absences of a run that has been taken in: {is_done}; with the last of them it '
'ends the run, and is_done stands in its report. Null when it has ended already. Definer because '
'the tables are closed to the service.';
comment on function service.clear_syncs(integer) is
'Forgets what ended runs have staged, and goods and pages of all but the newest: {staged, items, '
'pages}. Definer because the tables are closed to the service.';
