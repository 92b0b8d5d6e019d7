-- What admins see of the syncs and decide about them.

create or replace function private.text_cursor(list text, key text)
returns text
language sql
immutable
set search_path = ''
as $$
    select
        translate(
            encode(
                convert_to(
                    jsonb_build_object('s', text_cursor.list, 'i', text_cursor.key)::text, 'utf8'
                ),
                'base64'
            ),
            E'\n', ''
        )
$$;

create or replace function private.read_text_cursor(cursor text, list text)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    v_cursor jsonb;
begin
    if read_text_cursor.cursor is null then
        return '';
    end if;
    v_cursor := convert_from(decode(read_text_cursor.cursor, 'base64'), 'utf8')::jsonb;
    if v_cursor ->> 's' is distinct from read_text_cursor.list or v_cursor ->> 'i' is null then
        perform private.fail('cursor_invalid', left(read_text_cursor.cursor, 200));
    end if;
    return v_cursor ->> 'i';
exception
    when data_exception then
        perform private.fail('cursor_invalid', left(read_text_cursor.cursor, 200));
        return null;
end
$$;

revoke all on function private.text_cursor(text, text) from public;
revoke all on function private.read_text_cursor(text, text) from public;

comment on function private.text_cursor(text, text) is
'Where a list that is ordered by a text goes on: after this key.';
comment on function private.read_text_cursor(text, text) is
'The key of a cursor of that list; empty without one. Error: cursor_invalid.';

create or replace function private.sync_run_as_json(run private.sync_runs)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        jsonb_build_object(
            'id', run.id,
            'platform', run.platform,
            'channel', run.channel,
            'status', run.status,
            'requested_by', run.requested_by,
            'started_at', run.started_at,
            'decided_at', run.decided_at,
            'ended_at', run.ended_at,
            'change_share', run.change_share,
            'pause_reason', run.pause_reason,
            'failure', run.failure,
            'reviewed_by', run.reviewed_by,
            'note', run.note,
            'counts', case
                when run.status in ('done', 'discarded', 'failed') then run.counts
                else run.counts || private.sync_counts(run.id)
            end
        )
$$;

create or replace function private.sync_runs(platform text, page_size integer)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.require_admin();
    if sync_runs.page_size is null or sync_runs.page_size not between 1 and 100 then
        perform private.fail('page_size_invalid');
    end if;
    return (
        select coalesce(jsonb_agg(private.sync_run_as_json(r) order by r.started_at desc), '[]')
        from (
            select *
            from private.sync_runs as n
            where sync_runs.platform is null or n.platform = sync_runs.platform
            order by n.started_at desc
            limit sync_runs.page_size
        ) as r
    );
end
$$;

