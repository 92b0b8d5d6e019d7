-- An admin gives money back: all of a payment, an amount, until the last cent and not one more; its
-- tax goes with it. The same key asks once.
begin;
\ir ../_helpers.psql
\ir _payments.psql
\ir _refunds.psql
select plan(106);

-- given amina in Cameroon, thandi in South Africa, and two admins
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('thandi');
select tests.make_admin('chioma');
select tests.make_admin('dieudonne', 'fr');
select tests.make_product('shoe', 1000, 100.00, 5000, name_fr => 'Chaussure');
select tests.make_product('hat', 1000, 33.30, 1500);

create function tests.order_of(
    name text, buyer text default 'amina', country text default 'CM'
)
returns uuid
language sql as $$
    select tests.place_order(
        order_of.name, order_of.buyer,
        jsonb_build_array(tests.item('shoe', 3), tests.item('hat', 2)), order_of.country
    )
$$;

-- All of it ---------------------------------------------------------------------------------------
-- given an order of 21500 XAF, 3471 of it tax, paid through Kora, which kept 300

select tests.order_of('order');
select count(tests.begin_payment('payment', 'order'));
select count(tests.apply('payment', 'paid', gateway_transaction_id => 'KPY-1', fee => 300));
delete from private.outbox;
create table tests.answers (name text, answer jsonb);
insert into tests.answers
select 'asked', tests.refund('refund', 'payment', idempotency_key => 'key-refund');
select is(
    (select a.answer - 'reference' from tests.answers as a where a.name = 'asked'),
    jsonb_build_object(
        'refund_id', tests.id('refund'), 'payment_id', tests.id('payment'),
        'order_id', tests.id('order'), 'gateway', 'kora', 'way', 'gateway', 'amount', 21500.00,
        'tax_amount', 3471.00, 'currency', 'XAF', 'status', 'pending', 'reason', 'Scratched',
        'failure_reason', null, 'items', '[]'::jsonb, 'created_at', to_jsonb(now()),
        'refunded_at', null
    ),
    'without an amount and pieces it is all that is left, with its tax'
);
select matches(
    (tests.refund_row('refund')).reference, '^rf-[0-9a-f]{24}$',
    'under a name that fits every rail'
);
select results_eq(
    $$ select r.user_id, r.requested_by, r.sent_at, r.checks, r.next_check_at, r.gateway_refund_id
       from tests.refund_row('refund') as r $$,
    $$ values (tests.id('amina'), tests.id('chioma'), null::timestamptz, 0, now(), null::text) $$,
    'it is amina''s, and says who asked for it'
);
select results_eq(
    $$ select o.job, o.args, o.dedupe_key, o.available_at from private.outbox as o $$,
    $$ select 'send_refund', jsonb_build_object('refund_id', tests.id('refund')),
           'send_refund/' || tests.id('refund'), now() $$,
    'one row of work sends it'
);
select is(
    tests.money('order'),
    '{payment paid winner 21500.00 XAF - 0.00,'
    'refund gateway kora pending 21500.00 XAF tax 3471.00}',
    'nothing has gone back yet'
);
select is(tests.postings('refund', tests.id('refund')), '{}', 'and nothing is in the books');
select results_eq(
    $$ select e.kind, e.actor_type, e.actor_id, e.refund_id, e.detail
       from private.payment_events as e
       where e.order_id = tests.id('order') and e.kind not in ('begun', 'paid') $$,
    $$ values ('refund_requested', 'admin', tests.id('chioma'), tests.id('refund'),
           jsonb_build_object('amount', 21500.00, 'currency', 'XAF', 'way', 'gateway',
               'reason', 'Scratched')) $$,
    'the trail says who asked for what'
);

