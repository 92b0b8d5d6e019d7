begin;
\ir ../_helpers.psql
select plan(51);

-- given an empty outbox and a job with three attempts
delete from private.outbox;
insert into private.jobs (job, queue, max_attempts)
values ('test_job', 'test_queue', 3), ('other_job', 'other_queue', 1);

create function tests.outbox_id(key text) returns uuid
language sql security definer as $$
    select o.id from private.outbox as o where o.dedupe_key = outbox_id.key
$$;

-- emit: one row, once a key
select private.emit('test_job', '{"order_id": 7}', 'a', now(), 'req-1');
select private.emit('test_job', '{"order_id": 8}', 'a', now() + interval '1 hour', 'req-2');
select results_eq(
    $$
    select o.job, o.args, o.dedupe_key, o.request_id, o.attempts, o.available_at, o.done_at,
        o.failed_at, o.last_error
    from private.outbox as o
    $$,
    $$
    values ('test_job', '{"order_id": 7}'::jsonb, 'a', 'req-1', 0::smallint, now(),
        null::timestamptz, null::timestamptz, null)
    $$,
    'a key that is emitted twice is one row, the first'
);
select private.emit('test_job', '{}');
select private.emit('test_job', '{}');
select is(
    (select count(*) from private.outbox as o where o.dedupe_key is null), 2::bigint,
    'rows without a key do not shadow one another'
);
delete from private.outbox where dedupe_key is null;
select tests.violates(
    $$select private.emit('test_job', '[1]')$$, 'outbox_args_are_object', 'args are an object'
);
select tests.violates(
    $$select private.emit('no_such_job', '{}')$$, 'outbox_job_fkey', 'an unknown job is refused'
);

-- claim: leased rows are nobody else's
select tests.act_as_service();
select is(
    service.claim_outbox(10, 60),
    jsonb_build_array(jsonb_build_object(
        'outbox_id', tests.outbox_id('a'), 'job', 'test_job', 'queue', 'test_queue',
        'attempt', 1, 'request_id', 'req-1'
    )),
    'a due row is claimed'
);
select is(service.claim_outbox(10, 60), '[]'::jsonb, 'a leased row is not claimed again');
select is(
    service.begin_job(tests.outbox_id('a'), 1),
    jsonb_build_object(
        'outbox_id', tests.outbox_id('a'), 'job', 'test_job', 'args', '{"order_id": 7}'::jsonb,
        'attempt', 1, 'is_last', false, 'request_id', 'req-1'
    ),
    'the claimed attempt begins with its args'
);
select is(service.begin_job(tests.outbox_id('a'), 2), null, 'an attempt not yet made is skipped');
select is(service.begin_job(gen_random_uuid(), 1), null, 'an unknown row is skipped');

-- when the lease runs out
select tests.act_as_owner();
select is(
    (select o.available_at from private.outbox as o), now() + interval '60 seconds',
    'the lease lasts as long as it was asked for'
);
update private.outbox set available_at = now();
select tests.act_as_service();
select is(
    service.claim_outbox(10, 60) #>> '{0,attempt}', '2', 'a row whose lease ran out comes again'
);
select is(
    service.begin_job(tests.outbox_id('a'), 1), null, 'the superseded attempt is skipped'
);
select isnt(service.begin_job(tests.outbox_id('a'), 2), null, 'the newest attempt is not');

-- a superseded attempt reports to nobody
select is(
    service.record_job_failed(tests.outbox_id('a'), 1, 'late'), null,
    'a superseded attempt cannot fail the newest'
);
select service.record_job_done(tests.outbox_id('a'), 1);
select isnt(
    service.begin_job(tests.outbox_id('a'), 2), null, 'nor can it end the row'
);

