-- The shop never keeps a card number: what passes for one and what does not, every table that
-- refuses one, and every door at which one may be brought.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
\ir ../payments/_refunds.psql
select plan(163);

-- What passes for one -----------------------------------------------------------------------------

create table tests.texts (place serial, value text, is_card boolean, title text);
insert into tests.texts (value, is_card, title) values
-- test numbers of every brand
('4111111111111111', true, 'a Visa'),
('4222222222222', true, 'a Visa of 13 digits'),
('4012888888881881', true, 'another Visa'),
('5555555555554444', true, 'a Mastercard'),
('2221000000000009', true, 'the first of the newer Mastercards'),
('2720990000000007', true, 'one of the last of them'),
('378282246310005', true, 'an American Express'),
('6011111111111117', true, 'a Discover'),
('30569309025904', true, 'a Diners Club'),
('3530111333300000', true, 'a JCB'),
('6200000000000005', true, 'a UnionPay'),
('6759649826438453', true, 'a Maestro'),
('5019717010103742', true, 'a Dankort'),
('6304000000000000', true, 'a Laser'),
('4000000000000000006', true, 'one of 19 digits'),
-- as people and programs write them
('4111 1111 1111 1111', true, 'with blanks'),
('4111-1111-1111-1111', true, 'with hyphens'),
('4111 1111-1111 1111', true, 'with both'),
('3782 822463 10005', true, 'in the groups of an American Express'),
('4111 11111111 1111', true, 'in odd groups'),
('4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1', true, 'digit by digit'),
('4111  1111  1111  1111', true, 'with two blanks'),
('4111 - 1111 - 1111 - 1111', true, 'with spaced hyphens'),
(E'4111\u00a01111\u00a01111\u00a01111', true, 'with no-break spaces'),
(E'4111\u202f1111\u202f1111\u202f1111', true, 'with narrow ones'),
(E'4111\u20131111\u20131111\u20131111', true, 'with dashes'),
('my card is 4111 1111 1111 1111, thanks', true, 'in a sentence'),
('card:4111111111111111', true, 'after a colon'),
('PAN=4111111111111111;', true, 'as a parameter'),
('"4111111111111111"', true, 'in quotation marks'),
('{"pan": 4111111111111111}', true, 'in JSON'),
('(4111111111111111)', true, 'in brackets'),
('4111111111111111/1225', true, 'with its date'),
('4111 1111 1111 1111 12/25 123', true, 'with its date and code'),
('4111111111111111 1225', true, 'with its date after a blank'),
('_4111111111111111_', true, 'between underscores'),
('ref 4111111111111111-11', true, 'with more after a hyphen'),
('-4111111111111111', true, 'after a hyphen'),
('.4111111111111111', true, 'after a dot'),
('4111111111111111.', true, 'before a dot'),
('3 4111 1111 1111 1111', true, 'after a house number'),
('6 4111111111111111', true, 'after any other digit'),
('12 rue 4 4111 1111 1111 1111 B', true, 'in an address'),
(E'line one\n4111111111111111\nline three', true, 'on a line of its own'),
('4111111111111112 4111111111111111', true, 'beside one that is wrong'),
-- what is none
(null, false, 'nothing'),
('', false, 'an empty text'),
('4111111111111112', false, 'a wrong check digit'),
('1234567812345670', false, 'a first digit of no brand'),
('0000000000000000', false, 'noughts'),
('2220990000000000', false, 'just before the newer Mastercards'),
('2721000000000004', false, 'just after them'),
('222100000000009', false, 'a newer Mastercard that is too short'),
('411111111111', false, 'twelve digits'),
('40000000000000000006', false, 'twenty digits'),
('4111111111111111111111', false, 'a longer number that has one in it'),
('+237650000000', false, 'a phone number of Cameroon'),
('+237 6 50 00 00 00', false, 'as it is written there'),
('+27 82 123 4567', false, 'one of South Africa'),
('+4915112345678901', false, 'one of fifteen digits'),
('237650000000', false, 'one without its plus'),
('41111111-1111-4111-8111-111111111111', false, 'a UUID of digits'),
('f47ac10b-58cc-4372-a567-0e02b2c3d479', false, 'any UUID'),
('payment 5a000000-0000-4000-8000-000000000001 of order', false, 'one in a sentence'),
('mg-411111111111111111111111', false, 'a reference of ours in digits'),
('mg-4a11111111111111b1111111', false, 'one as they are'),
('rf-0123456789abcdef01234567', false, 'one of a refund'),
('abc4111111111111111', false, 'an id with one in it'),
('4111111111111111abc', false, 'or before its letters'),
('MG-100005', false, 'an order number'),
('1795391234567', false, 'a time in milliseconds'),
('2026-11-22 23:17:42.885061', false, 'a time'),
('2026-11-22T23:17:42.885061+00:00', false, 'a time with its zone'),
('20261122231742885061', false, 'a time without marks'),
('4.0510564123456789', false, 'a latitude'),
('{"latitude": 4.0510564123456789, "longitude": 9.7678687412345678}', false, 'a place in JSON'),
('-33.9248685', false, 'a place in the south'),
('GB33BUKB20201555555555', false, 'a bank account'),
('CM2110003001000500000605306', false, 'one of Cameroon'),
('12345 67890 12345', false, 'groups that are none'),
('1.4111111111111111', false, 'the decimals of a number'),
('21500.00 XAF', false, 'a sum'),
('6f1c4111111111111111d', false, 'a hash'),
('4242 items, 4242 boxes', false, 'numbers in a sentence'),
('Visa …1111', false, 'the last digits'),
('411111******1111', false, 'a masked one');
select is(
    private.holds_card_number(t.value), t.is_card,
    format('%s %s', t.title, case when t.is_card then 'is one' else 'is none' end)
)
from tests.texts as t
order by t.place;
select is(
    (select count(*) from tests.texts as t
     where private.holds_card_number(private.clean_words(t.value))),
    0::bigint, 'clean words hold none of them'
);
select is(private.clean_words(w.value), w.wanted, w.title)
from (
    values
    ('card 4111 1111 1111 1111 declined', 'card … … … … declined', 'the number goes'),
    ('order 100005: card 4111111111111111', 'order …: card …', 'and what stands beside it'),
    ('order 100005: declined', 'order 100005: declined', 'other numbers stay'),
    (E'a\r\nb\tc', 'a b c', 'words are one line'),
    (repeat('é', 400), repeat('é', 300), 'of 300 letters'),
    ('', '', 'nothing is nothing'), (null, null, 'nor is what is missing something')
) as w (value, wanted, title);
select is(private.passes_luhn(n.digits), n.passes, format('%s: %s', n.digits, n.passes))
from (
    values ('0', true), ('18', true), ('26', true), ('1', false), ('79927398713', true),
    ('79927398710', false), ('4111111111111111', true), ('1111111111111114', false)
) as n (digits, passes);

