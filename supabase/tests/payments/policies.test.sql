-- People read their own attempts to pay, an admin all, without what is between the shop and its
-- gateways, and their refunds; nobody writes but the service's functions. Tokens, notices,
-- exceptions and the trail are nobody's.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(248);

-- given two shoppers who are paying, and an admin
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_product('shoe');
select tests.place_order('amina-order', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.place_order(
    'bongani-order', 'bongani', jsonb_build_array(tests.item('shoe', 1)), 'ZA'
);
select count(tests.begin_payment('amina-payment', 'amina-order'));
select count(tests.begin_payment('bongani-payment', 'bongani-order'));
insert into private.payment_exceptions (payment_id, subject_id, kind)
values (tests.id('amina-payment'), tests.id('amina-payment'), 'unknown_outcome');
insert into private.webhook_events (gateway, dedupe_key, event_type, payment_id, raw)
values ('kora', 'key', 'charge.success', tests.id('amina-payment'), '{}');
-- given a refund of one line of each of two further orders
select tests.place_order('amina-paid', 'amina', jsonb_build_array(tests.item('shoe', 2)));
select tests.place_order(
    'bongani-paid', 'bongani', jsonb_build_array(tests.item('shoe', 2)), 'ZA'
);
select count(tests.pay(o.name)) from (values ('amina-paid'), ('bongani-paid')) as o (name);
select tests.name_it(o.name || '-refund', (
    tests.as_service(format(
        'service.begin_refund(%L, %L, null, %L, ''scratched'', %L)', tests.id('chioma'),
        tests.id('payment-of-' || o.name),
        jsonb_build_array(jsonb_build_object('order_item_id', i.id, 'quantity', 1)),
        'key-' || o.name
    )) ->> 'refund_id'
)::uuid)
from (values ('amina-paid'), ('bongani-paid')) as o (name)
inner join public.order_items as i on i.order_id = tests.id(o.name);

create function tests.seen() returns text []
language sql stable as $$
    select array_agg(concat_ws(' ', n.name, p.status, p.amount, p.currency) order by n.name)
    from public.payments as p inner join tests.names as n on p.id = n.id
$$;
create function tests.seen_refunds() returns text []
language sql stable as $$
    select array_agg(
        concat_ws(' ', n.name, r.status, r.amount, r.currency, i.quantity, i.amount)
        order by n.name
    )
    from public.refunds as r
    inner join tests.names as n on r.id = n.id
    inner join public.refund_items as i on r.id = i.refund_id
$$;
-- What is nobody's: one denial a command each.
create function tests.closed_tables() returns setof text
language sql as $$
    select c.line
    from unnest(array[
        'private.payment_tokens', 'private.payment_exceptions', 'private.payment_exception_kinds',
        'private.webhook_events', 'private.payment_events', 'private.refund_transitions',
        'private.payment_transitions'
    ]) as t (table_name)
    cross join lateral tests.closed(t.table_name) as c (line)
$$;

select tests.has_policies('public.payments', 'select_own_or_admin: select to authenticated');
select tests.has_policies('public.refunds', 'select_own_or_admin: select to authenticated');
select tests.has_policies('public.refund_items', 'select_own_or_admin: select to authenticated');
select tests.has_policies('private.payment_tokens');
select tests.has_policies('private.payment_exceptions');
select tests.has_policies('private.payment_exception_kinds');
select tests.has_policies('private.webhook_events');
select tests.has_policies('private.payment_events');
select tests.has_policies('private.refund_transitions');
select tests.has_policies('private.payment_transitions');
select set_eq(
    $$ select a.attname::text
       from pg_catalog.pg_attribute as a
       where a.attrelid = 'public.payments'::regclass and a.attnum > 0 and not a.attisdropped
           and has_column_privilege('authenticated', a.attrelid, a.attnum, 'select') $$,
    array[
        'id', 'order_id', 'user_id', 'gateway', 'method', 'reference', 'amount', 'currency',
        'status', 'action', 'failure_reason', 'refunded_amount', 'expires_at', 'paid_at',
        'created_at', 'updated_at'
    ],
    'people read these columns of payments and no other'
);
select set_eq(
    $$ select a.attname::text
       from pg_catalog.pg_attribute as a
       where a.attrelid = 'public.refunds'::regclass and a.attnum > 0 and not a.attisdropped
           and has_column_privilege('authenticated', a.attrelid, a.attnum, 'select') $$,
    array[
        'id', 'payment_id', 'order_id', 'user_id', 'way', 'amount', 'tax_amount', 'currency',
        'status', 'reason', 'refunded_at', 'created_at', 'updated_at'
    ],
    'and these of refunds'
);
select tests.remember();

-- a guest
select tests.act_as_anon();
select tests.closed('public.payments');
select tests.closed('public.refunds');
select tests.closed('public.refund_items');
select tests.closed_tables();

-- the owner
select tests.act_as('amina');
select is(
    tests.seen(),
    '{"amina-payment pending 8500.00 XAF","payment-of-amina-paid paid 13500.00 XAF"}',
    'a shopper sees her own attempts'
);
select is(
    (select count(*) from public.payments as p where p.user_id <> auth.uid()), 0::bigint,
    'and nobody else''s'
);
select is(
    tests.seen_refunds(), '{"amina-paid-refund pending 6750.00 XAF 1 6750.00"}',
    'and her own refund, with its piece'
);
select tests.denies(
    format('select %I from public.payments', c.column_name), 'but not its ' || c.column_name
)
from unnest(array[
    'gateway_transaction_id', 'gateway_session', 'payer_account', 'save_method',
    'saved_payment_method_id', 'collected_amount', 'collected_currency', 'fee_amount',
    'is_winner', 'superseded_at', 'evidence_at', 'checks', 'next_check_at'
]) as c (column_name);
select tests.denies(
    format('select %I from public.refunds', c.column_name),
    'nor its refund''s ' || c.column_name
)
from unnest(array[
    'gateway', 'reference', 'gateway_refund_id', 'failure_reason', 'requested_by', 'sent_at',
    'checks', 'next_check_at'
]) as c (column_name);
select tests.closed('public.payments', 'insert', 'update', 'delete');
select tests.closed('public.refunds', 'insert', 'update', 'delete');
select tests.closed('public.refund_items', 'insert', 'update', 'delete');
select tests.closed_tables();

-- another shopper
select tests.act_as('bongani');
select is(
    tests.seen(),
    '{"bongani-payment pending 199.00 ZAR","payment-of-bongani-paid paid 299.00 ZAR"}',
    'another shopper sees his own'
);
select is(
    tests.seen_refunds(), '{"bongani-paid-refund pending 149.50 ZAR 1 149.50"}',
    'and his own refund'
);
select is_empty(
    $$ select p.id from public.payments as p where p.id = tests.id('amina-payment') $$,
    'hers, asked for by its id, is not there for him'
);
select is_empty(
    $$ select r.id from public.refunds as r where r.id = tests.id('amina-paid-refund') $$,
    'nor is her refund'
);
select is_empty(
    $$ select i.quantity from public.refund_items as i
       where i.refund_id = tests.id('amina-paid-refund') $$,
    'nor its piece'
);
select tests.closed('public.refunds', 'insert', 'update', 'delete');
select tests.closed('public.refund_items', 'insert', 'update', 'delete');
select tests.become('authenticated', '{"role": "authenticated"}');
select is(tests.seen(), null, 'a token without a subject sees none');
select is(tests.seen_refunds(), null, 'and no refund');

-- an admin
select tests.act_as('chioma');
select is(
    tests.seen(),
    '{"amina-payment pending 8500.00 XAF","bongani-payment pending 199.00 ZAR",'
    '"payment-of-amina-paid paid 13500.00 XAF","payment-of-bongani-paid paid 299.00 ZAR"}',
    'an admin sees every attempt'
);
select is(
    tests.seen_refunds(),
    '{"amina-paid-refund pending 6750.00 XAF 1 6750.00",'
    '"bongani-paid-refund pending 149.50 ZAR 1 149.50"}',
    'and every refund'
);
select tests.closed('public.payments', 'insert', 'update', 'delete');
select tests.closed('public.refunds', 'insert', 'update', 'delete');
select tests.closed('public.refund_items', 'insert', 'update', 'delete');
select tests.closed_tables();

-- the API key's role
select tests.act_as_service_role();
select is(cardinality(tests.seen()), 4, 'service_role sees every attempt');
select is(cardinality(tests.seen_refunds()), 2, 'and every refund');
select results_eq(
    $$ select p.is_winner, p.checks from public.payments as p
       where p.id = tests.id('amina-payment') $$,
    $$ values (false, 0) $$,
    'with every column'
);
select is(
    (select count(r.reference) from public.refunds as r), 2::bigint, 'of refunds, too'
);
select tests.closed('public.payments', 'insert', 'update', 'delete');
select tests.closed('public.refunds', 'insert', 'update', 'delete');
select tests.closed('public.refund_items', 'insert', 'update', 'delete');
select tests.closed_tables();

-- the service's login has functions, not tables
select tests.act_as_service();
select tests.closed('public.payments');
select tests.closed('public.refunds');
select tests.closed('public.refund_items');
select tests.closed_tables();

select tests.act_as_owner();
select tests.nothing_changed('and no row of the shop is another one');

select set_eq(
    $$ select p.proname::text, r.role_name
       from pg_catalog.pg_proc as p
       cross join unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
           as r (role_name)
       where p.proname ~ '(payment|webhook|refund|exception)'
           and p.pronamespace in (
               'public'::regnamespace, 'service'::regnamespace, 'private'::regnamespace)
           and has_function_privilege(r.role_name, p.oid, 'execute') $$,
    $$ select f, 'mallgram_service' from unnest(array[
           'begin_payment', 'record_payment_started', 'record_payment_start_failed',
           'payment_status', 'payment_return', 'webhook_secrets', 'record_webhook_events',
           'begin_webhook_event', 'record_webhook_handled', 'apply_payment_result',
           'begin_payment_check', 'record_payment_check', 'claim_payment_sweep',
           'begin_refund', 'begin_refund_attempt', 'apply_refund_result',
           'record_refund_refused', 'record_refund_check', 'claim_refund_sweep'
       ]) as f
       union all
       -- of an admin, who is asked for inside: the RPCs and their cores
       select f, 'authenticated' from unnest(array[
           'exceptions', 'resolve_exception', 'payment_trail'
       ]) as f
       union all
       -- of the person whose method it is
       values ('delete_saved_payment_method', 'authenticated') $$,
    'everything else about payments and refunds is for the service alone'
);

select * from finish();
rollback;
