-- A run whose work dies is taken up again, but not for ever.
begin;
\ir ../_helpers.psql
\ir _runs.psql
select plan(9);

update private.sync_sources set next_run_at = now() + interval '1 day';
select private.start_sync('aliexpress');
select tests.name_it('run', tests.run());

-- All work of the run is dead; an hour later comes the tick. What waits to be done then.
create function tests.dies_once_more() returns bigint
language plpgsql as $$
begin
    update private.outbox
    set failed_at = now(), last_error = 'JobTimeoutException', dedupe_key = gen_random_uuid()
    where job = 'sync_products' and failed_at is null and done_at is null;
    perform service.begin_due_syncs('{aliexpress}');
    return (
        select count(*) from private.outbox as o
        where o.job = 'sync_products' and o.failed_at is null and o.done_at is null
    );
end
$$;
create function tests.status() returns text
language sql stable as $$
    select concat_ws(' ', r.status, r.losses, r.failure)
    from private.sync_runs as r where r.id = tests.id('run')
$$;

select service.begin_due_syncs('{aliexpress}');
select is(tests.status(), 'collecting 0', 'a run whose work waits is not lost');
select is(tests.dies_once_more(), 1::bigint, 'one whose work died is taken up again');
select is(tests.status(), 'collecting 1', 'and that is counted');
select service.begin_sync_slice(tests.id('run'));
select service.continue_sync(tests.id('run'), 1);
select is(tests.status(), 'collecting 0', 'a slice that ends well ends the row');
select tests.dies_once_more() from generate_series(1, 2);
select is(tests.status(), 'collecting 2', 'twice in a row it goes on');
select is(tests.dies_once_more(), 0::bigint, 'the third time there is no more work');
select is(
    tests.status(), 'failed 2 work_lost: JobTimeoutException', 'the run has failed, with the error'
);
select is(
    (
        select count(*) from private.payment_exceptions as e
        where e.kind = 'sync_failed' and e.subject_id = tests.id('run') and e.resolved_at is null
    ),
    1::bigint, 'which the admins are told'
);
select isnt(
    private.start_sync('aliexpress'), null, 'and no longer keeps the next run out'
);

select * from finish();
rollback;
