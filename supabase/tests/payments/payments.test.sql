-- What no attempt, notice, token or exception can be, whoever writes it: every constraint of the
-- four tables, and the two unique indexes that make one winner and one live attempt.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(31);

-- given two orders with an attempt each, and one that is paid twice over
select tests.make_user('amina', 'fr', 'CM');
select tests.make_product('shoe');
select tests.place_order('order', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.place_order('other', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.place_order('twice', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('payment', 'order'));
select count(tests.begin_payment('other-payment', 'other'));
select count(tests.begin_payment('twice-1', 'twice'));
select count(tests.begin_payment('twice-2', 'twice', 'mtn_momo', '+237650000000', '{kora}'));
select count(tests.apply('twice-1', 'paid', gateway_transaction_id => 'KPY-1'));
select count(tests.apply('twice-2', 'paid', gateway_transaction_id => 'KPY-2'));
insert into private.webhook_events (id, gateway, dedupe_key, event_type, payment_id, raw)
values
(tests.name_it('event', gen_random_uuid()), 'kora', 'key-1', 'charge.success', null, '{}'),
(tests.name_it('second-event', gen_random_uuid()), 'kora', 'key-2', 'charge.success',
    tests.id('payment'), '{}');
insert into private.payment_tokens (payment_id, webhook_token)
values (tests.id('payment'), 'token'), (tests.id('other-payment'), 'other-token');

create table tests.breaks (table_name text, constraint_name text, sql text, title text);
insert into tests.breaks
select
    b.table_name, b.constraint_name,
    case
        when b.assignment like 'delete %' then b.assignment
        when b.table_name = 'public.payments' then format(
            'update public.payments set %s where id = tests.id(%L)', b.assignment, b.name)
        when b.table_name = 'private.webhook_events' then format(
            'update private.webhook_events set %s where id = tests.id(%L)', b.assignment, b.name)
        else format('update %s set %s where payment_id = tests.id(%L)',
            b.table_name, b.assignment, b.name)
    end,
    b.title
from (
    values
    ('public.payments', 'payments_pkey', 'id = tests.id(''other-payment'')', 'payment',
        'two attempts of one id'),
    ('public.payments', 'payments_reference_key', 'reference = (select p.reference from '
        'public.payments as p where p.id = tests.id(''other-payment''))', 'payment',
        'two attempts of one reference at a gateway'),
    ('public.payments', 'payments_gateway_transaction_id_key',
        'gateway_transaction_id = ''KPY-1''', 'payment',
        'two attempts of one transaction of a gateway'),
    ('public.payments', 'payments_order_id_winner_key', 'is_winner = true', 'twice-2',
        'two winners of one order'),
    ('public.payments', 'payments_order_id_live_key', 'order_id = tests.id(''other'')', 'payment',
        'two live attempts of one way to pay'),
    ('public.payments', 'payments_amount_positive', 'amount = 0', 'payment',
        'an attempt for nothing'),
    ('public.payments', 'payments_amount_positive', 'amount = -1', 'payment',
        'an attempt for less than nothing'),
    ('public.payments', 'payments_reference_is_plain', 'reference = ''mg 1234567''', 'payment',
        'a reference with a blank'),
    ('public.payments', 'payments_reference_is_plain', 'reference = repeat(''a'', 31)', 'payment',
        'a reference too long for some gateway'),
    ('public.payments', 'payments_failure_reason_is_one_line', 'failure_reason = E''a\nb''',
        'payment', 'a reason of two lines'),
    ('public.payments', 'payments_paid_has_time', 'paid_at = now()', 'payment',
        'an open attempt that was paid'),
    ('public.payments', 'payments_paid_has_time', 'status = ''paid'', evidence_at = now()',
        'payment',
        'a paid attempt without its time'),
    ('public.payments', 'payments_winner_is_paid', 'is_winner = true', 'payment',
        'an unpaid winner'),
    ('public.payments', 'payments_action_is_object', 'action = ''[]''', 'payment',
        'an action that is a list'),
    ('public.payments', 'payments_order_id_fkey', 'order_id = gen_random_uuid()', 'payment',
        'an attempt to pay no order'),
    ('public.payments', 'payments_user_id_fkey', 'user_id = gen_random_uuid()', 'payment',
        'an attempt by nobody'),
    ('public.payments', 'payments_method_fkey', 'method = ''shells''', 'payment',
        'an attempt in shells'),
    ('public.payments', 'payments_currency_fkey', 'currency = ''NGN''', 'payment',
        'an attempt in a currency the shop does not know'),
    ('private.webhook_events', 'webhook_events_pkey', 'id = tests.id(''second-event'')', 'event',
        'two notices of one id'),
    ('private.webhook_events', 'webhook_events_dedupe_key_key', 'dedupe_key = ''key-2''', 'event',
        'one notice twice'),
    ('private.webhook_events', 'webhook_events_handled_has_outcome', 'handled_at = now()', 'event',
        'a handled notice without an outcome'),
    ('private.webhook_events', 'webhook_events_handled_has_outcome', 'outcome = ''applied''',
        'event',
        'an open notice with an outcome'),
    ('private.webhook_events', 'webhook_events_payment_id_fkey', 'payment_id = gen_random_uuid()',
        'event', 'a notice of a payment that is none'),
    ('private.payment_tokens', 'payment_tokens_pkey', 'payment_id = tests.id(''other-payment'')',
        'payment', 'two tokens of one attempt'),
    ('private.payment_tokens', 'payment_tokens_payment_id_fkey', 'payment_id = gen_random_uuid()',
        'payment', 'a token of no attempt'),
    ('private.payment_exceptions', 'payment_exceptions_kind_is_known', 'kind = ''odd''', 'twice-2',
        'an exception of an odd kind'),
    ('private.payment_exceptions', 'payment_exceptions_payment_id_fkey',
        'payment_id = gen_random_uuid()', 'twice-2', 'an exception of no attempt'),
    ('private.payment_exceptions', 'payment_exceptions_payment_id_kind_key',
        'kind = ''late_payment''', 'twice-2', 'one exception twice'),
    ('private.payment_exceptions', 'payment_exceptions_pkey',
        'id = (select e.id from private.payment_exceptions as e where e.kind = ''late_payment'' '
        'and e.payment_id = tests.id(''twice-2'')), kind = ''unknown_outcome''', 'twice-2',
        'two exceptions of one id')
) as b (table_name, constraint_name, assignment, name, title);
insert into private.payment_exceptions (payment_id, kind)
values (tests.id('twice-2'), 'late_payment');

select tests.remember();
select tests.violates(b.sql, b.constraint_name, b.title || ' cannot be')
from tests.breaks as b;
select tests.nothing_changed('and none is');

select set_eq(
    $$ select c.conrelid::regclass::text, c.conname::text from pg_catalog.pg_constraint as c
       where c.conrelid in (
           'public.payments'::regclass, 'private.webhook_events'::regclass,
           'private.payment_tokens'::regclass, 'private.payment_exceptions'::regclass
       )
       union
       select i.indrelid::regclass::text, c.relname::text
       from pg_catalog.pg_index as i
       inner join pg_catalog.pg_class as c on i.indexrelid = c.oid
       where i.indrelid = 'public.payments'::regclass
           and i.indisunique and i.indpred is not null $$,
    $$ select b.table_name::regclass::text, b.constraint_name from tests.breaks as b $$,
    'these are all of them'
);

select * from finish();
rollback;
