-- A run whose supplier does not answer waits, longer each time, and not for ever.
begin;
\ir ../_helpers.psql
\ir _runs.psql
select plan(11);

select private.start_sync('aliexpress');
select tests.name_it('run', tests.run());

create table tests.waits (pauses integer, seconds numeric);
-- The run is paused once more, after so many pauses that began so long ago.
create function tests.pause(
    pauses integer,
    wait_seconds integer default 0,
    since interval default '1 minute',
    reason text default 'timed_out'
)
returns jsonb
language plpgsql as $$
declare
    v_slice integer;
    v_answer jsonb;
begin
    update private.sync_runs
    set pauses = pause.pauses,
        paused_at = case when pause.pauses > 0 then now() - pause.since end
    where id = tests.id('run');
    v_slice := (service.begin_sync_slice(tests.id('run')) ->> 'slice')::integer;
    v_answer := service.continue_sync(
        tests.id('run'), v_slice, pause.wait_seconds, pause.reason
    );
    insert into tests.waits (pauses, seconds)
    select (v_answer ->> 'pauses')::integer, extract(epoch from o.available_at - now())
    from private.outbox as o
    where o.dedupe_key = 'sync_products/' || tests.id('run') || '/' || v_slice;
    return v_answer;
end
$$;
create function tests.run_state() returns text
language sql stable as $$
    select concat_ws(' ', r.status, r.pauses, r.paused_at is null, r.failure)
    from private.sync_runs as r where r.id = tests.id('run')
$$;

-- 20 times each of the first ten pauses
select tests.pause(n % 10) from generate_series(0, 199) as n;
select results_eq(
    $$select w.pauses, count(*) from tests.waits as w
    where w.seconds between least(60, 2 ^ w.pauses) / 2 and least(60, 2 ^ w.pauses)
    group by w.pauses order by w.pauses$$,
    'select n, 20::bigint from generate_series(1, 10) as n',
    'a wait is 1 to 2 s, 2 to 4 s, 4 to 8 s and so on, never above a minute'
);
select is_empty(
    $$select w.pauses from tests.waits as w group by w.pauses having count(distinct w.seconds) < 10$$,
    'how long in between is chance'
);

delete from tests.waits;
select tests.pause(3, 1) from generate_series(1, 2);
select tests.pause(59, 14229, '1 hour');
select results_eq(
    'select w.seconds from tests.waits as w order by w.seconds',
    'values (1::numeric), (1), (14229)', 'a wait that the supplier names is kept as it is'
);

-- not for ever
select tests.pause(0);
select is(tests.run_state(), 'collecting 1 f', 'the first pause has its time');
select is(
    tests.pause(100, since => '11 hours 59 minutes'), '{"pauses": 101, "is_active": true}',
    'many pauses are borne for half a day'
);
select is(
    tests.pause(58, since => '3 days'), '{"pauses": 59, "is_active": true}',
    'and few long ones for longer'
);
select tests.pause(100, reason => null);
select is(tests.run_state(), 'collecting 0 t', 'a slice that ends well ends the row');
insert into private.sync_pages (run_id, keyword, category, page)
values (tests.id('run'), '', '11', 1);
select tests.pause(100);
select service.record_sync_page(tests.id('run'), '', '11', 1, '{"a": {}}', null);
select is(tests.run_state(), 'collecting 0 t', 'and so does a page that is read');
select tests.stages('a', '{}');
select tests.pause(100);
select service.record_sync_details(tests.id('run'), '{}');
select is(tests.run_state(), 'collecting 0 t', 'and a good');
select is(
    tests.pause(59, since => '12 hours'), '{"is_active": false}', 'sixty in half a day are enough'
);
select is(tests.run_state(), 'failed 60 f timed_out', 'the run has failed, with the reason');

select * from finish();
rollback;
