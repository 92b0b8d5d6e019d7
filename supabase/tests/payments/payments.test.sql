-- What no attempt, notice, token or exception can be, whoever writes it: every constraint of the
-- four tables, and the unique indexes that make one winner, one live attempt and one token of ours.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(64);

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
select tests.as_service(format(
    'service.record_payment_started(%L, null, ''{}'', null, ''gateway-token'', ''session-1'')',
    tests.id('other-payment')
));
insert into private.webhook_events (id, gateway, dedupe_key, event_type, payment_id, raw)
values
(tests.name_it('event', gen_random_uuid()), 'kora', 'key-1', 'charge.success', null, '{}'),
(tests.name_it('second-event', gen_random_uuid()), 'kora', 'key-2', 'charge.success',
    tests.id('payment'), '{}');
insert into private.payment_tokens (payment_id, webhook_token, is_of_gateway)
values (tests.id('payment'), 'token', true), (tests.id('other-payment'), 'token', true);
insert into private.payment_exceptions (id, kind, subject_id, order_id, payment_id)
values
(tests.name_it('exception', gen_random_uuid()), 'late_payment', tests.id('payment'),
    tests.id('order'), tests.id('payment')),
(tests.name_it('second-exception', gen_random_uuid()), 'late_payment', tests.id('other-payment'),
    tests.id('other'), tests.id('other-payment'));

