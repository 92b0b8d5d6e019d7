-- Asking the gateway: closely at first, hourly to the end of a day, then it is a person's.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(67);

-- given amina and her attempts
select tests.make_user('amina', 'fr', 'CM');
select tests.make_product('shoe', 1000);
create function tests.attempt_named(name text) returns uuid
language plpgsql as $$
begin
    perform tests.place_order(
        'order-' || name, 'amina', jsonb_build_array(tests.item('shoe', 1))
    );
    perform tests.begin_payment(name, 'order-' || name);
    return tests.id(name);
end
$$;
create function tests.polled(name text, outcome text default 'pending') returns jsonb
language sql as $$
    select tests.as_service(format(
        'service.record_payment_check(%L, %L)', tests.id(polled.name), polled.outcome
    ))
$$;

-- What a check needs ------------------------------------------------------------------------------

select tests.attempt_named('first');
select is(
    tests.as_service(format('service.begin_payment_check(%L)', tests.id('first'))),
    (
        select jsonb_build_object(
            'payment_id', p.id, 'order_id', p.order_id, 'gateway', 'kora',
            'method', 'kora_checkout', 'reference', p.reference, 'gateway_transaction_id', null,
            'gateway_session', null, 'amount', 8500.00, 'currency', 'XAF',
            'refunded_amount', 0.00, 'status', 'pending', 'order_status', 'pending',
            'action', null, 'failure_reason', null, 'expires_at', null, 'created_at', p.created_at,
            'started_at', p.created_at, 'checks', 0, 'is_settled', false
        )
        from tests.payment('first') as p
    ),
    'a poll learns what to ask for'
);
select is(
    tests.as_service(format('service.begin_payment_check(%L)', gen_random_uuid())), null,
    'an unknown attempt is nothing'
);
update public.payments set gateway_session = 'session-1' where id = tests.id('first');
select is(
    tests.as_service(format('service.begin_payment_check(%L)', tests.id('first')))
        ->> 'gateway_session',
    'session-1', 'a session of the gateway''s is told, too'
);

-- When --------------------------------------------------------------------------------------------
-- the first check is 15 s after the attempt began; each check below comes at its time and finds
-- nothing, so the next is due at the time after it

create table tests.times (place integer, due interval, next interval);
insert into tests.times values
(1, '15 seconds', '30 seconds'),
(2, '30 seconds', '1 minute'),
(3, '1 minute', '2 minutes'),
(4, '2 minutes', '5 minutes'),
(5, '5 minutes', '10 minutes'),
(6, '10 minutes', '20 minutes'),
(7, '20 minutes', '40 minutes'),
(8, '40 minutes', '70 minutes'),
(9, '70 minutes', '130 minutes'),
(10, '130 minutes', '190 minutes'),
(11, '190 minutes', '250 minutes');

select is(
    (tests.payment('first')).next_check_at - (tests.payment('first')).created_at,
    interval '15 seconds',
    'the first check is due 15 seconds after the attempt began'
);
create function tests.next_after(due interval) returns interval
language plpgsql as $$
declare
    v_answer jsonb;
    v_id uuid := tests.id('first');
begin
    update public.payments as p set created_at = now() - due where p.id = v_id;
    v_answer := tests.polled('first');
    return (v_answer ->> 'next_check_at')::timestamptz - (now() - due);
end
$$;
select is(
    tests.next_after(t.due), t.next,
    format('check %s at %s: the next is at %s', t.place, t.due, t.next)
)
from tests.times as t
order by t.place;
select is((tests.payment('first')).checks, 11, 'eleven checks are counted');
select results_eq(
    $$ select o.dedupe_key, o.available_at - now()
       from private.outbox as o
       where o.job = 'reconcile_payments' and o.args ->> 'payment_id' = tests.id('first')::text
       order by split_part(o.dedupe_key, '/', 3)::integer $$,
    $$ select 'reconcile_payments/' || tests.id('first') || '/0', interval '15 seconds'
       union all
       select 'reconcile_payments/' || tests.id('first') || '/' || c.place, c.wait
       from (
           select t.place, t.next - t.due as wait from tests.times as t order by t.place
       ) as c $$,
    'each is one row of work, due at its time'
);
update public.payments set created_at = now() - interval '23 hours 30 minutes'
where id = tests.id('first');
select is(
    (tests.polled('first') ->> 'next_check_at')::timestamptz, now() + interval '1 hour',
    'in the last hour of the day there is one more'
);