-- The tables that refuse one ----------------------------------------------------------------------
-- given a row in each

select tests.make_user('amina', 'fr', 'CM');
select tests.make_admin('chioma');
select tests.make_affiliate('pat');
select tests.make_address('home', 'amina');
select tests.make_product('shoe', 1000, 100.00, 5000);
select tests.place_order('order', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('payment', 'order', save_method => true));
select count(tests.apply('payment', 'paid', saved_method => '{"token": "t", "label": "Visa"}'));
select count(tests.refund('refund', 'payment', 100));
select count(tests.send_refund('refund'));
select count(tests.refund_result('refund', 'failed', reason => 'No'));
select count(tests.notice('n', array['mg-nobody']));
select count(tests.as_service(format(
    'service.import_statement(%L, ''kora'', ''a.csv'', %L)', tests.id('chioma'),
    '[{"kind": "settlement", "gross": "5", "currency": "XAF", "occurred_at": "2026-11-22"}]'
)));
insert into public.product_reviews (order_item_id, user_id, product_id, rating, language)
select i.id, i.user_id, i.product_id, 5, 'fr'
from public.order_items as i where i.order_id = tests.id('order');
create table tests.guards (place serial, table_name text, constraint_name text, assignment text);
insert into tests.guards (table_name, constraint_name, assignment) values
('public.users', 'users_holds_no_card_number', 'full_name = %L'),
('public.orders', 'orders_holds_no_card_number',
    'shipping_address = jsonb_build_object(''landmark'', %L)'),
('public.payments', 'payments_holds_no_card_number', 'failure_reason = %L'),
('public.refunds', 'refunds_holds_no_card_number', 'reason = %L'),
('public.refunds', 'refunds_holds_no_card_number', 'failure_reason = %L'),
('public.affiliates', 'affiliates_holds_no_card_number', 'note = %L'),
('public.affiliates', 'affiliates_holds_no_card_number',
    'payout_channel = ''kora'', payout_account = %L'),
('public.product_reviews', 'product_reviews_holds_no_card_number', 'title = %L'),
('public.product_reviews', 'product_reviews_holds_no_card_number', 'body = %L'),
('public.saved_payment_methods', 'saved_payment_methods_holds_no_card_number', 'label = %L'),
('private.saved_payment_method_tokens', 'saved_payment_method_tokens_holds_no_card_number',
    'token = %L'),