-- when the rail has been told, and says that it is done
select is(tests.send_refund('refund') ->> 'is_first', 'true', 'given that the rail was told');
delete from private.outbox;
insert into tests.answers
select 'refunded', tests.refund_result(
    'refund', 'refunded', 21500, 'XAF', 'KPR-1', request_id => 'req-2'
);
select is(
    (select a.answer - 'reference' from tests.answers as a where a.name = 'refunded'),
    (
        select (a.answer - 'reference') || jsonb_build_object(
            'status', 'refunded', 'refunded_at', to_jsonb(now()), 'outcome', 'applied'
        )
        from tests.answers as a where a.name = 'asked'
    ),
    'the rail''s word is applied'
);
select is(
    tests.money('order'),
    '{payment refunded winner 21500.00 XAF - 21500.00,'
    'refund gateway kora refunded 21500.00 XAF tax 3471.00}',
    'the payment is refunded'
);
select results_eq(
    $$ select o.status::text, o.payment_status::text, o.cancelled_at
       from public.orders as o where o.id = tests.id('order') $$,
    $$ values ('paid', 'refunded', null::timestamptz) $$,
    'the order says so, and is not cancelled by it'
);
select is(
    tests.postings('refund', tests.id('refund')),
    '{refunds XAF 18029.00,vat_payable XAF 3471.00,gateway_receivable kora XAF -21500.00}',
    'the books take the sale back, net and tax, out of what Kora holds'
);
select is(
    tests.account('gateway_receivable'), '{kora XAF -300.00}',
    'Kora keeps its fee: the shop owes it'
);
select results_eq(
    $$ select e.kind, e.actor_type, e.actor_id, e.note
       from public.order_events as e
       where e.order_id = tests.id('order')
           and e.kind not in ('placed', 'payment_begun', 'paid') $$,
    $$ values ('refunded', 'gateway', null::uuid, '21500.00 XAF') $$,
    'one event says what went back'
);
select results_eq(
    $$ select e.kind, e.actor_type, e.refund_id, e.request_id, e.detail
       from private.payment_events as e
       where e.order_id = tests.id('order') and e.kind = 'refunded' $$,
    $$ values ('refunded', 'gateway', tests.id('refund'), 'req-2',
           jsonb_build_object('amount', 21500.00, 'currency', 'XAF')) $$,
    'so does the trail, with the request'
);
select results_eq(
    $$ select n.kind, n.data from public.notifications as n
       where n.user_id = tests.id('amina') and n.kind <> 'order_paid' $$,
    $$ values ('refund_sent', jsonb_build_object(
           'order_id', tests.id('order'), 'amount', 21500.00, 'currency', 'XAF')) $$,
    'amina reads it in the shop'
);
select results_eq(
    $$ select o.job, o.args, o.request_id from private.outbox as o $$,
    $$ select 'send_email', jsonb_build_object('email_id', e.id), 'req-2'
       from private.emails as e
       where e.template = 'refund_sent' and e.user_id = tests.id('amina')
           and e.order_id = tests.id('order') and e.refund_id = tests.id('refund') $$,
    'and gets one mail'
);
select is(
    (
        select tests.as_service(format('service.begin_email(%L)', e.id)) -> 'data'
        from private.emails as e where e.refund_id = tests.id('refund')
    ) @> jsonb_build_object(
        'refund_amount', 21500.00, 'refund_currency', 'XAF', 'is_full', true, 'way', 'gateway',
        'refund_items', null, 'refunded_at', to_jsonb(now()), 'total', 21500.00
    ),
    true,
    'which says the sum, and that it is all'
);
select tests.books_hold('and the books agree with the rows');

select tests.remember();
select is(
    tests.refund_result('refund', s.status, s.amount, s.currency) ->> 'outcome', 'unchanged',
    format('%s %s %s after it went back changes nothing', s.status, s.amount, s.currency)
)
from (
    values
    ('refunded', 21500, 'XAF'), ('refunded', null, null), ('refunded', 1, 'XAF'),
    ('failed', null, null), ('pending', null, null)
) as s (status, amount, currency);
select is(
    tests.apply('payment', 'refunded') ->> 'outcome', 'unchanged',
    'the gateway''s word that the payment is refunded is no news'
);
select tests.nothing_changed('no row of the shop is another one');
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql('payment')),
    'PT409 payment_not_refundable', 'nothing is left to refund', 'refunded'
);
select tests.act_as_owner();

-- The same key ------------------------------------------------------------------------------------

