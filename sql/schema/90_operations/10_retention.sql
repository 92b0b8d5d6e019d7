create or replace function service.apply_retention(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_keys integer;
    v_outbox integer;
    v_events integer;
    v_searches integer;
    v_limits integer;
begin
    delete from private.idempotency_keys as k
    where (k.user_id, k.operation, k.idempotency_key) in (
        select o.user_id, o.operation, o.idempotency_key
        from private.idempotency_keys as o
        where o.created_at < now() - interval '30 days'
        limit apply_retention.batch
    );
    get diagnostics v_keys = row_count;

    delete from private.outbox as o
    where o.id in (
        select d.id
        from private.outbox as d
        where (d.done_at is not null or d.failed_at is not null)
            and coalesce(d.done_at, d.failed_at)
            < now() - case
                when d.failed_at is null then interval '7 days' else interval '90 days'
            end
        limit apply_retention.batch
    );
    get diagnostics v_outbox = row_count;

    -- The notice stays as a fact for a year, its body with the payer's name and number does not.
    update private.webhook_events as e
    set raw = '', headers = '{}'
    where e.id in (
        select d.id
        from private.webhook_events as d
        where d.handled_at < now() - interval '180 days' and d.raw <> ''
        limit apply_retention.batch
    );
    get diagnostics v_events = row_count;

    delete from private.searches as s
    where s.id in (
        select d.id
        from private.searches as d
        where d.created_at < now() - interval '90 days'
        limit apply_retention.batch
    );
    get diagnostics v_searches = row_count;
    -- What it meant is the same words; what people still search for is embedded anew.
    delete from private.query_embeddings as e
    where e.embedded_at < now() - interval '90 days';

    delete from private.rate_limits as l
    where l.refilled_at < now() - interval '1 day';
    get diagnostics v_limits = row_count;

    return jsonb_build_object(
        'idempotency_keys', v_keys, 'outbox', v_outbox, 'webhook_events', v_events,
        'searches', v_searches, 'rate_limits', v_limits
    );
end
$$;

create or replace function service.check_invariants()
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_view text;
    v_row jsonb;
    v_found jsonb := '[]'::jsonb;
begin
    for v_view in
        select v.viewname::text
        from pg_catalog.pg_views as v
        where v.schemaname = 'private' and v.viewname like 'invariant\_%'
        order by v.viewname
    loop
        for v_row in execute format('select to_jsonb(v) from private.%I as v limit 100', v_view)
        loop
            v_found := v_found || v_row;
            perform private.open_payment_exception(
                kind => 'invariant_violated', subject_id => (v_row ->> 'subject_id')::uuid,
                detail => concat_ws(': ', v_row ->> 'check_name', v_row ->> 'detail'),
                evidence => v_row
            );
        end loop;
    end loop;
    return v_found;
end
$$;

revoke all on function service.check_invariants() from public;
grant execute on function service.check_invariants() to mallgram_service;

comment on function service.check_invariants() is
'[{check_name, subject_id, detail}] of all invariant views; each row goes before a person, once. '
'Definer because the views are closed to the service.';

create or replace function service.ping()
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select
        jsonb_build_object(
            'now', now(),
            'open_outbox', (
                select count(*)
                from private.outbox as o
                where o.done_at is null and o.failed_at is null and o.available_at <= now()
            )
        )
$$;

revoke all on function service.apply_retention(integer) from public;
revoke all on function service.ping() from public;
grant execute on function service.apply_retention(integer) to mallgram_service;
grant execute on function service.ping() to mallgram_service;

comment on function service.apply_retention(integer) is
'Forgets what is past its time: keys after 30 days, done work after 7 (dead after 90), bodies of '
'notices after 180, searches and their vectors after 90, idle buckets after one. Rows touched: '
'{idempotency_keys, outbox, webhook_events, searches, rate_limits}. Definer because the tables are '
'closed to the service.';
comment on function service.ping() is
'{now, open_outbox}: the database answers, and how many rows of work are due. Definer because the '
'outbox is closed to the service.';