('private.payment_exceptions', 'payment_exceptions_holds_no_card_number', 'detail = %L'),
('private.payment_exceptions', 'payment_exceptions_holds_no_card_number', 'note = %L'),
('private.payment_exceptions', 'payment_exceptions_holds_no_card_number',
    'evidence = jsonb_build_object(''pan'', %L)'),
('private.webhook_events', 'webhook_events_holds_no_card_number', 'raw = %L'),
('private.gateway_statements', 'gateway_statements_file_name_is_one_line', 'file_name = %L');
select set_eq(
    $$ select c.conrelid::regclass::text, c.conname::text from pg_catalog.pg_constraint as c
       where pg_get_constraintdef(c.oid) like '%holds_card_number%' $$,
    $$ select g.table_name::regclass::text, g.constraint_name from tests.guards as g
       union
       -- behind its trigger, which refuses without repeating the row
       values ('public.addresses', 'addresses_holds_no_card_number') $$,
    'these are the tables that refuse one'
);
select tests.remember();
select tests.violates(
    format('update %s set ' || g.assignment, g.table_name, v.value), g.constraint_name,
    format('%s takes no %s in %s', g.table_name, v.value, split_part(g.assignment, ' =', 1))
)
from tests.guards as g
cross join (values ('4111111111111111'), ('my card: 5555-5555-5555-4444')) as v (value)
order by g.place;
select tests.violates(
    'update public.orders set status = ''cancelled'', cancelled_at = now(), '
    'cancel_reason = ''4111111111111111''',
    'orders_holds_no_card_number', 'nor is it a reason to cancel'
);
set local session_replication_role = replica;
select tests.violates(
    'update public.addresses set landmark = ''4111111111111111''',
    'addresses_holds_no_card_number', 'behind the trigger of addresses stands the constraint'
);
set local session_replication_role = origin;
select tests.nothing_changed('and none is kept');

-- Every door --------------------------------------------------------------------------------------
-- when one is brought wherever words may be brought

create function tests.kept() returns text []
language plpgsql as $$
declare
    v_table text;
    v_count bigint;
    v_kept text [] := '{}';
begin
    for v_table in
        select format('%I.%I', n.nspname, c.relname)
        from pg_catalog.pg_class as c
        inner join pg_catalog.pg_namespace as n on c.relnamespace = n.oid
        where c.relkind in ('r', 'p') and n.nspname in ('public', 'private')
        order by 1
    loop
        execute format(
            'select count(*) from %s as t where to_jsonb(t)::text like ''%%1111%%1111%%'' '
            'or private.holds_card_number(to_jsonb(t)::text)', v_table
        ) into v_count;
        if v_count > 0 then
            v_kept := v_kept || format('%s %s', v_table, v_count);
        end if;
    end loop;
    return v_kept;
end
$$;
select is(tests.kept(), '{}', 'given that none is kept anywhere');
create table tests.doors (place serial, actor text, sql text, wanted text, title text);
insert into tests.doors (actor, sql, wanted, title) values
('amina', 'insert into public.addresses (recipient_name, phone, country, city, landmark) values '
    '(''4111111111111111'', ''+237650000000'', ''CM'', ''Douala'', ''Akwa'')',
    'PT400 card_number_refused', 'an address'),
('amina', format(
    'select public.place_order(''key-with-card'', ''CM'', %L, null, %L)',
    tests.address('CM', '{"landmark": "4111 1111 1111 1111"}'),
    jsonb_build_array(tests.item('shoe', 1))), 'PT400 card_number_refused', 'an order'),
('amina', format('select public.update_order_address(%L, %L)', tests.id('order'),
    tests.address('CM', '{"line1": "4111 1111 1111 1111"}')),
    'PT409 order_not_editable', 'an order''s address'),
('amina', format('select public.cancel_order(%L, ''4111-1111-1111-1111'')', tests.id('order')),
    'PT400 card_number_refused', 'a reason to cancel'),
('amina', format('update public.users set full_name = ''4111111111111111'' where id = %L',
    tests.id('amina')), '23514', 'a name'),
('chioma', format('select public.resolve_exception(%L, ''dismiss'', ''4111111111111111'')',
    (tests.exception('failed_refund', 'refund')).id), 'PT400 card_number_refused', 'a note'),
('amina', format('select public.write_review(%L, 5, null, ''4111111111111111'')', (
    select r.order_item_id from public.product_reviews as r)), 'PT400 card_number_refused',
    'a review'),