create or replace function private.request_sync(platform text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_admin();
    v_run private.sync_runs;
begin
    if not exists (
        select from private.sync_sources as s where s.platform = request_sync.platform
    ) then
        perform private.fail('input_invalid', 'platform');
    end if;
    perform private.start_sync(request_sync.platform, v_user_id);
    -- Asked for twice, it is the run that is under way.
    select r.* into v_run
    from private.sync_runs as r
    where r.platform = request_sync.platform
        and r.status in ('collecting', 'waiting', 'applying');
    return private.sync_run_as_json(v_run);
end
$$;

create or replace function private.review_sync_run(run_id uuid, decision text, note text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_admin();
    v_run private.sync_runs;
begin
    select r.* into v_run
    from private.sync_runs as r
    where r.id = review_sync_run.run_id
    for update;
    if not found then
        perform private.fail('sync_run_not_found');
    end if;
    if review_sync_run.decision is null
        or review_sync_run.decision not in ('approve', 'discard') then
        perform private.fail('input_invalid', 'decision');
    end if;
    if v_run.status <> 'waiting' then
        perform private.fail('sync_run_not_waiting', v_run.status::text);
    end if;
    update private.sync_runs as r
    set status = case
            when review_sync_run.decision = 'approve' then 'applying'::private.sync_status
            else 'discarded'
        end,
        ended_at = case when review_sync_run.decision = 'discard' then now() end,
        counts = r.counts || private.sync_counts(r.id),
        reviewed_by = v_user_id,
        note = review_sync_run.note
    where r.id = v_run.id
    returning r.* into v_run;
    update private.payment_exceptions as e
    set resolved_at = now(), resolution = 'settled'
    where e.kind = 'sync_waiting' and e.subject_id = v_run.id and e.resolved_at is null;
    if v_run.status = 'applying' then
        perform private.emit(
            'sync_products', jsonb_build_object('run_id', v_run.id),
            'sync_products/' || v_run.id || '/approved', wakes_relay => true
        );
    end if;
    return private.sync_run_as_json(v_run);
end
$$;

create or replace function private.sync_rejections(
    run_id uuid, reason text, cursor text, page_size integer
)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_after text;
begin
    perform private.require_admin();
    if sync_rejections.page_size is null or sync_rejections.page_size not between 1 and 100 then
        perform private.fail('page_size_invalid');
    end if;
    v_after := private.read_text_cursor(sync_rejections.cursor, 'sync_rejections');
    return (
        select
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'external_id', n.external_id,
                        'title', n.title_en,
                        'reason', n.reason,
                        'reasons', n.reasons,
                        'duplicate_of', n.duplicate_of,
                        'cursor', private.text_cursor('sync_rejections', n.external_id)
                    )
                    order by n.external_id
                ),
                '[]'
            )
        from (
            select i.external_id, i.title_en, i.reason, i.reasons, i.duplicate_of
            from private.sync_items as i
            where i.run_id = sync_rejections.run_id
                and i.reason is not null
                and (sync_rejections.reason is null or i.reason = sync_rejections.reason)
                and i.external_id > v_after
            order by i.external_id
            limit sync_rejections.page_size
        ) as n
    );
end
$$;

create or replace function private.supplier_categories(
    platform text, status text, cursor text, page_size integer
)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_after text;
begin
    perform private.require_admin();
    if supplier_categories.page_size is null
        or supplier_categories.page_size not between 1 and 100 then
        perform private.fail('page_size_invalid');
    end if;
    v_after := private.read_text_cursor(supplier_categories.cursor, 'supplier_categories');
    return (
        select
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'platform', n.platform,
                        'external_id', n.external_id,
                        'parent_external_id', n.parent_external_id,
                        'name', n.name,
                        'name_fr', n.name_fr,
                        'status', n.status,
                        'category_id', n.category_id,
                        'suggested_category_id', n.suggested_category_id,
                        'cursor', private.text_cursor('supplier_categories', n.external_id)
                    )
                    order by n.external_id
                ),
                '[]'
            )
        from (
            select *
            from private.supplier_categories as c
            where c.platform = supplier_categories.platform
                and (supplier_categories.status is null or c.status = supplier_categories.status)
                and c.external_id > v_after
            order by c.external_id
            limit supplier_categories.page_size
        ) as n
    );
end
$$;