-- The end of the day ------------------------------------------------------------------------------

select tests.attempt_named(n.name)
from (values ('day'), ('day-processing'), ('day-failed'), ('day-paid')) as n (name);
select count(tests.apply('day-processing', 'processing'));
select count(tests.apply('day-failed', 'failed'));
select count(tests.apply('day-paid', 'paid'));
update public.payments set created_at = now() - interval '24 hours'
where id in (tests.id('day'), tests.id('day-processing'));
select is(
    (tests.polled('day') ->> 'next_check_at')::timestamptz, now() + interval '15 seconds',
    'at 24 hours it is asked once more'
);
update public.payments set created_at = now() - interval '24 hours 1 microsecond'
where user_id = tests.id('amina');
delete from private.outbox;
select is(tests.polled(n.name, 'gateway says processing'), '{"next_check_at": null}',
    format('after 24 hours %s is asked about no more', n.name))
from (values ('day'), ('day-processing'), ('day-failed'), ('day-paid')) as n (name);
select is_empty($$ select o.id from private.outbox as o $$, 'no more work is made of them');
select results_eq(
    $$ select n.name, p.status::text, p.next_check_at, p.checks
       from public.payments as p
       inner join tests.names as n on p.id = n.id
       where n.name like 'day%' order by n.name $$,
    $$ values ('day', 'pending', null::timestamptz, 2),
              ('day-failed', 'failed', null, 1),
              ('day-paid', 'paid', null, 0),
              ('day-processing', 'processing', null, 1) $$,
    'their states are as the gateway left them'
);
select results_eq(
    $$ select n.name, e.kind, e.detail
       from private.payment_exceptions as e
       inner join tests.names as n on e.payment_id = n.id
       order by n.name $$,
    $$ values ('day', 'unknown_outcome', 'gateway says processing'),
              ('day-processing', 'unknown_outcome', 'gateway says processing') $$,
    'those without an end stand before a person'
);
select is(tests.polled('day', 'again'), '{"next_check_at": null}', 'checked again');
select is(
    (select count(*) from private.payment_exceptions as e where e.payment_id = tests.id('day')),
    1::bigint, 'it stands there once'
);
select is(
    tests.apply('day', 'paid') ->> 'outcome', 'applied',
    'money that comes after that is applied all the same'
);
select is(
    tests.apply('day-processing', 'failed') ->> 'outcome', 'applied', 'and so is a failure'
);
select results_eq(
    $$ select n.name, e.resolved_at, e.resolution, e.resolved_by
       from private.payment_exceptions as e
       inner join tests.names as n on e.payment_id = n.id
       order by n.name $$,
    $$ values ('day', now(), 'settled', null::uuid), ('day-processing', now(), 'settled', null) $$,
    'which takes them from before the person'
);

-- given attempts of which the gateway knows nothing, one whose money is in quarantine, and an admin
select tests.make_admin('chioma', 'fr');
select tests.attempt_named(n.name)
from (values ('never-1'), ('never-2'), ('never-young'), ('never-failed'), ('odd')) as n (name);
select count(tests.begin_payment('never-other', 'order-never-2', 'mtn_momo', '+237650000000',
    '{mtn}'));
select count(tests.apply('never-2', 'processing'));
select count(tests.apply('never-failed', 'failed', reason => 'declined'));
select count(tests.apply('odd', 'paid', 1));
update public.payments set created_at = now() - interval '24 hours 1 microsecond'
where id in (tests.id('never-1'), tests.id('never-2'), tests.id('never-failed'), tests.id('odd'));
update public.payments set created_at = now() - interval '24 hours'
where id = tests.id('never-young');
delete from private.outbox;
delete from private.emails where user_id = tests.id('chioma');
select is(
    (tests.polled('never-young', 'not_found') ->> 'next_check_at')::timestamptz,
    now() + interval '15 seconds',
    'an attempt that the gateway does not know is asked about for a day'
);
select is(tests.polled(n.name, 'not_found'), '{"next_check_at": null}',
    format('after 24 hours %s is asked about no more', n.name))