('chioma', format('select public.moderate_review(%L, ''rejected'', ''4111111111111111'')', (
    select r.id from public.product_reviews as r)), 'PT400 card_number_refused', 'its rejection'),
('service', 'select ' || tests.refund_sql('payment', 1, reason => 'for 4111111111111111'),
    'PT400 card_number_refused', 'a reason to refund'),
('service', format(
    'select service.import_statement(%L, ''kora'', ''4111111111111111'', ''[{}]'')',
    tests.id('chioma')), 'PT400 statement_invalid', 'a file''s name');
select tests.place_order('begun', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('begun-payment', 'begun'));
select tests.place_order('asked', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('asked-payment', 'asked', save_method => true));
select tests.place_order('reversed', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.pay('reversed'));
select tests.place_order('old', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('old-payment', 'old'));
update public.payments set created_at = now() - interval '2 days'
where id = tests.id('old-payment');
select count(tests.refund('words', 'payment', 100)), count(tests.refund('refused', 'payment', 100));
select tests.name_it('event', (tests.notice('door', array['x']) ->> 'event_id')::uuid);
insert into private.outbox (id, job, attempts)
values (tests.name_it('job', gen_random_uuid()), 'archive', 1);
insert into tests.doors (actor, sql, wanted, title) values
('service', format(
    'select service.record_payment_start_failed(%L, ''nothing_created'', ''4111111111111111'')',
    tests.id('begun-payment')), '', 'a gateway''s words at the start'),
('service', 'select ' || tests.apply_sql('asked-payment', 'failed', reason => '4111111111111111'),
    '', 'at the end'),
('service', 'select ' || tests.apply_sql('asked-payment', 'paid', saved_method =>
    '{"token": "4111111111111111", "label": "4111111111111111"}'), '', 'of a saved method'),
('service', 'select ' || tests.apply_sql('payment-of-reversed', 'refunded', reason =>
    '4111111111111111'), '', 'of a chargeback'),
('service', format('select service.record_payment_check(%L, ''4111111111111111'')',
    tests.id('old-payment')), '', 'of a poll'),
('service', 'select ' || tests.refund_result_sql('words', 'failed', reason => '4111111111111111'),
    '', 'of a refund'),
('service', format('select service.record_refund_refused(%L, ''x'', ''4111111111111111'')',
    tests.id('refused')), '', 'that refuse one'),
('service', format(
    'select service.record_webhook_handled(%L, ''odd'', ''4111111111111111'')',
    tests.id('event')), '', 'of a notice'),
('service', format('select service.import_statement(%L, ''kora'', ''b.csv'', %L)',
    tests.id('chioma'), '[{"kind": "payment", "gross": "5", "currency": "XAF", '
    '"occurred_at": "2026-11-22", "reference": "4111111111111111", '
    '"transaction_id": "4111 1111 1111 1111", "note": "4111111111111111"}]'), '', 'in a statement'),
('service', format('select service.record_webhook_events(%L)',
    '[{"gateway": "kora", "dedupe_key": "pan", "event_type": "x", "kind": "other", '
    '"payment_references": [], "raw": "{\"pan\": \"4111111111111111\"}", "headers": {}}]'), '',
    'in a notice''s body'),
('service', format('select service.record_webhook_events(%L)',
    '[{"gateway": "kora", "dedupe_key": "pan-2", "event_type": "x", "kind": "other", '
    '"payment_references": [], "raw": "{}", "headers": {"x-pan": "4111111111111111"}}]'), '',
    'in its headers'),
('service', format('select service.record_job_failed(%L, 1, ''Error: 4111111111111111'')',
    tests.id('job')), '', 'in what a job says of its failure');
create function tests.try_door(given tests.doors) returns text
language plpgsql as $$
declare
    v_failure tests.failure;
begin
    if given.actor = 'service' then
        perform tests.act_as_service();
    else
        perform tests.act_as(given.actor);
    end if;
    v_failure := tests.attempt(given.sql);
    perform tests.act_as_owner();
    return coalesce(trim(concat_ws(' ', v_failure.state, v_failure.hint)), '');
end
$$;
select is(tests.try_door(d), d.wanted, format('%s: %s', d.title,
    case d.wanted when '' then 'taken, without it' else 'refused' end))
from tests.doors as d
order by d.place;
select is(tests.kept(), '{}', 'and none is kept anywhere');
select is(
    (
        select array_agg(r.failure_reason order by r.failure_reason) from public.refunds as r
        where r.failure_reason like '%…%'
    ),
    '{x: …,…}', 'what was said beside it is'
);

select * from finish();
rollback;
