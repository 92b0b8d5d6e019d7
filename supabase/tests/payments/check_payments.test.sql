-- Asking the gateway: closely at first, hourly to the end of a day, then it is a person's.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(46);

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
            'amount', 8500.00, 'currency', 'XAF', 'status', 'pending', 'order_status', 'pending',
            'action', null, 'failure_reason', null, 'expires_at', null, 'created_at', p.created_at,
            'checks', 0, 'is_settled', false
        )
        from tests.payment('first') as p
    ),
    'a poll learns what to ask for'
);
select is(
    tests.as_service(format('service.begin_payment_check(%L)', gen_random_uuid())), null,
    'an unknown attempt is nothing'
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
    ('gone')
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
    ('settled', '2000-01-01'), ('gone', '2000-01-01'), ('given-up', null)
) as t (name, next_check_at)
where p.id = tests.id(t.name);
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
select is(
    (select s.ids @> jsonb_build_array(tests.id(n.name)) from tests.swept_next as s), false,
    format('and not %s', n.name)
)
from (
    values ('lost-1'), ('lost-2'), ('almost'), ('waiting'), ('settled'), ('gone'), ('given-up')
) as n (name);

select * from finish();
rollback;
