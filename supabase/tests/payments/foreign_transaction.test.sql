-- A transaction of the gateway pays one attempt: the second that names it goes before a person. So
-- does a second attempt of one session.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(18);

-- given two orders of two people, and the gateway's transaction KPY-1 of the first
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bola', 'fr', 'CM');
select tests.make_product('lamp');
select tests.place_order('first', 'amina', jsonb_build_array(tests.item('lamp', 1)));
select tests.place_order('second', 'bola', jsonb_build_array(tests.item('lamp', 1)));
select tests.begin_payment('one', 'first');
select tests.begin_payment('two', 'second');
select tests.as_service(format(
    'service.record_payment_started(%L, ''KPY-1'', ''{"action": "redirect"}'', null)',
    tests.id('one')
));

-- when the gateway starts the other attempt under the same transaction
select is(
    tests.as_service(format(
        'service.record_payment_started(%L, ''KPY-1'', ''{"action": "redirect"}'', null)',
        tests.id('two')
    )) ->> 'status',
    'processing', 'the attempt starts all the same'
);
select is(
    (tests.payment('two')).gateway_transaction_id, null, 'without the transaction of the other'
);
select results_eq(
    $$ select e.kind, e.order_id, e.gateway, e.amount, e.currency, e.detail, e.evidence,
           e.resolved_at
       from private.payment_exceptions as e where e.payment_id = tests.id('two') $$,
    $$ values ('ambiguous_reference', tests.id('second'), 'kora', 8500.00, 'XAF',
           'the gateway gave a transaction that is another attempt''s',
           '{"gateway_transaction_id": "KPY-1"}'::jsonb, null::timestamptz) $$,
    'and goes before a person, with the transaction'
);

-- when the gateway says that the transaction paid both
select is(
    tests.apply('one', 'paid', gateway_transaction_id => 'KPY-1') ->> 'outcome',
    'applied', 'the transaction pays its own order'
);
select is(
    tests.apply('two', 'paid', gateway_transaction_id => 'KPY-1') ->> 'outcome',
    'quarantined', 'and not the other''s'
);
select is((tests.payment('two')).status::text, 'processing', 'whose attempt stays open');
select is((tests.payment('two')).evidence_at, now(), 'with the gateway''s answer kept');
select is(
    (select o.status::text from public.orders as o where o.id = tests.id('second')),
    'pending', 'and whose order is not paid'
);
select is((tests.payment('two')).collected_amount, null, 'the money is not counted twice');
select is(
    (select count(*) from private.payment_exceptions as e where e.payment_id = tests.id('two')),
    1::bigint, 'and it stands there once'
);

-- when the gateway says that another transaction, its own, paid the second
select is(
    tests.apply('two', 'paid', gateway_transaction_id => 'KPY-2') ->> 'outcome',
    'applied', 'its own transaction pays it'
);
select is((tests.payment('two')).gateway_transaction_id, 'KPY-2', 'and is kept');
select is(
    (select o.status::text from public.orders as o where o.id = tests.id('second')),
    'paid', 'the order is paid'
);
select results_eq(
    $$ select e.resolved_at, e.resolution, e.resolved_by
       from private.payment_exceptions as e where e.payment_id = tests.id('two') $$,
    $$ values (now(), 'settled', null::uuid) $$,
    'and no person has to look at it any more'
);

-- when the gateway starts two attempts under one session
select tests.place_order(o.name, 'amina', jsonb_build_array(tests.item('lamp', 1)))
from (values ('third'), ('fourth')) as o (name);
select count(tests.begin_payment(p.name, p.order_name))
from (values ('three', 'third'), ('four', 'fourth')) as p (name, order_name);
select is(
    tests.as_service(format(
        'service.record_payment_started(%L, null, ''{"action": "redirect"}'', null, null, '
        '''session-1'')',
        tests.id(n.name)
    )) ->> 'gateway_session',
    n.session, format('%s has session %L', n.name, n.session)
)
from (values ('three', 'session-1'), ('four', null)) as n (name, session);
select is((tests.payment('four')).status::text, 'processing', 'the second starts all the same');
select results_eq(
    $$ select n.name, e.kind, e.detail, e.evidence
       from private.payment_exceptions as e
       inner join tests.names as n on e.payment_id = n.id
       where n.name in ('three', 'four') $$,
    $$ values ('four', 'ambiguous_reference',
           'the gateway gave a session that is another attempt''s',
           '{"gateway_session": "session-1"}'::jsonb) $$,
    'and goes before a person'
);

select * from finish();
rollback;
