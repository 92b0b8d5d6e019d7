-- Money that comes twice, late, or otherwise than asked for: one attempt wins an order, with its
-- exact sum; all other money is the payer's, and goes back or stands before a person.
begin;
\ir ../_helpers.psql
\ir _payments.psql
\ir _refunds.psql
select plan(63);

-- given amina, who orders shoes for 8500 XAF, and pages that may be paid twice: PayFast's as it is,
-- Kora's for these tests
update private.payment_gateways set takes_twice = true where code = 'kora';
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('thandi');
select tests.make_admin('chioma');
select tests.make_product('shoe', 1000, 100.00, 5000);

create function tests.order_of(name text, country text default 'CM') returns uuid
language sql as $$
    select tests.place_order(
        order_of.name, case order_of.country when 'CM' then 'amina' else 'thandi' end,
        jsonb_build_array(tests.item('shoe', 1)), order_of.country
    )
$$;
-- an attempt whose transaction the gateway named when it began, or only when it was paid
create function tests.attempt_of(
    name text, gateway_transaction_id text default null, gateway text default 'kora',
    country text default 'CM'
)
returns void
language plpgsql as $$
begin
    perform tests.order_of(attempt_of.name, attempt_of.country);
    perform tests.begin_payment(
        attempt_of.name || '-payment', attempt_of.name,
        case attempt_of.gateway when 'payfast' then 'card' else 'kora_checkout' end, null,
        array[attempt_of.gateway]
    );
    if attempt_of.gateway_transaction_id is not null then
        perform tests.as_service(format(
            'service.record_payment_started(%L, %L, ''{"action": "redirect"}'', null)',
            tests.id(attempt_of.name || '-payment'), attempt_of.gateway_transaction_id
        ));
    end if;
end
$$;
-- names what the shop made by itself: <order>-second, <order>-third … and their refunds
create function tests.name_new(order_name text) returns void
language plpgsql security definer as $$
declare
    v_id uuid;
    v_words text [] := '{second,third,fourth}';
begin
    for v_id in
        select p.id
        from public.payments as p
        inner join tests.names as o on p.order_id = o.id and o.name = name_new.order_name
        where not exists (select from tests.names as n where n.id = p.id)
        order by p.gateway_transaction_id
    loop
        perform tests.name_it(
            name_new.order_name || '-' || w.word, v_id
        )
        from unnest(v_words) with ordinality as w (word, place)
        where not exists (
            select from tests.names as n where n.name = name_new.order_name || '-' || w.word
        )
        order by w.place
        limit 1;
    end loop;
    perform tests.name_it(p.name || '-refund', r.id)
    from public.refunds as r
    inner join tests.names as o on r.order_id = o.id and o.name = name_new.order_name
    inner join tests.names as p on r.payment_id = p.id
    where not exists (select from tests.names as n where n.id = r.id);
end
$$;

-- One page, paid twice ----------------------------------------------------------------------------
-- given PayFast's form, which says nothing of a transaction until it is paid