create or replace function private.map_supplier_category(
    platform text, external_id text, category_id uuid
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_admin();
begin
    if map_supplier_category.category_id is not null and not exists (
        select from public.categories as c where c.id = map_supplier_category.category_id
    ) then
        perform private.fail('category_not_found');
    end if;
    update private.supplier_categories as c
    set category_id = map_supplier_category.category_id,
        status = case
            when map_supplier_category.category_id is null then 'ignored' else 'mapped'
        end,
        decided_by = v_user_id,
        decided_at = now()
    where c.platform = map_supplier_category.platform
        and c.external_id = map_supplier_category.external_id;
    if not found then
        perform private.fail('supplier_category_not_found');
    end if;
    return (
        select
            jsonb_build_object(
                'platform', c.platform, 'external_id', c.external_id, 'name', c.name,
                'status', c.status, 'category_id', c.category_id
            )
        from private.supplier_categories as c
        where c.platform = map_supplier_category.platform
            and c.external_id = map_supplier_category.external_id
    );
end
$$;

create or replace function private.release_held_columns(product_id uuid, columns text [])
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_held text [];
begin
    perform private.require_admin();
    -- "<> all (null)" keeps nothing: without columns everything would be given back.
    if release_held_columns.columns is null
        or array_position(release_held_columns.columns, null) is not null then
        perform private.fail('input_invalid', 'columns');
    end if;
    update private.supplier_listings as l
    set held_columns = array(
        select h.column_name
        from unnest(l.held_columns) as h (column_name)
        where h.column_name <> all(release_held_columns.columns)
        order by h.column_name
    )
    where l.listing_id = release_held_columns.product_id
    returning l.held_columns into v_held;
    if not found then
        perform private.fail('product_not_found');
    end if;
    return jsonb_build_object('held_columns', to_jsonb(v_held));
end
$$;

create or replace function private.readmit_product(platform text, external_id text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.require_admin();
    delete from private.supplier_refused as r
    where r.platform = readmit_product.platform and r.external_id = readmit_product.external_id;
    if not found then
        perform private.fail('product_not_found');
    end if;
    return jsonb_build_object(
        'platform', readmit_product.platform, 'external_id', readmit_product.external_id
    );
end
$$;

create or replace function private.quality_rules()
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.require_admin();
    return (
        select coalesce(jsonb_agg(to_jsonb(r) order by r.position), '[]')
        from private.quality_rules as r
    );
end
$$;

create or replace function private.set_quality_rule(
    rule text, minimum numeric, maximum numeric, is_enabled boolean
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_rule private.quality_rules;
begin
    perform private.require_admin();
    if set_quality_rule.is_enabled is null
        or num_nonnulls(set_quality_rule.minimum, set_quality_rule.maximum) = 0
        or set_quality_rule.minimum > set_quality_rule.maximum
        or set_quality_rule.minimum in ('NaN', 'Infinity', '-Infinity')
        or set_quality_rule.maximum in ('NaN', 'Infinity', '-Infinity') then
        perform private.fail('input_invalid', 'minimum, maximum, is_enabled');
    end if;
    update private.quality_rules as r
    set minimum = set_quality_rule.minimum,
        maximum = set_quality_rule.maximum,
        is_enabled = set_quality_rule.is_enabled
    where r.rule = set_quality_rule.rule
    returning r.* into v_rule;
    if not found then
        perform private.fail('quality_rule_not_found');
    end if;
    return to_jsonb(v_rule);
end
$$;

create or replace function service.start_sync(platform text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.start_sync(start_sync.platform);
    return (
        select private.sync_run_as_json(r)
        from private.sync_runs as r
        where r.platform = start_sync.platform
            and r.status in ('collecting', 'waiting', 'applying')
    );
end
$$;

create or replace function service.sync_progress(run_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return (
        select private.sync_run_as_json(r)
        from private.sync_runs as r
        where r.id = sync_progress.run_id
    );
end
$$;

revoke all on function service.start_sync(text) from public;
revoke all on function service.sync_progress(uuid) from public;
grant execute on function service.start_sync(text) to mallgram_service;
grant execute on function service.sync_progress(uuid) to mallgram_service;

comment on function service.start_sync(text) is
'Starts a run now, for whoever sits at the terminal: the run, which is the one under way if there '
'is one; null for an unknown platform. Definer because the runs are closed to the service.';
comment on function service.sync_progress(uuid) is
'A run with its counts so far; null when there is none. Definer because the runs are closed to the '
'service.';

revoke all on function private.sync_run_as_json(private.sync_runs) from public;
revoke all on function private.sync_runs(text, integer) from public;
revoke all on function private.request_sync(text) from public;
revoke all on function private.review_sync_run(uuid, text, text) from public;
revoke all on function private.sync_rejections(uuid, text, text, integer) from public;
revoke all on function private.supplier_categories(text, text, text, integer) from public;
revoke all on function private.map_supplier_category(text, text, uuid) from public;
revoke all on function private.release_held_columns(uuid, text []) from public;
revoke all on function private.readmit_product(text, text) from public;
revoke all on function private.quality_rules() from public;
revoke all on function private.set_quality_rule(text, numeric, numeric, boolean) from public;
grant execute on function private.sync_runs(text, integer) to authenticated;
grant execute on function private.request_sync(text) to authenticated;
grant execute on function private.review_sync_run(uuid, text, text) to authenticated;
grant execute on function private.sync_rejections(uuid, text, text, integer) to authenticated;
grant execute on function private.supplier_categories(text, text, text, integer) to authenticated;
grant execute on function private.map_supplier_category(text, text, uuid) to authenticated;
grant execute on function private.release_held_columns(uuid, text []) to authenticated;
grant execute on function private.readmit_product(text, text) to authenticated;
grant execute on function private.quality_rules() to authenticated;
grant execute on function private.set_quality_rule(text, numeric, numeric, boolean)
to authenticated;

comment on function private.sync_run_as_json(private.sync_runs) is
'A run as admins see it, with its counts so far.';
comment on function private.sync_runs(text, integer) is
'Core of sync_runs. Definer because the runs are closed to its callers.';
comment on function private.request_sync(text) is
'Core of request_sync. Definer because the runs are closed to its callers.';
comment on function private.review_sync_run(uuid, text, text) is
'Core of review_sync_run. Definer because the runs are closed to its callers.';
comment on function private.sync_rejections(uuid, text, text, integer) is
'Core of sync_rejections. Definer because the runs are closed to its callers.';
comment on function private.supplier_categories(text, text, text, integer) is
'Core of supplier_categories. Definer because the map is closed to its callers.';
comment on function private.map_supplier_category(text, text, uuid) is
'Core of map_supplier_category. Definer because the map is closed to its callers.';
comment on function private.release_held_columns(uuid, text []) is
'Core of release_held_columns. Definer because the links are closed to its callers.';
comment on function private.readmit_product(text, text) is
'Core of readmit_product. Definer because what is refused is closed to its callers.';
comment on function private.quality_rules() is
'Core of quality_rules. Definer because the rules are closed to its callers.';
comment on function private.set_quality_rule(text, numeric, numeric, boolean) is
'Core of set_quality_rule. Definer because the rules are closed to its callers.';

create or replace function public.sync_runs(
    platform text default null, page_size integer default 20
)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select private.sync_runs(sync_runs.platform, sync_runs.page_size)
$$;

create or replace function public.request_sync(platform text)
returns jsonb
language sql
set search_path = ''
as $$
    select private.request_sync(request_sync.platform)
$$;

create or replace function public.review_sync_run(
    run_id uuid, decision text, note text default null
)
returns jsonb
language sql
set search_path = ''
as $$
    select
        private.review_sync_run(
            review_sync_run.run_id, review_sync_run.decision, review_sync_run.note
        )
$$;

create or replace function public.sync_rejections(
    run_id uuid, reason text default null, cursor text default null, page_size integer default 50
)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        private.sync_rejections(
            sync_rejections.run_id, sync_rejections.reason, sync_rejections.cursor,
            sync_rejections.page_size
        )
$$;

create or replace function public.supplier_categories(
    platform text,
    status text default 'waiting',
    cursor text default null,
    page_size integer default 50
)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        private.supplier_categories(
            supplier_categories.platform, supplier_categories.status, supplier_categories.cursor,
            supplier_categories.page_size
        )
$$;

create or replace function public.map_supplier_category(
    platform text, external_id text, category_id uuid default null
)
returns jsonb
language sql
set search_path = ''
as $$
    select
        private.map_supplier_category(
            map_supplier_category.platform, map_supplier_category.external_id,
            map_supplier_category.category_id
        )
$$;

create or replace function public.release_held_columns(product_id uuid, columns text [])
returns jsonb
language sql
set search_path = ''
as $$
    select
        private.release_held_columns(
            release_held_columns.product_id, release_held_columns.columns
        )
$$;

create or replace function public.readmit_product(platform text, external_id text)
returns jsonb
language sql
set search_path = ''
as $$
    select private.readmit_product(readmit_product.platform, readmit_product.external_id)
$$;

create or replace function public.quality_rules()
returns jsonb
language sql
stable
set search_path = ''
as $$
    select private.quality_rules()
$$;

create or replace function public.set_quality_rule(
    rule text, minimum numeric, maximum numeric, is_enabled boolean
)
returns jsonb
language sql
set search_path = ''
as $$
    select
        private.set_quality_rule(
            set_quality_rule.rule, set_quality_rule.minimum, set_quality_rule.maximum,
            set_quality_rule.is_enabled
        )
$$;

revoke all on function public.sync_runs(text, integer) from public;
revoke all on function public.request_sync(text) from public;
revoke all on function public.review_sync_run(uuid, text, text) from public;
revoke all on function public.sync_rejections(uuid, text, text, integer) from public;
revoke all on function public.supplier_categories(text, text, text, integer) from public;
revoke all on function public.map_supplier_category(text, text, uuid) from public;
revoke all on function public.release_held_columns(uuid, text []) from public;
revoke all on function public.readmit_product(text, text) from public;
revoke all on function public.quality_rules() from public;
revoke all on function public.set_quality_rule(text, numeric, numeric, boolean) from public;
grant execute on function public.sync_runs(text, integer) to authenticated;
grant execute on function public.request_sync(text) to authenticated;
grant execute on function public.review_sync_run(uuid, text, text) to authenticated;
grant execute on function public.sync_rejections(uuid, text, text, integer) to authenticated;
grant execute on function public.supplier_categories(text, text, text, integer) to authenticated;
grant execute on function public.map_supplier_category(text, text, uuid) to authenticated;
grant execute on function public.release_held_columns(uuid, text []) to authenticated;
grant execute on function public.readmit_product(text, text) to authenticated;
grant execute on function public.quality_rules() to authenticated;
grant execute on function public.set_quality_rule(text, numeric, numeric, boolean)
to authenticated;

comment on function public.sync_runs(text, integer) is
'For admins: syncs of the catalogue, newest first, with their progress: [{id, platform, channel, '
'status, started_at, decided_at, ended_at, change_share, pause_reason, failure, note, counts}]. '
'Errors: authentication_required, admin_required, page_size_invalid.';
comment on function public.request_sync(text) is
'For admins: starts a sync now; the run, which is the one under way if there is one. Errors: '
'authentication_required, admin_required, input_invalid.';
comment on function public.review_sync_run(uuid, text, text) is
'For admins: approve or discard a run that waits because it would change too much: the run. '
'Errors: authentication_required, admin_required, sync_run_not_found, sync_run_not_waiting, '
'input_invalid.';
comment on function public.sync_rejections(uuid, text, text, integer) is
'For admins: goods that a run did not take in, for one reason or any: [{external_id, title, '
'reason, reasons, duplicate_of, cursor}]. Errors: authentication_required, admin_required, '
'page_size_invalid, cursor_invalid.';
comment on function public.supplier_categories(text, text, text, integer) is
'For admins: a supplier''s categories, by default those that wait to be mapped, each with our most '
'alike one. Errors: authentication_required, admin_required, page_size_invalid, cursor_invalid.';
comment on function public.map_supplier_category(text, text, uuid) is
'For admins: says what a supplier''s category is here; null: its goods are not wanted. Errors: '
'authentication_required, admin_required, category_not_found, supplier_category_not_found.';
comment on function public.release_held_columns(uuid, text []) is
'For admins: gives columns of a product that were changed by hand back to the sync: '
'{held_columns}. Errors: authentication_required, admin_required, product_not_found.';
comment on function public.readmit_product(text, text) is
'For admins: a good whose product was deleted by hand may come back with the next sync: {platform, '
'external_id}. Errors: authentication_required, admin_required, product_not_found.';
comment on function public.quality_rules() is
'For admins: what goods must be like to be taken in, in order. Errors: authentication_required, '
'admin_required.';
comment on function public.set_quality_rule(text, numeric, numeric, boolean) is
'For admins: changes the range of a rule or switches it off: the rule. Errors: '
'authentication_required, admin_required, quality_rule_not_found, input_invalid.';