create table tests.breaks (table_name text, constraint_name text, sql text, title text);
insert into tests.breaks
select
    b.table_name, b.constraint_name,
    case
        when b.assignment like 'delete %' then b.assignment
        when b.table_name = 'private.payment_tokens' then format(
            'update private.payment_tokens set %s where webhook_token = ''token'' '
            'and payment_id = tests.id(%L)',
            b.assignment, b.name)
        else format('update %s set %s where id = tests.id(%L)',
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
    ('public.payments', 'payments_gateway_session_key', 'gateway_session = ''session-1''',
        'payment', 'two attempts of one session at a gateway'),
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
    ('public.payments', 'payments_holds_no_card_number',
        'failure_reason = ''4111 1111 1111 1111 was refused''', 'payment',
        'a reason with a card number'),
    ('public.payments', 'payments_payer_account_is_e164', 'payer_account = ''0650000000''',
        'payment', 'an account without its country code'),
    ('public.payments', 'payments_collected_is_whole', 'collected_amount = 1', 'payment',
        'money collected of no currency'),
    ('public.payments', 'payments_collected_is_whole', 'collected_currency = ''XAF''', 'payment',
        'a currency of no money'),
    ('public.payments', 'payments_collected_positive',
        'collected_amount = 0, collected_currency = ''XAF''', 'payment', 'nothing collected'),
    ('public.payments', 'payments_collected_currency_is_iso_4217',
        'collected_amount = 1, collected_currency = ''xaf''', 'payment',
        'money of a currency in small letters'),
    ('public.payments', 'payments_fee_not_negative', 'fee_amount = -1', 'payment',
        'a fee that is a gift'),
    ('public.payments', 'payments_refunded_fits', 'refunded_amount = -1', 'twice-1',
        'less than nothing given back'),
    ('public.payments', 'payments_refunded_fits', 'refunded_amount = 8501', 'twice-1',
        'more given back than came'),
    ('public.payments', 'payments_refunded_fits', 'refunded_amount = 1', 'payment',
        'money given back that never came'),
    ('public.payments', 'payments_refunded_has_status', 'refunded_amount = 1', 'twice-1',
        'money given back of a payment that does not say so'),
    ('public.payments', 'payments_refunded_has_status', 'refunded_amount = 8500', 'twice-1',
        'all given back of a payment that does not say so'),
    ('public.payments', 'payments_refunded_has_status', 'status = ''refunded''', 'twice-1',
        'a refunded payment of which nothing went back'),
    ('public.payments', 'payments_refunded_has_status',
        'status = ''partially_refunded'', refunded_amount = 8500', 'twice-1',
        'a partly refunded payment of which all went back'),
    ('public.payments', 'payments_gateway_fkey', 'gateway = ''shells''', 'payment',
        'an attempt at a gateway the shop does not know'),
    ('public.payments', 'payments_saved_payment_method_id_fkey',
        'saved_payment_method_id = gen_random_uuid()', 'payment',
        'an attempt by a saved method that is none'),
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
    ('private.webhook_events', 'webhook_events_refund_id_fkey', 'refund_id = gen_random_uuid()',
        'event', 'a notice of a refund that is none'),
    ('private.webhook_events', 'webhook_events_kind_is_known', 'kind = ''odd''', 'event',
        'a notice of an odd kind'),
    ('private.webhook_events', 'webhook_events_holds_no_card_number',
        'raw = ''{"card": "4111111111111111"}''', 'event', 'a notice with a card number'),
    ('private.payment_tokens', 'payment_tokens_pkey', 'payment_id = tests.id(''other-payment'')',
        'payment', 'one token twice of one attempt'),
    ('private.payment_tokens', 'payment_tokens_payment_id_key', 'is_of_gateway = false',
        'payment', 'two tokens of ours of one attempt'),
    ('private.payment_tokens', 'payment_tokens_payment_id_fkey', 'payment_id = gen_random_uuid()',
        'payment', 'a token of no attempt'),
    ('private.payment_exceptions', 'payment_exceptions_pkey', 'id = tests.id(''second-exception'')',
        'exception', 'two exceptions of one id'),
    ('private.payment_exceptions', 'payment_exceptions_subject_id_key',
        'subject_id = tests.id(''other-payment'')', 'exception', 'one exception twice'),
    ('private.payment_exceptions', 'payment_exceptions_kind_fkey', 'kind = ''odd''', 'exception',
        'an exception of an odd kind'),
    ('private.payment_exceptions', 'payment_exceptions_payment_id_fkey',
        'payment_id = gen_random_uuid()', 'exception', 'an exception of no attempt'),
    ('private.payment_exceptions', 'payment_exceptions_order_id_fkey',
        'order_id = gen_random_uuid()', 'exception', 'an exception of no order'),
    ('private.payment_exceptions', 'payment_exceptions_refund_id_fkey',
        'refund_id = gen_random_uuid()', 'exception', 'an exception of no refund'),
    ('private.payment_exceptions', 'payment_exceptions_event_id_fkey',
        'event_id = gen_random_uuid()', 'exception', 'an exception of no notice'),
    ('private.payment_exceptions', 'payment_exceptions_resolved_by_fkey',
        'resolved_at = now(), resolution = ''recheck'', resolved_by = gen_random_uuid()',
        'exception', 'an exception resolved by nobody'),
    ('private.payment_exceptions', 'payment_exceptions_resolved_has_resolution',
        'resolved_at = now()', 'exception', 'an exception resolved by nothing'),
    ('private.payment_exceptions', 'payment_exceptions_resolved_has_resolution',
        'resolution = ''settled''', 'exception', 'an open exception with a resolution'),
    ('private.payment_exceptions', 'payment_exceptions_dismissed_has_note',
        'resolved_at = now(), resolution = ''dismiss''', 'exception',
        'an exception dismissed without a word'),
    ('private.payment_exceptions', 'payment_exceptions_note_is_one_line', 'note = E''a\nb''',
        'exception', 'a note of two lines'),
    ('private.payment_exceptions', 'payment_exceptions_note_is_one_line',
        'note = repeat(''a'', 301)', 'exception', 'a note of 301 characters'),
    ('private.payment_exceptions', 'payment_exceptions_holds_no_card_number',
        'detail = ''4111111111111111''', 'exception', 'an exception with a card number'),
    ('private.payment_exceptions', 'payment_exceptions_holds_no_card_number',
        'note = ''4111 1111 1111 1111''', 'exception', 'a note with a card number'),
    ('private.payment_exceptions', 'payment_exceptions_evidence_is_object', 'evidence = ''[]''',
        'exception', 'evidence that is a list')
) as b (table_name, constraint_name, assignment, name, title);

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
       where i.indrelid in (
               'public.payments'::regclass, 'private.webhook_events'::regclass,
               'private.payment_tokens'::regclass, 'private.payment_exceptions'::regclass
           )
           and i.indisunique and i.indpred is not null $$,
    $$ select b.table_name::regclass::text, b.constraint_name from tests.breaks as b $$,
    'these are all of them'
);

select * from finish();
rollback;