select tests.attempt_of('form', gateway => 'payfast', country => 'ZA');
select is(
    tests.apply('form-payment', 'paid', gateway_transaction_id => 'PF-1', fee => 4.60)
        ->> 'order_status',
    'paid', 'given an order that was paid'
);
delete from private.outbox;
create table tests.second as
select tests.apply(
    'form-payment', 'paid', gateway_transaction_id => 'PF-2', fee => 4.60, request_id => 'req-2'
) as answer;
select is(
    (select a.answer - 'created_at' - 'started_at' from tests.second as a),
    (
        select jsonb_build_object(
            'payment_id', p.id, 'order_id', tests.id('form'), 'gateway', 'payfast',
            'method', 'card', 'reference', p.reference, 'gateway_transaction_id', 'PF-1',
            'gateway_session', null, 'amount', 199.00, 'currency', 'ZAR', 'status', 'paid',
            'order_status', 'paid', 'payment_status', 'paid', 'action', null,
            'failure_reason', null, 'expires_at', null, 'refunded_amount', 0.00, 'checks', 0,
            'is_settled', true, 'outcome', 'applied'
        )
        from tests.payment('form-payment') as p
    ),
    'another transaction on it is news, though the first stays what it was'
);
select tests.name_new('form');
select is(
    tests.money('form'),
    '{form-payment paid winner 199.00 ZAR - 0.00,form-second paid 199.00 ZAR - 0.00,'
    'form-second-refund gateway payfast pending 199.00 ZAR tax 0.00}',
    'it is an attempt of its own, which goes back'
);
select results_eq(
    $$ select s.user_id, s.gateway, s.method, s.amount, s.currency, s.fee_amount,
           s.gateway_transaction_id, s.superseded_at, s.next_check_at,
           s.reference <> p.reference and s.reference ~ '^mg-[0-9a-f]{24}$'
       from tests.payment('form-second') as s, tests.payment('form-payment') as p $$,
    $$ values (tests.id('thandi'), 'payfast', 'card', 199.00, 'ZAR', 4.60, 'PF-2', now(),
           null::timestamptz, true) $$,
    'of the same person and way to pay, with its own transaction, fee and name'
);
select is(
    tests.postings('receipt', tests.id('form-second'))
    || tests.postings('fee', tests.id('form-second')),
    '{gateway_receivable payfast ZAR 199.00,unallocated_receipts ZAR -199.00,'
    'gateway_fees ZAR 4.60,gateway_receivable payfast ZAR -4.60}',
    'its money is thandi''s, its fee the shop''s'
);
select is(
    tests.desk('form'), '{duplicate_payment form-second open}', 'it stands at the desk until then'
);
select set_eq(
    $$ select o.job, o.args ->> 'refund_id', o.request_id from private.outbox as o $$,
    $$ select 'send_refund' as job, tests.id('form-second-refund')::text as id,
           'req-2' as request $$,
    'its refund is work, and nobody is mailed that the order is paid again'
);
select is(
    (
        select concat_ws('/', s.reserved, s.on_hand) from public.product_stock as s
        where s.listing_id = tests.id('shoe')
    ),
    '0/999', 'one shoe has left the shelf'
);
select tests.remember();
select is(
    tests.apply('form-payment', 'paid', gateway_transaction_id => t.id) ->> 'outcome', 'unchanged',
    t.title
)
from (
    values
    ('PF-1', 'the first transaction said again is no news'),
    ('PF-2', 'nor is the second'), (null, 'nor a payment without a transaction')
) as t (id, title);
select is(
    tests.apply('form-payment', 'failed', gateway_transaction_id => 'PF-9') ->> 'outcome',
    'unchanged', 'nor one that failed'
);
select is(
    tests.as_service(format(
        'service.apply_payment_result(%L, ''paid'', %L, %L, ''PF-9'', null, null, ''poll'', null)',
        tests.id('form-payment'), m.amount, m.currency
    )) ->> 'outcome',
    'unchanged', format('nor %s %s, which is no money', m.amount, m.currency)
)
from (
    values (0, 'ZAR'), (-199, 'ZAR'), (null, 'ZAR'), (199, null), (199, 'zar'), (1e11, 'ZAR'),
    ('NaN'::numeric, 'ZAR')
) as m (amount, currency);
select tests.nothing_changed('and nothing changes');
-- a third, of another sum and currency
select is(
    tests.apply('form-payment', 'paid', 5, 'USD', 'PF-3') ->> 'outcome', 'applied',
    'a third transaction is a third'
);
select tests.name_new('form');
select is(
    tests.money('form'),
    '{form-payment paid winner 199.00 ZAR - 0.00,form-second paid 199.00 ZAR - 0.00,'
    'form-third paid 5.00 USD - 0.00,'
    'form-second-refund gateway payfast pending 199.00 ZAR tax 0.00,'
    'form-third-refund gateway payfast pending 5.00 USD tax 0.00}',
    'whatever its sum and currency, it goes back as it came'
);
select count(tests.send_refund(r)), count(tests.refund_result(r, 'refunded'))
from unnest(array['form-second-refund', 'form-third-refund']) as r;
select is(
    tests.desk('form'),
    '{duplicate_payment form-second settled,duplicate_payment form-third settled}',
    'once it is back nothing is left to do'
);
select is(
    array(
        select a.code || ' ' || l.line
        from unnest(array['unallocated_receipts', 'gateway_receivable', 'vat_payable']) as a (code)
        cross join lateral unnest(tests.account(a.code)) as l (line)
    ),
    '{gateway_receivable payfast ZAR 189.80,vat_payable ZAR -25.96}',
    'the gateway holds one price, less two fees'
);
select tests.books_hold('and the books agree');