select tests.remember();
select is(
    tests.as_service(tests.refund_sql('payment', idempotency_key => 'key-refund')),
    (select a.answer from tests.answers as a where a.name = 'asked'),
    'the same key and body answer the same refund, as it was answered first'
);
select tests.refuses(
    format('select tests.as_service(%L)', r.sql), 'PT409 idempotency_key_reused',
    'the same key with ' || r.title, 'key-refund'
)
from (
    values
    (tests.refund_sql('payment', 5000, idempotency_key => 'key-refund'), 'an amount'),
    (tests.refund_sql('payment', null, '[]', idempotency_key => 'key-refund'), 'pieces'),
    (tests.refund_sql('payment', reason => 'Late', idempotency_key => 'key-refund'),
        'another reason')
) as r (sql, title);
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes');
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql(
        'payment', actor => 'dieudonne', idempotency_key => 'key-refund'
    )),
    'PT409 payment_not_refundable', 'another admin''s key of that name is another key'
);
select tests.refuses(
    format('select tests.as_service(%L)', format(
        'service.begin_refund(%L, %L, null, null, %L, %L)', tests.id('chioma'),
        tests.id('payment'), 'why', k.key
    )),
    'PT400 idempotency_key_invalid', format('a key %s is none', k.title)
)
from (
    values (null, 'that is missing'), ('short', 'of five letters'),
    (repeat('k', 201), 'of 201 letters'), ('a key with blanks', 'with blanks')
) as k (key, title);
select tests.act_as_owner();

-- Amounts -----------------------------------------------------------------------------------------
-- given 465.60 ZAR, 60.73 of it tax: 0.01, 100, 33.33, then all the rest

select tests.order_of('rand', 'thandi', 'ZA');
select count(tests.pay('rand'));
select is(
    tests.refunded('rand-' || r.place, 'payment-of-rand', r.amount) ->> 'outcome', 'applied',
    format('%s ZAR goes back', coalesce(r.amount::text, 'all that is left'))
)
from (values (1, 0.01), (2, 100), (3, 33.33)) as r (place, amount)
order by r.place;
select is(
    tests.money('rand'),
    '{payment-of-rand partially_refunded winner 465.60 ZAR - 133.34,'
    'rand-1 gateway kora refunded 0.01 ZAR tax 0.00,'
    'rand-2 gateway kora refunded 100.00 ZAR tax 13.04,'
    'rand-3 gateway kora refunded 33.33 ZAR tax 4.35}',
    'each with the sale''s share of tax, to the cent'
);
select is(
    (select o.payment_status::text from public.orders as o where o.id = tests.id('rand')),
    'partially_refunded', 'the order is partially refunded'
);
select is(
    (
        select tests.as_service(format('service.begin_email(%L)', e.id)) #> '{data,is_full}'
        from private.emails as e where e.refund_id = tests.id('rand-3')
    ),
    'false', 'and its mail does not say that it is all'
);
select tests.remember();
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql('payment-of-rand', a.amount)),
    'PT409 refund_amount_too_large', a.amount || ' ZAR more is too much',
    '{"left": 332.26, "currency": "ZAR"}'
)
from (values (332.27), (465.60), (9999999999.99), ('Infinity'::numeric)) as a (amount);
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes');
select is(
    tests.refunded('rand-4', 'payment-of-rand') ->> 'outcome', 'applied', 'all the rest goes back'
);
select is(
    tests.money('rand'),
    '{payment-of-rand refunded winner 465.60 ZAR - 465.60,'
    'rand-1 gateway kora refunded 0.01 ZAR tax 0.00,'
    'rand-2 gateway kora refunded 100.00 ZAR tax 13.04,'
    'rand-3 gateway kora refunded 33.33 ZAR tax 4.35,'
    'rand-4 gateway kora refunded 332.26 ZAR tax 43.34}',
    'its last cent, and the rest of the tax'
);
select is(tests.account('vat_payable'), '{}', 'of both orders no tax is owed');
select is(
    (
        select tests.as_service(format('service.begin_email(%L)', e.id)) #> '{data,is_full}'
        from private.emails as e where e.refund_id = tests.id('rand-4')
    ),
    'true', 'and now the mail says so'
);
select tests.books_hold('the books agree');

-- any cut of a sum into amounts gives it back, and its tax, to the last step of its currency
create function tests.cut(
    name text, buyer text, country text, amounts numeric []
)
returns text
language plpgsql as $$
declare
    v_amount numeric;
    v_order_id uuid := tests.order_of(cut.name, cut.buyer, cut.country);
