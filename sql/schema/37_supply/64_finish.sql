-- The end of a run: what was not found twice is taken off, the report is written, and what was
-- staged is forgotten.

create or replace function private.count_absences(run_id uuid)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_platform text := (
        select r.platform from private.sync_runs as r where r.id = count_absences.run_id
    );
    v_absent uuid [];
    v_gone uuid [];
begin
    with missed as (
        update private.supplier_listings as l
        set absences = l.absences + 1,
            delisted_at = case when l.absences >= 1 then now() end,
            delist_reason = case
                when l.absences >= 1 then coalesce(
                    (
                        select x.reason from private.sync_items as x
                        where x.run_id = count_absences.run_id
                            and x.external_id = l.external_id
                    ),
                    'vanished'
                )
            end
        where l.platform = v_platform
            and l.delisted_at is null
            -- A page that nobody answered hides what was not found, not what was looked at.
            and (
                exists (
                    select from private.sync_items as x
                    where x.run_id = count_absences.run_id
                        and x.external_id = l.external_id
                        and x.reason is not null
                )
                or not exists (
                    select from private.sync_pages as g
                    where g.run_id = count_absences.run_id and g.is_given_up
                )
            )
            and not exists (
                select from private.sync_items as i
                where i.run_id = count_absences.run_id
                    and i.listing_id = l.listing_id
                    and i.reason is null
            )
            -- What did not answer is neither there nor gone.
            and not exists (
                select from private.sync_items as x
                where x.run_id = count_absences.run_id
                    and x.external_id = l.external_id
                    and x.reason = 'not_answered'
            )
        returning l.listing_id, l.delisted_at, l.held_columns
    )

    select
        coalesce(array_agg(m.listing_id), '{}'),
        coalesce(
            array_agg(m.listing_id) filter (
                where m.delisted_at is not null and not 'is_active' = any(m.held_columns)
            ),
            '{}'
        )
    into v_absent, v_gone
    from missed as m;
    update public.products as p set is_active = false
    where p.id = any(v_gone) and p.is_active;
    update public.products_retailer as p set is_active = false
    where p.id = any(v_gone) and p.is_active;
    return jsonb_build_object('absent', cardinality(v_absent), 'delisted', cardinality(v_gone));
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

create or replace function service.finish_sync(run_id uuid)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_run private.sync_runs;
    v_counts jsonb;
begin
    select r.* into v_run
    from private.sync_runs as r
    where r.id = finish_sync.run_id and r.status = 'applying'
    for update;
    if not found then
        return null;
    end if;
    perform set_config('mallgram.sync_run_id', v_run.id::text, true);
    v_counts := jsonb_build_object(
        'new', 0, 'changed', 0, 'repriced', 0, 'restocked', 0, 'seen_again', 0
    ) || v_run.counts || private.sync_counts(v_run.id) || private.count_absences(v_run.id)
    || jsonb_build_object(
        'categories_waiting', (
            select count(*) from private.supplier_categories as c
            where c.platform = v_run.platform and c.status = 'waiting'
        )
    );
    perform set_config('mallgram.sync_run_id', '', true);
    update private.sync_runs as r set counts = v_counts where r.id = v_run.id;
    perform private.end_sync(v_run.id, 'done', null);
    return v_counts;
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

revoke all on function private.count_absences(uuid) from public;
revoke all on function private.sync_counts(uuid) from public;
revoke all on function service.finish_sync(uuid) from public;
revoke all on function service.clear_syncs(integer) from public;
grant execute on function service.finish_sync(uuid) to mallgram_service;
grant execute on function service.clear_syncs(integer) to mallgram_service;

comment on function private.count_absences(uuid) is
'Counts what a run has not found on sale and good enough; the second time it comes off the shelf: '
'{absent, delisted}.';
comment on function private.sync_counts(uuid) is
'{pages, pages_open, found, fetched, accepted, rejected: {reason: goods}} of a run so far.';
comment on function service.finish_sync(uuid) is
'Ends a run that has been taken in: its report; null when it has ended already. Definer because '
'the tables are closed to the service.';
comment on function service.clear_syncs(integer) is
'Forgets what ended runs have staged, and goods and pages of all but the newest: {staged, items, '
'pages}. Definer because the tables are closed to the service.';