-- What never wins ---------------------------------------------------------------------------------
-- given another sum than asked for, and then more money on the same page

create function tests.play(name text, variadic steps text []) returns text
language plpgsql as $$
declare
    v_step text;
    v_words text [];
    v_outcomes text := '';
begin
    perform tests.attempt_of(play.name, 'T1-' || play.name);
    foreach v_step in array play.steps loop
        v_words := string_to_array(v_step, ' ');
        if v_words[1] in ('refund', 'mark_refunded', 'accept') then
            perform tests.resolve(
                'chioma', v_words[2], play.name || '-payment', v_words[1], 'why'
            );
        elsif v_words[1] = 'cancel' then
            perform tests.act_as('amina');
            perform public.cancel_order(tests.id(play.name));
            perform tests.act_as_owner();
        else
            v_outcomes := v_outcomes || (
                tests.apply(
                    play.name || '-payment', v_words[1], v_words[2]::numeric, v_words[3],
                    case when v_words[4] is not null then v_words[4] || '-' || play.name end
                ) ->> 'outcome'
            ) || ' ';
        end if;
    end loop;
    perform tests.name_new(play.name);
    return replace(
        format(
            '%s: %s; %s; %s',
            (select o.status from public.orders as o inner join tests.names as n on o.id = n.id
             where n.name = play.name),
            trim(v_outcomes), array_to_string(tests.money(play.name), ', '),
            array_to_string(tests.desk(play.name), ', ')
        ),
        play.name, '*'
    );
end
$$;
create table tests.plays (place serial, steps text [], wanted text, title text);
insert into tests.plays (steps, wanted, title) values
('{paid 1 XAF T1,refund amount_mismatch,paid 1 XAF T2}',
    'pending: quarantined applied; *-payment paid 1.00 XAF - 0.00, '
    '*-second pending 1.00 XAF - 0.00, '
    '*-payment-refund gateway kora pending 1.00 XAF tax 0.00; '
    'amount_mismatch *-payment refund, amount_mismatch *-second open',
    'one franc twice does not buy shoes'),
('{paid 1 XAF T1,refund amount_mismatch,paid 8500 XAF T2}',
    'paid: quarantined applied; *-payment paid 1.00 XAF - 0.00, '
    '*-second paid winner 8500.00 XAF - 0.00, '
    '*-payment-refund gateway kora pending 1.00 XAF tax 0.00; amount_mismatch *-payment refund',
    'the right sum after it does'),
('{paid 1 XAF T1,paid 8500 XAF T2}',
    'paid: quarantined applied; *-payment processing 1.00 XAF - 0.00, '
    '*-second paid winner 8500.00 XAF - 0.00; amount_mismatch *-payment open',
    'also while the franc is in quarantine, where it stays'),
('{paid 8500 USD T1,refund currency_mismatch,paid 8500 USD T2}',
    'pending: quarantined applied; *-payment paid 8500.00 USD - 0.00, '
    '*-second pending 8500.00 USD - 0.00, '
    '*-payment-refund gateway kora pending 8500.00 USD tax 0.00; '
    'amount_mismatch *-second open, currency_mismatch *-payment refund',
    'dollars are not francs, not the second time either'),
('{paid 4250 XAF T1,paid 4250 XAF T2}',
    'pending: quarantined applied; *-payment processing 4250.00 XAF - 0.00, '
    '*-second pending 4250.00 XAF - 0.00; '
    'amount_mismatch *-payment open, amount_mismatch *-second open',
    'two halves are not one whole, until a person says so'),
('{paid 1 XAF T1,paid 1 XAF T1,paid 2 XAF T1}',
    'pending: quarantined quarantined quarantined; *-payment processing 2.00 XAF - 0.00; '
    'amount_mismatch *-payment open',
    'the same transaction with another sum is the same money'),