begin
    perform tests.pay(cut.name);
    foreach v_amount in array cut.amounts loop
        perform tests.refunded(
            cut.name || '/' || gen_random_uuid(), 'payment-of-' || cut.name, v_amount
        );
    end loop;
    return (
        select format(
            '%s: %s of %s, tax %s of %s', o.payment_status, sum(r.amount), o.total_price,
            sum(r.tax_amount), o.tax_amount
        )
        from public.orders as o
        inner join public.refunds as r on o.id = r.order_id
        where o.id = v_order_id
        group by o.id
    );
end
$$;
select is(tests.cut('cut-' || c.place, c.buyer, c.country, c.amounts), c.wanted, c.title)
from (
    values
    (1, 'ten times 2001 XAF and the rest', 'amina', 'CM',
        array_fill(2001::numeric, '{10}') || null::numeric,
        'refunded: 21500.00 of 21500.00, tax 3471.00 of 3471.00'),
    (2, 'twelve times 38.80 ZAR', 'thandi', 'ZA', array_fill(38.80, '{12}'),
        'refunded: 465.60 of 465.60, tax 60.73 of 60.73'),
    (3, 'ten times 0.01 ZAR and the rest', 'thandi', 'ZA',
        array_fill(0.01, '{10}') || null::numeric,
        'refunded: 465.60 of 465.60, tax 60.73 of 60.73'),
    (4, 'half and half of 465.60 ZAR', 'thandi', 'ZA', array[232.80, 232.80],
        'refunded: 465.60 of 465.60, tax 60.73 of 60.73'),
    (5, 'all but one of 21500 XAF, and one', 'amina', 'CM', array[21499, 1]::numeric [],
        'refunded: 21500.00 of 21500.00, tax 3471.00 of 3471.00')
) as c (place, title, buyer, country, amounts, wanted)
order by c.place;

-- What is under way counts ------------------------------------------------------------------------

select tests.order_of('busy');
select count(tests.pay('busy'));
select count(tests.refund('busy-1', 'payment-of-busy', 20000));
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql('payment-of-busy', 1501)),
    'PT409 refund_amount_too_large', 'what is only asked for is not there any more',
    '{"left": 1500.00, "currency": "XAF"}'
);
select tests.act_as_owner();
select count(tests.send_refund('busy-1'));
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql('payment-of-busy', 1501)),
    'PT409 refund_amount_too_large', 'nor what is under way',
    '{"left": 1500.00, "currency": "XAF"}'
);
select tests.act_as_owner();
select is(
    tests.refund('busy-2', 'payment-of-busy') ->> 'amount', '1500.00',
    'all that is left is what no other takes'
);
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql('payment-of-busy')),
    'PT409 payment_not_refundable', 'then nothing is left', 'paid'
);
select tests.act_as_owner();
select count(tests.refund_result('busy-1', 'failed', reason => 'Account closed'));
select is(
    tests.refund('busy-3', 'payment-of-busy') ->> 'amount', '20000.00',
    'what failed is there again'
);
select is(
    tests.money('busy'),
    '{payment-of-busy paid winner 21500.00 XAF - 0.00,'
    'busy-1 gateway kora failed 20000.00 XAF tax 3229.00,'
    'busy-2 gateway kora pending 1500.00 XAF tax 242.00,'
    'busy-3 gateway kora pending 20000.00 XAF tax 3229.00}',
    'with its tax'
);

-- Who, and what is refused ------------------------------------------------------------------------
-- given an attempt that is open, one that failed, and one that is paid

select tests.order_of('open');
select count(tests.begin_payment('open-payment', 'open'));
select tests.order_of('dead');
select count(tests.begin_payment('dead-payment', 'dead'));
select count(tests.apply('dead-payment', 'failed', reason => 'declined'));
select tests.order_of('paid', 'thandi', 'ZA');
select count(tests.pay('paid'));
select tests.remember();
create table tests.refused (place serial, sql text, refusal text, title text, detail text);
insert into tests.refused (sql, refusal, title, detail) values
(tests.refund_sql('payment-of-paid', actor => 'thandi'), 'PT403 admin_required',
    'whose order it is', ''),
(tests.refund_sql('payment-of-paid', actor => 'amina'), 'PT403 admin_required',
    'another shopper', ''),