from (values ('never-1'), ('never-2'), ('never-failed'), ('odd')) as n (name);
select results_eq(
    $$ select n.name, p.status::text, p.failure_reason, p.next_check_at, o.status::text,
           o.payment_status::text
       from public.payments as p
       inner join tests.names as n on p.id = n.id
       inner join public.orders as o on p.order_id = o.id
       where n.name like 'never%' or n.name = 'odd' order by n.name $$,
    $$ values
       ('never-1', 'failed', 'unknown_at_gateway', null::timestamptz, 'pending', 'failed'),
       ('never-2', 'failed', 'unknown_at_gateway', null, 'pending', 'processing'),
       ('never-failed', 'failed', 'declined', null, 'pending', 'failed'),
       ('never-other', 'pending', null, now() + interval '15 seconds', 'pending', 'processing'),
       ('never-young', 'pending', null, now() + interval '15 seconds', 'pending', 'processing'),
       ('odd', 'pending', null, null, 'pending', 'processing') $$,
    'a page that was never opened has failed; money in quarantine and another attempt stay'
);
select results_eq(
    $$ select n.name, e.actor_type, e.detail
       from private.payment_events as e
       inner join tests.names as n on e.payment_id = n.id
       where e.kind = 'failed' and n.name like 'never-_' order by n.name $$,
    $$ values
       ('never-1', 'system', '{"reason": "unknown_at_gateway"}'::jsonb),
       ('never-2', 'system', '{"reason": "unknown_at_gateway"}') $$,
    'the trail says why'
);
select results_eq(
    $$ select n.name, e.kind from private.payment_exceptions as e
       inner join tests.names as n on e.payment_id = n.id
       where e.resolved_at is null $$,
    $$ values ('odd', 'amount_mismatch') $$,
    'no person is asked about what nobody paid, and about the quarantine one was already'
);
select is_empty($$ select o.id from private.outbox as o where o.job = 'send_email' $$,
    'nor mailed');
update private.payment_exceptions set resolved_at = now(), resolution = 'recheck'
where payment_id = tests.id('odd');
select is(tests.polled('odd', 'gateway says pending'), '{"next_check_at": null}',
    'money in quarantine that a person asked about again after the day');
select results_eq(
    $$ select e.kind, e.detail, e.resolved_at, e.resolution from private.payment_exceptions as e
       where e.payment_id = tests.id('odd') $$,
    $$ values ('amount_mismatch', 'gateway says pending', null::timestamptz, null) $$,
    'comes back to them when the gateway says nothing new'
);
select is(
    tests.apply('never-1', 'paid') ->> 'order_status', 'paid',
    'money that comes all the same still pays the order'
);
select tests.refuses(
    format('select tests.as_service(%L)', format(
        'service.record_payment_check(%L, ''x'')', gen_random_uuid())),
    'PT404 payment_not_found', 'an unknown attempt cannot be checked'
);
select tests.act_as_owner();

-- An attempt that ended is left alone -------------------------------------------------------------

select tests.attempt_named(n.name) from (values ('ended-failed'), ('ended-paid')) as n (name);
select count(tests.apply('ended-failed', 'cancelled'));
select count(tests.apply('ended-paid', 'paid'));
delete from private.outbox;
select is(tests.polled(n.name), '{"next_check_at": null}', format('%s is not asked about', n.name))
from (values ('ended-failed'), ('ended-paid')) as n (name);
select is_empty($$ select o.id from private.outbox as o $$, 'and makes no work');

-- The same check asked for twice is one -----------------------------------------------------------

select tests.attempt_named('double');
delete from private.outbox;
select is(
    private.schedule_payment_check(tests.id('double'), interval '1 minute'),
    now() + interval '1 minute', 'a check is asked for'
);
select is(
    private.schedule_payment_check(tests.id('double'), interval '2 minutes'),
    now() + interval '2 minutes', 'and asked for again before it came'
);
select results_eq(
    $$ select o.available_at - now() from private.outbox as o $$,
    $$ values (interval '1 minute') $$,
    'it is one row of work, at the first time'
);