('{paid 8000 XAF T1,accept amount_mismatch,paid 8500 XAF T2}',
    'paid: quarantined applied; *-payment paid winner 8000.00 XAF - 0.00, '
    '*-second paid 8500.00 XAF - 0.00, '
    '*-second-refund gateway kora pending 8500.00 XAF tax 0.00; '
    'amount_mismatch *-payment accept, duplicate_payment *-second open',
    'after an admin took less, the whole sum is too much'),
('{failed,paid 8500 XAF T1}',
    'paid: applied applied; *-payment paid winner 8500.00 XAF - 0.00; ',
    'money after a failure wins'),
('{failed,paid 8499 XAF T1}',
    'pending: applied quarantined; *-payment failed 8499.00 XAF - 0.00; '
    'amount_mismatch *-payment open',
    'another sum after a failure does not'),
('{cancel,paid 8500 XAF T1,paid 8500 XAF T2}',
    'cancelled: applied applied; *-payment paid 8500.00 XAF - 0.00, '
    '*-second paid 8500.00 XAF - 0.00, '
    '*-payment-refund gateway kora pending 8500.00 XAF tax 0.00, '
    '*-second-refund gateway kora pending 8500.00 XAF tax 0.00; '
    'late_payment *-payment open, late_payment *-second open',
    'a cancelled order takes no money, and gives back each'),
('{cancel,paid 1 XAF T1}',
    'cancelled: quarantined; *-payment processing 1.00 XAF - 0.00; amount_mismatch *-payment open',
    'nor another sum'),
('{paid 8500 XAF T1,cancel,paid 8500 XAF T2}',
    'cancelled: applied applied; *-payment paid winner 8500.00 XAF - 0.00, '
    '*-second paid 8500.00 XAF - 0.00, '
    '*-payment-refund gateway kora pending 8500.00 XAF tax 1372.00, '
    '*-second-refund gateway kora pending 8500.00 XAF tax 0.00; late_payment *-second open',
    'an order that was paid and cancelled gives back both'),
('{refunded}', 'pending: applied; *-payment cancelled nothing - 0.00; ',
    'voided before it came: the attempt is over'),
('{paid 8500 XAF T1,refunded}',
    'paid: applied quarantined; *-payment paid winner 8500.00 XAF - 0.00; '
    'reversed_by_gateway *-payment open',
    'taken back by the gateway: a person decides'),
('{paid 8500 XAF T1,refunded,refunded}',
    'paid: applied quarantined quarantined; *-payment paid winner 8500.00 XAF - 0.00; '
    'reversed_by_gateway *-payment open',
    'said twice it stands there once'),
('{cancel,paid 8500 XAF T1,refunded}',
    'cancelled: applied unchanged; *-payment paid 8500.00 XAF - 0.00, '
    '*-payment-refund gateway kora pending 8500.00 XAF tax 0.00; late_payment *-payment open',
    'while ours is under way, refunded is ours');
create table tests.played (place integer, had text);
create function tests.keep_play(given tests.plays) returns void
language plpgsql as $$
begin
    insert into tests.played
    values (given.place, tests.play('play-' || given.place, variadic given.steps));
end
$$;
select count(tests.keep_play(p) is null) from tests.plays as p;
select is(h.had, p.wanted, p.title)
from tests.plays as p
inner join tests.played as h on p.place = h.place
order by p.place;
select tests.books_hold('after all of them the books agree');
select results_eq(
    $$ select count(*) from (
           select p.order_id from public.payments as p where p.is_winner
           group by p.order_id having count(*) > 1
       ) as d $$,
    $$ values (0::bigint) $$,
    'no order has two winners'
);
select results_eq(
    $$ select distinct p.collected_amount = o.total_price and p.collected_currency = o.currency
       from public.payments as p
       inner join public.orders as o on p.order_id = o.id
       where p.is_winner and not exists (
           select from private.payment_exceptions as e
           where e.payment_id = p.id and e.resolution = 'accept'
       ) $$,
    $$ values (true) $$,
    'each winner brought exactly the price, but where an admin took less'
);

-- Where an attempt is paid once -------------------------------------------------------------------
-- given MTN's push, which a phone confirms once: another name for the transaction is no other money

