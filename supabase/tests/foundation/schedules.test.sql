begin;
\ir ../_helpers.psql
select plan(17);

-- given one schedule alone, a minute each, and an empty outbox
delete from private.outbox;
update private.schedules set is_enabled = false;
insert into private.jobs (job, queue) values ('test_tick', 'test_queue');
insert into private.schedules (job, every, next_run_at)
values ('test_tick', interval '1 minute', '2026-01-05 10:00:00+00');

create function tests.due(periods_ago numeric) returns void
language sql security definer as $$
    update private.schedules as s
    set next_run_at = now() - due.periods_ago * s.every, last_run_at = null
    where s.job = 'test_tick'
$$;
create function tests.ticks() returns bigint
language sql security definer as $$
    select count(*) from private.outbox as o where o.job = 'test_tick'
$$;

-- when it is not due yet
select tests.due(-0.5);
select tests.act_as_service();
select is(service.claim_schedules(), '{"claimed": 0}'::jsonb, 'a schedule that is not due rests');
select is(tests.ticks(), 0::bigint, 'and emits nothing');

-- when it is due
select tests.due(0);
select is(service.claim_schedules(), '{"claimed": 1}'::jsonb, 'a due schedule is claimed');
select is(service.claim_schedules(), '{"claimed": 0}'::jsonb, 'and is then not due');
select tests.act_as_owner();
select results_eq(
    'select o.job, o.args, o.dedupe_key, o.available_at from private.outbox as o',
    $$
    select 'test_tick', '{}'::jsonb,
        'test_tick/' || to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US'), now()
    $$,
    'one row, its period in the key'
);
select results_eq(
    $$select s.next_run_at, s.last_run_at from private.schedules as s where s.job = 'test_tick'$$,
    $$values (now() + interval '1 minute', now())$$,
    'the next run is a period later, not a period from when it was claimed'
);

-- when the same period comes again (a relay that died after its insert)
select tests.due(0);
select is(service.claim_schedules(), '{"claimed": 1}'::jsonb, 'the same period is claimed again');
select is(tests.ticks(), 1::bigint, 'and emits no second row');

-- when periods were missed
delete from private.outbox;
select tests.due(3.5);
select service.claim_schedules();
select results_eq(
    'select o.dedupe_key from private.outbox as o order by o.dedupe_key',
    $$
    select 'test_tick/' || to_char(
        (now() - (3.5 - n) * interval '1 minute') at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US'
    )
    from generate_series(0, 3) as n
    $$,
    'each missed period is caught up, the one that is due included'
);
select is(
    (select s.next_run_at from private.schedules as s where s.job = 'test_tick'),
    now() + interval '30 seconds', 'the rhythm is kept'
);

delete from private.outbox;
select tests.due(100);
select service.claim_schedules();
select is(tests.ticks(), 24::bigint, 'after a long rest at most 24 periods are caught up');
select results_eq(
    'select min(o.dedupe_key), max(o.dedupe_key) from private.outbox as o',
    $$
    select 'test_tick/' || to_char(
            (now() - interval '23 minutes') at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US'
        ),
        'test_tick/' || to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US')
    $$,
    'namely the last ones'
);

-- when it is switched off
select tests.due(5);
update private.schedules set is_enabled = false where job = 'test_tick';
select is(service.claim_schedules(), '{"claimed": 0}'::jsonb, 'a schedule that is off rests');

-- what was shipped
select results_eq(
    $$select s.job, s.every from private.schedules as s where s.job <> 'test_tick' order by s.job$$,
    $$
    values
    ('archive', interval '7 days'),
    ('check_invariants', interval '1 day'),
    ('copy_pictures', interval '15 minutes'),
    ('count_catalogue', interval '5 minutes'),
    ('count_search', interval '1 day'),
    ('embed_search', interval '10 minutes'),
    ('reconcile_payments', interval '15 minutes'),
    ('refresh_rates', interval '6 hours'),
    ('refresh_search', interval '5 minutes'),
    ('refresh_supplier_tokens', interval '1 hour'),
    ('release_holds', interval '1 minute'),
    ('reprice_products', interval '5 minutes'),
    ('sync_products', interval '1 hour')
    $$,
    'each schedule has its period'
);
select tests.violates(
    $$update private.schedules set every = '0.5 seconds' where job = 'test_tick'$$,
    'schedules_every_positive', 'no schedule runs wild'
);
select tests.violates(
    $$insert into private.schedules (job, every) values ('no_such_job', '1 day')$$,
    'schedules_job_fkey', 'a schedule is of a known job'
);
select tests.act_as_service_role();
select tests.denies(
    'select service.claim_schedules()', 'the API key''s role cannot claim schedules'
);

select * from finish();
rollback;