-- The sweep ---------------------------------------------------------------------------------------
-- given attempts whose check is overdue by more and by less, and some that ended

select tests.attempt_named(n.name)
from (
    values ('lost-1'), ('lost-2'), ('lost-3'), ('almost'), ('waiting'), ('settled'), ('given-up'),
    ('gone'), ('old'), ('almost-old')
) as n (name);
select count(tests.apply('lost-2', 'processing'));
select count(tests.apply('settled', 'paid'));
select count(tests.apply('gone', 'failed'));
delete from private.outbox;
update public.payments as p
set next_check_at = t.next_check_at
from (
    values
    ('lost-1', timestamptz '2000-01-01'), ('lost-2', '2000-01-02'), ('lost-3', '2000-01-03'),
    ('almost', now() - interval '15 minutes'), ('waiting', now() + interval '1 minute'),
    ('settled', '2000-01-01'), ('gone', '2000-01-01'), ('given-up', null),
    ('old', '2000-01-04'), ('almost-old', '2000-01-04')
) as t (name, next_check_at)
where p.id = tests.id(t.name);
update public.payments set created_at = now() - interval '25 hours 1 microsecond'
where id = tests.id('old');
update public.payments set created_at = now() - interval '25 hours'
where id = tests.id('almost-old');
create table tests.swept as
select tests.as_service('service.claim_payment_sweep(2)') as ids;
select is(
    (select s.ids from tests.swept as s), jsonb_build_array(tests.id('lost-1'), tests.id('lost-2')),
    'a batch of two is the two longest overdue'
);
select results_eq(
    $$ select n.name, p.checks, p.next_check_at
       from public.payments as p
       inner join tests.names as n on p.id = n.id
       where n.name in ('lost-1', 'lost-2', 'lost-3') order by n.name $$,
    $$ values ('lost-1', 1, now()), ('lost-2', 1, now()), ('lost-3', 0, '2000-01-03') $$,
    'each is due now, as a new check'
);
select results_eq(
    $$ select o.job, o.args, o.available_at from private.outbox as o
       order by o.args ->> 'payment_id' = tests.id('lost-2')::text $$,
    $$ values
       ('reconcile_payments', jsonb_build_object('payment_id', tests.id('lost-1')), now()),
       ('reconcile_payments', jsonb_build_object('payment_id', tests.id('lost-2')), now()) $$,
    'and one row of work'
);
create table tests.swept_next as
select tests.as_service('service.claim_payment_sweep(1000000)') as ids;
select is(
    (select s.ids @> jsonb_build_array(tests.id('lost-3')) from tests.swept_next as s), true,
    'the next sweep takes the third'
);
select results_eq(
    $$ select n.name, p.status::text, p.next_check_at, p.checks, e.kind, e.detail
       from public.payments as p
       inner join tests.names as n on p.id = n.id
       left join private.payment_exceptions as e on p.id = e.payment_id
       where n.name in ('old', 'almost-old') order by n.name $$,
    $$ values
       ('almost-old', 'pending', now(), 1, null, null),
       ('old', 'pending', null::timestamptz, 1, 'unknown_outcome', 'check_lost') $$,
    'of one older than 25 hours it makes a person''s'
);
select is_empty(
    $$ select o.id from private.outbox as o
       where o.args ->> 'payment_id' = tests.id('old')::text $$,
    'and no more work'
);
select is(
    (select s.ids @> jsonb_build_array(tests.id('old')) from tests.swept_next as s), true,
    'it was swept, too'
);
create table tests.swept_last as
select tests.as_service('service.claim_payment_sweep(1000000)') as ids;
select is(
    (select s.ids @> jsonb_build_array(tests.id(n.name)) from tests.swept_last as s), false,
    format('and %s is not swept again', n.name)
)
from (values ('old'), ('almost-old'), ('lost-3')) as n (name);
select is(
    (select s.ids @> jsonb_build_array(tests.id(n.name)) from tests.swept_next as s), false,
    format('and not %s', n.name)
)
from (
    values ('lost-1'), ('lost-2'), ('almost'), ('waiting'), ('settled'), ('gone'), ('given-up')
) as n (name);

select * from finish();
rollback;