(format('service.begin_refund(null, %L, null, null, ''why'', ''key-nobody'')',
        tests.id('payment-of-paid')),
    'PT403 admin_required', 'nobody', ''),
(format('service.begin_refund(%L, %L, null, null, ''why'', ''key-stranger'')', gen_random_uuid(),
        tests.id('payment-of-paid')),
    'PT403 admin_required', 'who is not there', ''),
(format('service.begin_refund(%L, %L, null, null, ''why'', ''key-unknown'')', tests.id('chioma'),
        tests.id('paid')),
    'PT404 payment_not_found', 'a payment that is none', tests.id('paid')::text),
(format('service.begin_refund(%L, null, null, null, ''why'', ''key-unknown'')',
        tests.id('chioma')),
    'PT404 payment_not_found', 'no payment', ''),
(tests.refund_sql('open-payment'), 'PT409 payment_not_refundable', 'what was not paid yet',
    'pending'),
(tests.refund_sql('dead-payment'), 'PT409 payment_not_refundable', 'what was never paid',
    'failed'),
(tests.refund_sql('dead-payment', 1), 'PT409 payment_not_refundable', 'nor a part of it',
    'failed'),
(tests.refund_sql('payment-of-paid', 0), 'PT400 refund_amount_invalid', 'nothing', '0'),
(tests.refund_sql('payment-of-paid', -1), 'PT400 refund_amount_invalid', 'less than nothing',
    '-1'),
(tests.refund_sql('payment-of-paid', 0.005), 'PT400 refund_amount_invalid', 'half a cent',
    '0.005'),
(tests.refund_sql('payment-of-paid', 465.601), 'PT400 refund_amount_invalid',
    'a tenth of a cent too much', '465.601'),
(tests.refund_sql('payment-of-busy', 0.5), 'PT409 payment_not_refundable',
    'half a franc of what is spent', 'paid'),
(tests.refund_sql('payment-of-paid', 'NaN'), 'PT409 refund_amount_too_large', 'no number at all',
    '{"left": 465.60, "currency": "ZAR"}'),
(tests.refund_sql('payment-of-paid', reason => null), 'PT400 reason_invalid', 'without a reason',
    ''),
(tests.refund_sql('payment-of-paid', reason => '  '), 'PT400 reason_invalid',
    'with a reason of blanks', '  '),
(tests.refund_sql('payment-of-paid', reason => E'a\nb'), 'PT400 reason_invalid',
    'with a reason of two lines', E'a\nb'),
(tests.refund_sql('payment-of-paid', reason => repeat('é', 301)), 'PT400 reason_invalid',
    'with a reason of 301 letters', repeat('é', 200)),
(tests.refund_sql('payment-of-paid', reason => 'card 4111 1111 1111 1111'),
    'PT400 card_number_refused', 'with a card number, which is not repeated', '');
select tests.refuses(
    format('select tests.as_service(%L)', r.sql), r.refusal, 'refused: ' || r.title, r.detail
)
from tests.refused as r
order by r.place;
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes');
select is(
    tests.refund('trimmed', 'payment-of-paid', 1, reason => '  ' || repeat('é', 300) || ' ')
        ->> 'reason',
    repeat('é', 300), 'a reason of 300 letters is taken, without the blanks around it'
);

-- on a franc there are no cents
select tests.order_of('franc');
select count(tests.pay('franc'));
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql('payment-of-franc', 0.5)),
    'PT400 refund_amount_invalid', 'half a franc is not refunded', '0.5'
);
select tests.act_as_owner();
select is(
    tests.refund('one-franc', 'payment-of-franc', 1.00) ->> 'tax_amount', '0.00',
    'one franc is, without tax'
);

-- nobody else gets at it
select tests.remember();
select tests.act_as_anon();
select tests.denies('select ' || tests.refund_sql('payment-of-paid'), 'a guest may not refund');
select tests.act_as('thandi');
select tests.denies(
    'select ' || tests.refund_sql('payment-of-paid'), 'nor a shopper, by the service''s function'
);
select tests.act_as('chioma');
select tests.denies(
    'select ' || tests.refund_sql('payment-of-paid'), 'nor an admin but through the edge'
);
select tests.act_as_service_role();
select tests.denies('select ' || tests.refund_sql('payment-of-paid'), 'nor service_role');
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes');

