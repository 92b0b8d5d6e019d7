-- A transaction of the gateway pays one attempt: the second that names it goes before a person.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(8);

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
    $$ select e.kind, e.detail from private.payment_exceptions as e
       where e.payment_id = tests.id('two') $$,
    $$ values ('ambiguous_reference', 'KPY-1') $$,
    'and goes before a person'
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

select * from finish();
rollback;