select results_eq(
    $$ select g.code, g.takes_twice from private.payment_gateways as g order by g.code $$,
    $$ values ('kora', true), ('mtn', false), ('orange', false), ('payfast', true),
           ('paygate', false) $$,
    'given which attempts may be paid twice'
);
select tests.order_of('push');
select count(tests.begin_payment('push-payment', 'push', 'mtn_momo', '+237650000000', '{mtn}'));
select is(
    tests.apply('push-payment', 'paid', gateway_transaction_id => 'P-1') ->> 'order_status', 'paid',
    'given one that is paid'
);
select tests.remember();
select is(
    tests.apply('push-payment', 'paid', gateway_transaction_id => 'P-2') ->> 'outcome',
    'unchanged', 'paid under another name is paid'
);
select tests.nothing_changed('and nothing changes');
select tests.order_of('nudge');
select count(tests.begin_payment('nudge-payment', 'nudge', 'mtn_momo', '+237650000000', '{mtn}'));
select is(
    tests.apply('nudge-payment', 'paid', 1, null, 'P-3') ->> 'outcome', 'quarantined',
    'given one of another sum'
);
select is(
    tests.apply('nudge-payment', 'paid', gateway_transaction_id => 'P-4') ->> 'outcome', 'applied',
    'the right sum under another name corrects it'
);
select is(
    tests.money('nudge') || tests.desk('nudge'),
    '{nudge-payment paid winner 8500.00 XAF - 0.00,amount_mismatch nudge-payment settled}',
    'it is the same money'
);

-- Two ways to pay, both paid ----------------------------------------------------------------------

select tests.order_of('ways');
select count(tests.begin_payment(w.name, 'ways', w.method, w.phone, array[w.gateway]))
from (
    values
    ('ways-kora', 'kora_checkout', null, 'kora'),
    ('ways-mtn', 'mtn_momo', '+237650000000', 'mtn'),
    ('ways-orange', 'orange_money', null, 'orange')
) as w (name, method, phone, gateway);
select is(
    tests.apply('ways-mtn', 'paid', gateway_transaction_id => 'M-1') ->> 'order_status', 'paid',
    'given the second of three attempts paid'
);
select is(
    tests.apply('ways-kora', 'paid', gateway_transaction_id => 'K-1', fee => 100) ->> 'outcome',
    'applied', 'when the first is paid, too'
);
select is(
    tests.apply('ways-orange', 'failed') ->> 'outcome', 'applied', 'and the third fails'
);
select tests.name_new('ways');
select is(
    tests.money('ways'),
    '{ways-kora paid 8500.00 XAF - 0.00,ways-mtn paid winner 8500.00 XAF - 0.00,'
    'ways-orange failed nothing - 0.00,'
    'ways-kora-refund gateway kora pending 8500.00 XAF tax 0.00}',
    'one has won, the other goes back'
);
select results_eq(
    $$ select o.status::text, o.payment_status::text from public.orders as o
       where o.id = tests.id('ways') $$,
    $$ values ('paid', 'paid') $$,
    'and the order is paid, whatever the third said'
);
select count(tests.send_refund('ways-kora-refund'));
select is(
    tests.refund_result('ways-kora-refund', 'refunded') ->> 'outcome', 'applied',
    'when it is back'
);
select results_eq(
    $$ select o.payment_status::text from public.orders as o where o.id = tests.id('ways') $$,
    $$ values ('paid') $$,
    'the order stays paid: its own money is here'
);
select is(
    tests.postings('refund', tests.id('ways-kora-refund')),
    '{unallocated_receipts XAF 8500.00,gateway_receivable kora XAF -8500.00}',
    'the books never called it a sale'
);
-- the same transaction on two attempts is one money
select tests.attempt_of('thief');
select tests.remember();
select is(
    tests.apply('thief-payment', 'paid', gateway_transaction_id => 'K-1') ->> 'outcome',
    'quarantined', 'a transaction that paid one order does not pay another'
);
select is(tests.money('thief'), '{thief-payment pending nothing - 0.00}', 'it is no money here');
select is(
    tests.changed_tables(),
    'private.emails, private.outbox, private.payment_events, private.payment_exceptions, '
    'public.notifications, public.payments',
    'but a person''s matter'
);
select tests.books_hold('and the books agree');

select * from finish();
rollback;