-- What the payer sees -----------------------------------------------------------------------------

create function tests.status_sql(actor text, payment_name text) returns text
language sql stable as $$
    select format(
        'service.payment_status(%L, %L)', tests.id(status_sql.actor),
        tests.id(status_sql.payment_name)
    )
$$;
select is(
    tests.as_service(tests.status_sql(a.name, 'payment-of-rand')) -> 'refunds' @> jsonb_build_array(
        jsonb_build_object('amount', 0.01), jsonb_build_object('amount', 100.00),
        jsonb_build_object('amount', 33.33), jsonb_build_object('amount', 332.26)
    ),
    true,
    a.name || ' reads all refunds with the payment''s status'
)
from (values ('thandi'), ('chioma')) as a (name);
select is(
    tests.as_service(tests.status_sql('thandi', 'payment-of-rand')) ->> 'refunded_amount',
    '465.60', 'and their sum'
);
select is(
    tests.as_service(tests.status_sql('thandi', 'payment-of-paid')) #>> '{refunds,0,status}',
    'pending', 'also those that are not there yet'
);
select tests.refuses(
    format('select tests.as_service(%L)', tests.status_sql('amina', 'payment-of-rand')),
    'PT404 payment_not_found', 'nobody else does'
);
select tests.act_as_owner();

-- Which way ---------------------------------------------------------------------------------------
-- given payments by each gateway, with and without the handset that paid

create table tests.ways (
    place serial, name text, country text, method text, gateway text, phone text, payer text,
    wanted text, title text
);
insert into tests.ways (name, country, method, gateway, phone, payer, wanted, title) values
('w-kora', 'CM', 'kora_checkout', 'kora', null, null, 'gateway kora', 'Kora refunds itself'),
('w-mtn', 'CM', 'mtn_momo', 'mtn', '+237650000000', null, 'gateway mtn', 'so does MTN'),
('w-payfast', 'ZA', 'card', 'payfast', null, null, 'gateway payfast', 'so does PayFast'),
('w-orange', 'CM', 'orange_money', 'orange', null, '+237690000000', 'payout kora',
    'Orange cannot: Kora pays out to the handset'),
('w-unknown', 'CM', 'orange_money', 'orange', null, null, 'manual orange',
    'when nobody knows the handset, a person does it'),
('w-paygate', 'ZA', 'card', 'paygate', null, null, 'manual paygate',
    'PayGate''s portal is a person''s, too');
create function tests.way(given tests.ways) returns text
language plpgsql as $$
declare
    v_payment_id uuid;
begin
    perform tests.place_order(
        given.name, case given.country when 'CM' then 'amina' else 'thandi' end,
        jsonb_build_array(tests.item('hat', 1)), given.country
    );
    v_payment_id := tests.begin_payment(
        given.name || '-payment', given.name, given.method, given.phone, array[given.gateway]
    ) ->> 'payment_id';
    update public.payments set payer_account = coalesce(given.payer, payer_account)
    where id = v_payment_id;
    perform tests.apply(given.name || '-payment', 'paid');
    return concat_ws(' ', r.way, r.gateway)
    from jsonb_to_record(tests.refund(given.name || '-refund', given.name || '-payment'))
        as r (way text, gateway text);
end
$$;
select is(tests.way(w), w.wanted, w.title) from tests.ways as w order by w.place;
select results_eq(
    $$ select w.name,
           (select o.job from private.outbox as o
            where o.args ->> 'refund_id' = tests.id(w.name || '-refund')::text),
           (select concat_ws(' ', e.kind, e.detail) from private.payment_exceptions as e
            where e.refund_id = tests.id(w.name || '-refund'))
       from tests.ways as w order by w.place $$,
    $$ values ('w-kora', 'send_refund', null), ('w-mtn', 'send_refund', null),
       ('w-payfast', 'send_refund', null), ('w-orange', 'send_refund', null),
       ('w-unknown', null, 'manual_refund Scratched'),
       ('w-paygate', null, 'manual_refund Scratched') $$,
    'what a rail carries is sent, the rest stands before a person'
);
select tests.books_hold('and the books agree');

select * from finish();
rollback;
