-- People read their own attempts to pay, an admin all, without what is between the shop and its
-- gateways; nobody writes but the service's functions. Tokens, notices and exceptions are nobody's.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(99);

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
insert into private.payment_tokens (payment_id, webhook_token)
values (tests.id('amina-payment'), 'token');
insert into private.payment_exceptions (payment_id, kind)
values (tests.id('amina-payment'), 'unknown_outcome');
insert into private.webhook_events (gateway, dedupe_key, event_type, payment_id, raw)
values ('kora', 'key', 'charge.success', tests.id('amina-payment'), '{}');

create function tests.seen() returns text []
language sql stable as $$
    select array_agg(concat_ws(' ', n.name, p.status, p.amount, p.currency) order by n.name)
    from public.payments as p inner join tests.names as n on p.id = n.id
$$;

select tests.has_policies('public.payments', 'select_own_or_admin: select to authenticated');
select tests.has_policies('private.payment_tokens');
select tests.has_policies('private.payment_exceptions');
select tests.has_policies('private.webhook_events');
select set_eq(
    $$ select a.attname::text
       from pg_catalog.pg_attribute as a
       where a.attrelid = 'public.payments'::regclass and a.attnum > 0 and not a.attisdropped
           and has_column_privilege('authenticated', a.attrelid, a.attnum, 'select') $$,
    array[
        'id', 'order_id', 'user_id', 'gateway', 'method', 'reference', 'amount', 'currency',
        'status', 'action', 'failure_reason', 'expires_at', 'paid_at', 'created_at', 'updated_at'
    ],
    'people read these columns of payments and no other'
);
select tests.remember();

-- a guest
select tests.act_as_anon();
select tests.closed('public.payments');
select tests.closed('private.payment_tokens');
select tests.closed('private.payment_exceptions');
select tests.closed('private.webhook_events');

-- the owner
select tests.act_as('amina');
select is(tests.seen(), '{"amina-payment pending 8500.00 XAF"}', 'a shopper sees her own attempt');
select is(
    (select count(*) from public.payments as p where p.user_id <> auth.uid()), 0::bigint,
    'and nobody else''s'
);
select tests.denies(
    format('select %I from public.payments', c.column_name), 'but not its ' || c.column_name
)
from unnest(array[
    'gateway_transaction_id', 'fee_amount', 'is_winner', 'superseded_at', 'evidence_at', 'checks',
    'next_check_at'
]) as c (column_name);
select tests.closed('public.payments', 'insert', 'update', 'delete');
select tests.closed('private.payment_tokens');
select tests.closed('private.payment_exceptions');
select tests.closed('private.webhook_events');

-- another shopper
select tests.act_as('bongani');
select is(tests.seen(), '{"bongani-payment pending 199.00 ZAR"}', 'another shopper sees his own');
select is_empty(
    $$ select p.id from public.payments as p where p.id = tests.id('amina-payment') $$,
    'hers, asked for by its id, is not there for him'
);
select tests.become('authenticated', '{"role": "authenticated"}');
select is(tests.seen(), null, 'a token without a subject sees none');

-- an admin
select tests.act_as('chioma');
select is(
    tests.seen(), '{"amina-payment pending 8500.00 XAF","bongani-payment pending 199.00 ZAR"}',
    'an admin sees every attempt'
);
select tests.closed('public.payments', 'insert', 'update', 'delete');
select tests.closed('private.payment_tokens');
select tests.closed('private.payment_exceptions');
select tests.closed('private.webhook_events');

-- the API key's role
select tests.act_as_service_role();
select is(cardinality(tests.seen()), 2, 'service_role sees every attempt');
select results_eq(
    $$ select p.is_winner, p.checks from public.payments as p
       where p.id = tests.id('amina-payment') $$,
    $$ values (false, 0) $$,
    'with every column'
);
select tests.closed('public.payments', 'insert', 'update', 'delete');
select tests.closed('private.payment_tokens');
select tests.closed('private.payment_exceptions');
select tests.closed('private.webhook_events');

-- the service's login has functions, not tables
select tests.act_as_service();
select tests.closed('public.payments');
select tests.closed('private.payment_tokens');
select tests.closed('private.payment_exceptions');
select tests.closed('private.webhook_events');

select tests.act_as_owner();
select tests.nothing_changed('and no row of the shop is another one');

select set_eq(
    $$ select p.proname::text, r.role_name
       from pg_catalog.pg_proc as p
       cross join unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
           as r (role_name)
       where p.proname ~ '(payment|webhook)'
           and p.pronamespace in (
               'public'::regnamespace, 'service'::regnamespace, 'private'::regnamespace)
           and has_function_privilege(r.role_name, p.oid, 'execute') $$,
    $$ select f, 'mallgram_service' from unnest(array[
           'begin_payment', 'record_payment_started', 'record_payment_start_failed',
           'payment_status', 'payment_return', 'webhook_secrets', 'record_webhook_event',
           'begin_webhook_event', 'record_webhook_handled', 'apply_payment_result',
           'begin_payment_check', 'record_payment_check', 'claim_payment_sweep'
       ]) as f $$,
    'everything about payments is for the service alone'
);

select * from finish();
rollback;