-- failing: back-off, then dead
select is(
    service.record_job_failed(tests.outbox_id('a'), 2, 'it broke'),
    jsonb_build_object(
        'attempts', 2, 'is_dead', false, 'next_attempt_at', now() + interval '4 seconds'
    ),
    'the second failure waits 4 seconds'
);
select is(service.claim_outbox(10, 60), '[]'::jsonb, 'a row that backs off is not claimed');
select is(
    service.record_job_failed(tests.outbox_id('a'), 2, repeat('x', 600), 90),
    jsonb_build_object(
        'attempts', 2, 'is_dead', false, 'next_attempt_at', now() + interval '90 seconds'
    ),
    'a longer wait that the outside asks for is kept'
);
select tests.act_as_owner();
select is(
    (select char_length(o.last_error) from private.outbox as o), 500,
    'an error is kept to 500 characters'
);
update private.outbox set available_at = now();
select tests.act_as_service();
select service.claim_outbox(10, 60);
select is(
    service.begin_job(tests.outbox_id('a'), 3) ->> 'is_last', 'true',
    'the last attempt knows that it is'
);
select is(
    service.record_job_failed(tests.outbox_id('a'), 3, 'broke for good'),
    '{"attempts": 3, "is_dead": true, "next_attempt_at": null}'::jsonb,
    'a failure of the last attempt ends the row'
);
select is(
    service.record_job_failed(tests.outbox_id('a'), 3, 'again'), null, 'a dead row stays dead'
);
select service.record_job_done(tests.outbox_id('a'), 3);
select is(service.begin_job(tests.outbox_id('a'), 3), null, 'a dead row is skipped');
select tests.act_as_owner();
select results_eq(
    'select o.attempts, o.failed_at, o.done_at, o.last_error from private.outbox as o',
    $$values (3::smallint, now(), null::timestamptz, 'broke for good')$$,
    'a dead row keeps when and why, and cannot be done'
);
update private.outbox set available_at = now(), failed_at = now() - interval '1 hour';
select tests.act_as_service();
select is(service.claim_outbox(10, 60), '[]'::jsonb, 'a dead row is not claimed');
select tests.act_as_owner();
select is(
    (select o.failed_at from private.outbox as o), now() - interval '1 hour',
    'and does not die again'
);

-- the back-off doubles up to ten minutes
update private.jobs set max_attempts = 20 where job = 'test_job';
select private.emit('test_job', '{}', 'backoff');
create function tests.wait_after(attempts integer) returns interval
language plpgsql security definer as $$
begin
    update private.outbox as o
    set attempts = wait_after.attempts
    where o.dedupe_key = 'backoff';
    return (
        service.record_job_failed(tests.outbox_id('backoff'), wait_after.attempts, 'x')
        ->> 'next_attempt_at'
    )::timestamptz - now();
end
$$;
select is(
    array(select tests.wait_after(n) from unnest(array[1, 2, 3, 8, 9, 10, 19]) as n),
    array['2 s', '4 s', '8 s', '256 s', '512 s', '600 s', '600 s']::interval [],
    'waits are 2 s, 4 s, 8 s and so on, never above 10 minutes'
);
select is(
    (
        service.record_job_failed(tests.outbox_id('backoff'), 19, 'x', 1) ->> 'next_attempt_at'
    )::timestamptz,
    now() + interval '600 seconds', 'a shorter wait than the back-off is not taken'
);

-- done ends a row
delete from private.outbox;
select private.emit('test_job', '{}', 'b');
select tests.act_as_service();
select service.claim_outbox(10, 60);
select is(service.record_job_done(tests.outbox_id('b'), 1), null, 'done answers nothing');
select is(service.begin_job(tests.outbox_id('b'), 1), null, 'a done row is skipped');
select is(
    service.record_job_failed(tests.outbox_id('b'), 1, 'late'), null, 'a done row cannot fail'
);
select tests.act_as_owner();
select results_eq(
    'select o.done_at, o.failed_at, o.last_error from private.outbox as o',
    'values (now(), null::timestamptz, null::text)', 'a done row keeps when, and no error'
);
update private.outbox set available_at = now();
select tests.act_as_service();
select is(service.claim_outbox(10, 60), '[]'::jsonb, 'a done row is not claimed');
select tests.act_as_owner();
select tests.violates(
    'update private.outbox set failed_at = now()', 'outbox_ends_once', 'a row ends once'
);

-- a worker that dies without a word: attempts used up make the row dead
delete from private.outbox;
select private.emit('other_job', '{}', 'c');
select tests.act_as_service();
select is(service.claim_outbox(10, 60) #>> '{0,attempt}', '1', 'its only attempt is claimed');
select tests.act_as_owner();
update private.outbox set available_at = now();
select tests.act_as_service();
select is(service.claim_outbox(10, 60), '[]'::jsonb, 'there is no attempt left');
select tests.act_as_owner();
select results_eq(
    'select o.attempts, o.failed_at, o.last_error from private.outbox as o',
    $$values (1::smallint, now(), 'no worker finished it')$$, 'the row is dead and says why'
);
update private.outbox set failed_at = null, last_error = 'the first error';
select service.claim_outbox(10, 60);
select is(
    (select o.last_error from private.outbox as o), 'the first error',
    'an error that is known is not written over'
);

-- what is claimed: due only, oldest due first, so many, these queues
delete from private.outbox;
select private.emit('test_job', '{}', 'third', now() - interval '1 minute');
select private.emit('test_job', '{}', 'first', now() - interval '3 minutes');
select private.emit('other_job', '{}', 'second', now() - interval '2 minutes');
select private.emit('test_job', '{}', 'later', now() + interval '1 second');
select tests.act_as_service();
select is(
    service.claim_outbox(1, 60) #>> '{0,outbox_id}', tests.outbox_id('first')::text,
    'the row that waits longest comes first, and no more than asked for'
);
select is(
    service.claim_outbox(10, 60, '{no_queue}'), '[]'::jsonb, 'no row of another queue is claimed'
);
select is(
    service.claim_outbox(10, 60, '{other_queue}') #>> '{0,outbox_id}',
    tests.outbox_id('second')::text, 'a queue''s rows are claimed alone'
);
select is(
    service.claim_outbox(10, 60, '{test_queue,other_queue}') #>> '{0,outbox_id}',
    tests.outbox_id('third')::text, 'several queues are claimed at once'
);
select is(service.claim_outbox(10, 60), '[]'::jsonb, 'a row of the future is not claimed');
select is(
    jsonb_array_length(service.claim_outbox(0, 60)), 0, 'a batch of none claims none'
);

-- the jobs that were shipped
select tests.act_as_owner();
delete from private.outbox;
delete from private.jobs where job in ('test_job', 'other_job');
select results_eq(
    'select j.job, j.queue, j.max_attempts::integer from private.jobs as j order by j.job',
    $$
    values
    ('announce_stock', 'mail', 8),
    ('archive', 'maintenance', 3),
    ('check_invariants', 'maintenance', 3),
    ('check_refund', 'payments', 8),
    ('copy_pictures', 'supply', 8),
    ('count_catalogue', 'maintenance', 3),
    ('count_search', 'maintenance', 3),
    ('embed_search', 'maintenance', 3),
    ('handle_webhook', 'payments', 12),
    ('reconcile_payments', 'payments', 8),
    ('refresh_rates', 'maintenance', 5),
    ('refresh_search', 'maintenance', 8),
    ('refresh_supplier_tokens', 'maintenance', 5),
    ('release_holds', 'maintenance', 3),
    ('reprice_products', 'maintenance', 8),
    ('send_email', 'mail', 12),
    ('send_refund', 'payments', 8),
    ('sync_products', 'supply', 12)
    $$,
    'each job has its queue and its number of attempts'
);
select tests.violates(
    $$insert into private.jobs values ('Bad Job', 'q', 1)$$,
    'jobs_job_is_snake_case', 'a job is snake case'
);
select tests.violates(
    $$insert into private.jobs values ('good_job', 'q', 0)$$,
    'jobs_max_attempts_positive', 'a job has an attempt'
);
select private.emit('send_email', '{}');
select tests.violates(
    $$delete from private.jobs where job = 'send_email'$$,
    'outbox_job_fkey', 'a job with work left cannot be taken away'
);

-- nobody but the service
select tests.act_as_anon();
select tests.denies('select service.claim_outbox(1, 1)', 'a guest cannot claim work');
select tests.make_user('amina');
select tests.act_as('amina');
select tests.denies('select service.claim_outbox(1, 1)', 'a shopper cannot claim work');
select tests.act_as_service_role();
select tests.denies('select service.claim_outbox(1, 1)', 'the API key''s role cannot claim work');

select * from finish();
rollback;
