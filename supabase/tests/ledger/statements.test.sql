-- A gateway's statement against the books: what each line is about, whether both say the same, what
-- only the statement knows, and what it should show and does not.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
\ir ../payments/_refunds.psql
select plan(91);

-- given amina, an admin, orders of 8500 XAF by Kora and of 199 ZAR by PayFast
select tests.make_user('amina', 'fr', 'CM');
select tests.make_admin('chioma');
select tests.make_admin('dieudonne', 'fr');
select tests.make_product('shoe', 1000, 100.00, 5000);
create function tests.paid(
    name text, gateway_transaction_id text default null, fee numeric default null,
    gateway text default 'kora', country text default 'CM', session text default null
)
returns void
language plpgsql as $$
begin
    perform tests.place_order(
        paid.name, 'amina', jsonb_build_array(tests.item('shoe', 1)), paid.country
    );
    perform tests.begin_payment(
        paid.name || '-payment', paid.name,
        case paid.gateway when 'kora' then 'kora_checkout' else 'card' end, null,
        array[paid.gateway]
    );
    perform tests.as_service(format(
        'service.record_payment_started(%L, null, ''{"action": "redirect"}'', null, null, %L)',
        tests.id(paid.name || '-payment'), paid.session
    ));
    perform tests.apply(
        paid.name || '-payment', 'paid', fee => paid.fee,
        gateway_transaction_id => paid.gateway_transaction_id
    );
end
$$;
create function tests.reference(name text) returns text
language sql stable as $$ select (tests.payment(reference.name)).reference $$;
-- a line of Kora's: our own names for the columns
create function tests.entry(
    kind text, reference text default null, transaction_id text default null,
    gross text default '8500', fee text default null, currency text default 'XAF',
    occurred_at text default '2026-11-22 10:00:00+00', settled_amount text default null,
    settled_currency text default null
)
returns jsonb
language sql immutable as $$
    select jsonb_strip_nulls(jsonb_build_object(
        'kind', entry.kind, 'reference', entry.reference, 'transaction_id', entry.transaction_id,
        'gross', entry.gross, 'fee', entry.fee, 'currency', entry.currency,
        'occurred_at', entry.occurred_at, 'settled_amount', entry.settled_amount,
        'settled_currency', entry.settled_currency
    ))
$$;
create function tests.import_sql(
    lines jsonb, file_name text default 'kora.csv', gateway text default 'kora',
    actor text default 'chioma'
)
returns text
language sql stable as $$
    select format(
        'service.import_statement(%L, %L, %L, %L)', tests.id(import_sql.actor),
        import_sql.gateway, import_sql.file_name, import_sql.lines
    )
$$;
create function tests.import(
    lines jsonb, file_name text default 'kora.csv', gateway text default 'kora'
)
returns jsonb
language sql as $$
    select tests.as_service(tests.import_sql(import.lines, import.file_name, import.gateway))
$$;
-- the lines of a statement: number, kind, outcome, what each is about
create function tests.lines_of(file_name text) returns text []
language sql stable security definer as $$
    select array(
        select concat_ws(
            ' ', l.line_number, l.kind, l.outcome, tests.name_of(l.payment_id),
            tests.name_of(l.refund_id)
        )
        from private.gateway_statement_lines as l
        inner join private.gateway_statements as s on l.statement_id = s.id
        where s.file_name = lines_of.file_name
        order by l.line_number
    )
$$;
create function tests.unfit() returns text []
language sql stable security definer as $$
    select array(
        select concat_ws(
            ' ', e.kind, e.gateway, e.amount, e.currency, tests.name_of(e.payment_id),
            tests.name_of(e.refund_id), '/', e.detail
        ) as line
        from private.payment_exceptions as e
        where e.kind like '%statement%' and e.resolved_at is null
        order by e.detail, line
    )
$$;

-- What a line is about ----------------------------------------------------------------------------

select tests.paid('by-id', 'K-1', 300), tests.paid('by-reference', 'K-2', 300),
    tests.paid('by-session', null, 300, session => 'S-3'), tests.paid('fee-unknown', 'K-4'),
    tests.paid('other-sum', 'K-5', 300), tests.paid('other-fee', 'K-6', 300),
    tests.paid('other-currency', 'K-7', 300), tests.paid('no-fee-said', 'K-8', 300);
select tests.place_order('unpaid', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('unpaid-payment', 'unpaid'));
select tests.place_order('odd', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('odd-payment', 'odd'));
select count(tests.apply('odd-payment', 'paid', 8000, null, 'K-10'));
select count(tests.as_service(format(
    'service.begin_payment(%L, %L, ''mtn_momo'', ''+237650000000'', ''{mtn}'')',
    tests.id('amina'), tests.id('unpaid')
)));
delete from private.outbox;
create table tests.first_answer as
select tests.import(jsonb_build_array(
    tests.entry('payment', null, 'K-1', fee => '300'),
    tests.entry('payment', tests.reference('by-reference-payment'), fee => '300.00'),
    tests.entry('Pay-in', null, 'S-3', fee => '-300'),
    tests.entry('collection', tests.reference('fee-unknown-payment'), 'K-4', '8 500', '250'),
    tests.entry(null, null, 'K-5', '8499', '300'),
    tests.entry('CHARGE', null, 'K-6', fee => '301'),
    tests.entry('payment', null, 'K-7', fee => '300', currency => 'ZAR'),
    tests.entry('payment', null, 'K-8'),
    tests.entry('payment', tests.reference('unpaid-payment'), 'K-9', fee => '300'),
    tests.entry('payment', null, 'K-10', '8000'),
    tests.entry('payment', 'mg-nobody', 'K-0', '8500.5', fee => '300'),
    tests.entry('fee correction', null, 'K-1', '-50'),
    tests.entry('payment', null, null)
), 'first.csv') as answer;
select is(
    (select a.answer - 'statement_id' from tests.first_answer as a),
    '{"lines": 13, "matched": 5, "differing": 5, "unknown": 2, "is_new": true}',
    'a statement is answered in numbers'
);
select is(
    tests.lines_of('first.csv'),
    '{1 payment matched by-id-payment,2 payment matched by-reference-payment,'
    '3 payment matched by-session-payment,4 payment matched fee-unknown-payment,'
    '5 payment differs other-sum-payment,6 payment differs other-fee-payment,'
    '7 payment differs other-currency-payment,8 payment matched no-fee-said-payment,'
    '9 payment differs unpaid-payment,10 payment differs odd-payment,11 payment unknown,'
    '12 other noted,13 payment unknown}',
    'each line is found by transaction, session or our name, and compared in sum, currency and fee'
);
select results_eq(
    $$ select l.line_number, l.reference, l.transaction_id, l.occurred_at, l.gross, l.fee,
           l.currency, l.settled_amount, l.settled_currency
       from private.gateway_statement_lines as l where l.line_number in (3, 4) order by 1 $$,
    $$ values
       (3, null, 'S-3', '2026-11-22 10:00:00+00'::timestamptz, 8500.00, 300.00, 'XAF',
           null::numeric(12, 2), null),
       (4, tests.reference('fee-unknown-payment'), 'K-4', '2026-11-22 10:00:00+00', 8500.00,
           250.00, 'XAF', null, null) $$,
    'it is kept as it was, with fees positive'
);
select results_eq(
    $$ select s.gateway, s.file_name, s.imported_by, s.created_at, s.id::text
       from private.gateway_statements as s $$,
    $$ select 'kora', 'first.csv', tests.id('chioma'), now(), a.answer ->> 'statement_id'
       from tests.first_answer as a $$,
    'with whose it is, who brought it, and when'
);
select is(
    concat_ws(
        '; ', (tests.payment('fee-unknown-payment')).fee_amount,
        array_to_string(tests.postings('fee', tests.id('fee-unknown-payment')), ', ')
    ),
    '250.00; gateway_fees XAF 250.00, gateway_receivable kora XAF -250.00',
    'a fee that only the statement knows is learnt and posted'
);
select is(
    (tests.payment('other-fee-payment')).fee_amount, 300.00,
    'one that differs is left to a person'
);
select is(
    tests.unfit(),
    '{statement_differs kora 8000.00 XAF odd-payment / line 10 of first.csv,'
    'unknown_in_statement kora 8500.50 XAF / line 11 of first.csv,'
    'unknown_in_statement kora 8500.00 XAF / line 13 of first.csv,'
    'statement_differs kora 8499.00 XAF other-sum-payment / line 5 of first.csv,'
    'statement_differs kora 8500.00 XAF other-fee-payment / line 6 of first.csv,'
    'statement_differs kora 8500.00 ZAR other-currency-payment / line 7 of first.csv,'
    'statement_differs kora 8500.00 XAF unpaid-payment / line 9 of first.csv}',
    'what does not fit stands before a person, with its line'
);
select is(
    (
        select e.evidence from private.payment_exceptions as e
        where e.detail = 'line 11 of first.csv'
    ),
    (
        select to_jsonb(l) - array['payment_id', 'refund_id', 'settled_amount', 'settled_currency']
        from private.gateway_statement_lines as l where l.line_number = 11
    ),
    'and what it says'
);
select results_eq(
    $$ select tests.name_of(m.user_id), count(*) from private.emails as m
       where m.template = 'exception_opened' and m.exception_id in (
           select e.id from private.payment_exceptions as e where e.kind like '%statement%')
       group by 1 order by 1 $$,
    $$ values ('chioma', 1::bigint), ('dieudonne', 1) $$,
    'admins are told once, not once a line'
);
select tests.books_hold('and the books agree');

-- The same content --------------------------------------------------------------------------------

select tests.remember();
create table tests.lines as
select jsonb_build_array(tests.entry('payment', null, 'K-1', fee => '300')) as one;
select is(
    tests.import(
        (
            select jsonb_agg(
                jsonb_strip_nulls(jsonb_build_object(
                    'kind', x.kind, 'reference', x.reference, 'transaction_id', x.transaction_id,
                    'gross', x.gross, 'fee', x.fee, 'currency', x.currency,
                    'occurred_at', '2026-11-22 10:00:00+00'
                )) order by x.place
            )
            from (
                values
                (1, 'payment', null, 'K-1', '8500', '300', 'XAF'),
                (2, 'payment', tests.reference('by-reference-payment'), null, '8500', '300.00',
                    'XAF'),
                (3, 'Pay-in', null, 'S-3', '8500', '-300', 'XAF'),
                (4, 'collection', tests.reference('fee-unknown-payment'), 'K-4', '8 500', '250',
                    'XAF'),
                (5, null, null, 'K-5', '8499', '300', 'XAF'),
                (6, 'CHARGE', null, 'K-6', '8500', '301', 'XAF'),
                (7, 'payment', null, 'K-7', '8500', '300', 'ZAR'),
                (8, 'payment', null, 'K-8', '8500', null, 'XAF'),
                (9, 'payment', tests.reference('unpaid-payment'), 'K-9', '8500', '300', 'XAF'),
                (10, 'payment', null, 'K-10', '8000', null, 'XAF'),
                (11, 'payment', 'mg-nobody', 'K-0', '8500.5', '300', 'XAF'),
                (12, 'fee correction', null, 'K-1', '-50', null, 'XAF'),
                (13, 'payment', null, null, '8500', null, 'XAF')
            ) as x (place, kind, reference, transaction_id, gross, fee, currency)
        ),
        'another-name.csv'
    ),
    (select a.answer || '{"is_new": false}' from tests.first_answer as a),
    'the same content under another name is the same statement'
);
select is(
    tests.as_service(tests.import_sql(l.one, 'x.csv', 'mtn')) -> 'is_new', 'true',
    'at another gateway it is another'
)
from tests.lines as l;
select is(
    tests.lines_of('x.csv'), '{1 payment unknown}', 'where nothing of it is known'
);

-- Refunds -----------------------------------------------------------------------------------------

select tests.paid('back', 'K-20', 0), tests.paid('back-2', 'K-21', 0);
select count(tests.refund(r.name, r.payment, r.amount))
from (
    values ('r-500', 'back-payment', 500), ('r-700', 'back-payment', 700),
    ('r-600', 'back-payment', 600), ('r-all', 'back-2-payment', 8500)
) as r (name, payment, amount);
select count(tests.send_refund(r)) from unnest(array['r-500', 'r-700', 'r-600', 'r-all']) as r;
select count(tests.refund_result(r.name, 'refunded', gateway_refund_id => r.id))
from (values ('r-500', 'KR-5'), ('r-600', 'KR-6'), ('r-all', null)) as r (name, id);
select is(
    tests.import(jsonb_build_array(
        tests.entry('refund', null, 'KR-5', '-500'),
        tests.entry('Refund', (tests.refund_row('r-600')).reference, null, '600'),
        tests.entry('remboursement', null, 'K-21', '8500'),
        tests.entry('Payment reversal', (tests.refund_row('r-700')).reference, null, '700'),
        tests.entry('refund', 'rf-nobody', 'KR-0', '100'),
        tests.entry('refund', null, 'KR-6', '601')
    ), 'refunds.csv') - 'statement_id',
    '{"lines": 6, "matched": 3, "differing": 2, "unknown": 1, "is_new": true}',
    'a statement shows refunds, too'
);
select is(
    tests.lines_of('refunds.csv'),
    '{1 refund matched back-payment r-500,2 refund matched back-payment r-600,'
    '3 refund matched back-2-payment r-all,4 refund differs back-payment r-700,'
    '5 refund unknown,6 refund differs back-payment r-600}',
    'found by the rail''s name, ours, or their payment''s; compared in sum and state'
);
select is(
    tests.import(jsonb_build_array(
        tests.entry('refund', tests.reference('back-payment'), null, '500')
    ), 'by-payment.csv') -> 'matched',
    '1', 'where only their payment is named, the one of that sum'
);
select is(
    tests.lines_of('by-payment.csv'), '{1 refund matched back-payment r-500}',
    'not another one that has no name at the rail yet'
);
select count(tests.refunded('r-500-again', 'back-payment', 500));
select is(
    tests.import(jsonb_build_array(
        tests.entry('refund', tests.reference('back-payment'), 'K-20', '500'),
        tests.entry('refund', tests.reference('back-payment'), 'K-20', '500')
    ), 'two-of-one.csv') -> 'matched',
    '2', 'two of one sum take a line each'
);
select is(
    (
        select array_agg(distinct tests.name_of(l.refund_id) order by tests.name_of(l.refund_id))
        from private.gateway_statement_lines as l
        inner join private.gateway_statements as s on l.statement_id = s.id
        where s.file_name = 'two-of-one.csv'
    ),
    '{r-500,r-500-again}', 'each its own'
);

-- Paid out to the bank ----------------------------------------------------------------------------

create function tests.settled() returns text []
language sql stable security definer as $$
    select array(
        select concat_ws(' ', e.account, e.gateway, e.currency, e.amount)
        from private.ledger_transactions as t
        inner join private.ledger_entries as e on t.id = e.transaction_id
        where t.kind = 'settlement'
        order by e.id
    )
$$;
create function tests.settles(lines jsonb, file_name text, wanted text [], title text) returns text
language plpgsql as $$
declare
    v_before integer := cardinality(tests.settled());
begin
    perform tests.import(settles.lines, settles.file_name);
    return is(
        (tests.settled())[v_before + 1:], settles.wanted, settles.title
    );
end
$$;
delete from public.exchange_rates;
insert into public.exchange_rates (base_currency, quote_currency, rate, as_of, source)
values ('USD', 'XAF', 600, now(), 'test');
select tests.settles(
    jsonb_build_array(
        tests.entry('settlement', null, 'ST-1', '100000', settled_amount => '100000')
    ),
    's-1.csv',
    '{gateway_receivable kora XAF -100000.00,exchange_clearing XAF 100000.00,'
    'exchange_clearing XAF -100000.00,bank XAF 100000.00}',
    'what a gateway pays to the bank it holds no more'
);
select tests.settles(
    jsonb_build_array(
        tests.entry('Payout', null, 'ST-2', '-50000', settled_amount => '49900')
    ),
    's-2.csv',
    '{gateway_receivable kora XAF -50000.00,exchange_clearing XAF 50000.00,'
    'exchange_clearing XAF -50000.00,bank XAF 49900.00,exchange_differences XAF 100.00}',
    'what is lost on the way is a difference'
);
select tests.settles(
    jsonb_build_array(
        tests.entry('withdrawal', null, 'ST-3', '60000', settled_amount => '99.50',
            settled_currency => 'USD')
    ),
    's-3.csv',
    '{gateway_receivable kora XAF -60000.00,exchange_clearing XAF 60000.00,'
    'exchange_clearing USD -100.00,bank USD 99.50,exchange_differences USD 0.50}',
    'in another currency, what the rate does not explain'
);
select tests.settles(
    jsonb_build_array(
        tests.entry('settlement', null, 'ST-4', '60000', settled_amount => '100.25',
            settled_currency => 'USD')
    ),
    's-4.csv',
    '{gateway_receivable kora XAF -60000.00,exchange_clearing XAF 60000.00,'
    'exchange_clearing USD -100.00,bank USD 100.25,exchange_differences USD -0.25}',
    'which may be a gain'
);
select tests.settles(
    jsonb_build_array(
        tests.entry('settlement', null, 'ST-5', '60000', settled_amount => '150000',
            settled_currency => 'NGN')
    ),
    's-5.csv',
    '{gateway_receivable kora XAF -60000.00,exchange_clearing XAF 60000.00,'
    'exchange_clearing NGN -150000.00,bank NGN 150000.00}',
    'without a rate all of it is explained'
);
select tests.settles(
    jsonb_build_array(
        tests.entry('payment', null, 'K-1', '8500', '300', settled_amount => '8200')
    ),
    's-6.csv',
    '{gateway_receivable kora XAF -8200.00,exchange_clearing XAF 8200.00,'
    'exchange_clearing XAF -8200.00,bank XAF 8200.00}',
    'a payment that is settled by itself is settled less its fee'
);
select is(
    (
        select -sum(e.amount) from private.ledger_transactions as t
        inner join private.ledger_entries as e on t.id = e.transaction_id
        where t.payment_id = tests.id('by-id-payment') and e.account = 'gateway_receivable'
    ),
    -8200.00, 'which is what the gateway held of it'
);
-- exports overlap
select tests.settles(
    jsonb_build_array(
        tests.entry('settlement', null, 'ST-1', '100000', settled_amount => '100000'),
        tests.entry('payment', null, 'K-1', '8500', '300', settled_amount => '8200'),
        tests.entry('settlement', null, 'ST-6', '7', settled_amount => '7')
    ),
    's-7.csv',
    '{gateway_receivable kora XAF -7.00,exchange_clearing XAF 7.00,exchange_clearing XAF -7.00,'
    'bank XAF 7.00}',
    'what stood in an earlier statement is not settled again'
);
select tests.settles(
    jsonb_build_array(
        tests.entry('settlement', null, 'ST-7', '100'),
        tests.entry('settlement', null, 'ST-8', '100', settled_amount => '0'),
        tests.entry('settlement', null, 'ST-9', '100', settled_amount => '-100'),
        tests.entry('refund', null, 'KR-5', '500', settled_amount => '500')
    ),
    's-8.csv', '{}', 'what says of no money at the bank settles nothing'
);
select tests.books_hold('and the books agree');

-- What it should show -----------------------------------------------------------------------------
-- given payments of known times, and a statement of 2026-01-10, 08:00 to 18:00

create function tests.paid_at(name text, at timestamptz) returns void
language plpgsql as $$
declare
    v_id uuid;
begin
    perform tests.paid(paid_at.name);
    select n.id into v_id from tests.names as n where n.name = paid_at.name || '-payment';
    update public.payments set paid_at = paid_at.at where id = v_id;
end
$$;
select tests.paid_at(p.name, p.at::timestamptz)
from (
    values
    ('before', '2026-01-10 08:59:59+00'), ('from', '2026-01-10 09:00:01+00'),
    ('within', '2026-01-10 12:00:00+00'), ('to', '2026-01-10 16:59:59+00'),
    ('after', '2026-01-10 17:00:01+00'), ('shown', '2026-01-10 13:00:00+00'),
    ('shown-before', '2026-01-10 13:00:00+00')
) as p (name, at);
select tests.paid('elsewhere', 'PF-9', gateway => 'payfast', country => 'ZA');
update public.payments set paid_at = '2026-01-10 12:00:00+00'
where id = tests.id('elsewhere-payment');
update private.payment_exceptions set resolved_at = now(), resolution = 'settled'
where kind like '%statement%';
select is(
    tests.import(jsonb_build_array(
        tests.entry('payment', tests.reference('shown-before-payment'),
            occurred_at => '2026-01-10T13:00:00Z')
    ), 'earlier.csv') -> 'matched',
    '1', 'given an earlier statement'
);
select is(tests.unfit(), '{}', 'of one moment, in which nothing is missing');
select is(
    tests.import(jsonb_build_array(
        tests.entry('payment', tests.reference('by-reference-payment'), fee => '300',
            occurred_at => '2026-01-10 08:00:00+00'),
        tests.entry('payment', tests.reference('shown-payment'),
            occurred_at => '2026-01-10 13:00:00+00'),
        tests.entry('payment', null, 'K-1', fee => '300', occurred_at => '2026-01-10 18:00:00+00'),
        tests.entry('settlement', null, 'ST-99', '5', occurred_at => '2026-02-01 00:00:00+00')
    ), 'day.csv') -> 'matched',
    '3', 'given the statement of a day'
);
select is(
    tests.unfit(),
    '{missing_in_statement kora 8500.00 XAF from-payment / not in day.csv,'
    'missing_in_statement kora 8500.00 XAF to-payment / not in day.csv,'
    'missing_in_statement kora 8500.00 XAF within-payment / not in day.csv}',
    'what was paid between its first and last payment, an hour apart from both, should be there'
);
select is(
    tests.import(jsonb_build_array(
        tests.entry('payment', tests.reference('by-reference-payment'), fee => '300',
            occurred_at => '2026-01-10 07:00:00+00'),
        tests.entry('payment', null, 'K-1', fee => '300', occurred_at => '2026-01-10 18:00:00+00')
    ), 'day-again.csv') -> 'matched',
    '2', 'given another of that day'
);
select is(
    (select count(*) from private.payment_exceptions as e
     where e.kind = 'missing_in_statement'),
    4::bigint, 'each is missed once: of those before, and the one that it reaches'
);

-- Its own column names ----------------------------------------------------------------------------

select tests.paid('rand', 'PF-1', 4.60, 'payfast', 'ZA');
select tests.paid('rand-2', 'PF-2', null, 'payfast', 'ZA');
select is(
    tests.import(jsonb_build_array(
        jsonb_build_object(
            'Date', '2026-11-22 10:00:00', 'Type', 'FUNDS_RECEIVED', 'Gross', '199.00',
            'Fee', '-4.60', 'Net', '194.40', 'Currency', 'ZAR', 'PF Payment ID', 'PF-1',
            'M Payment ID', tests.reference('rand-payment'), 'Name', 'Shoes, two'
        ),
        jsonb_build_object(
            'Date', '2026-11-22 10:00:00', 'Type', 'FUNDS_RECEIVED', 'Gross', '199.00',
            'Fee', '-4.61', 'Currency', 'ZAR', 'PF Payment ID', '',
            'M Payment ID', '  ' || tests.reference('rand-2-payment') || ' '
        ),
        jsonb_build_object(
            'Date', '2026-11-22 10:00:00', 'Type', 'PAYOUT', 'Gross', '-100.00',
            'Currency', 'ZAR', 'gross', 'x', 'reference', 'y'
        )
    ), 'payfast.csv', 'payfast') - 'statement_id',
    '{"lines": 3, "matched": 2, "differing": 0, "unknown": 0, "is_new": true}',
    'PayFast''s columns have PayFast''s names; what is not asked for is passed over'
);
select is(
    tests.lines_of('payfast.csv'),
    '{1 payment matched rand-payment,2 payment matched rand-2-payment,3 settlement noted}',
    'and mean what ours mean'
);
select is((tests.payment('rand-2-payment')).fee_amount, 4.61, 'a fee is learnt there, too');
select tests.books_hold('and the books agree');

-- What cannot be read -----------------------------------------------------------------------------

create table tests.bad (place serial, line jsonb, column_name text, title text);
insert into tests.bad (line, column_name, title) values
(tests.entry('payment', gross => 'many'), 'gross', 'a sum in words'),
(tests.entry('payment', gross => '8,500.00'), 'gross', 'a sum with a comma'),
(tests.entry('payment', gross => '8500,00'), 'gross', 'a decimal comma'),
(tests.entry('payment', gross => 'NaN'), 'gross', 'no number at all'),
(tests.entry('payment', gross => 'Infinity'), 'gross', 'an endless sum'),
(tests.entry('payment', gross => '1e3'), 'gross', 'a sum in powers of ten'),
(tests.entry('payment', gross => '99999999999'), 'gross', 'a sum of eleven digits'),
(tests.entry('payment', gross => ''), 'gross', 'an empty sum'),
(tests.entry('payment') - 'gross', 'gross', 'no sum'),
(tests.entry('payment', fee => 'free'), 'fee', 'a fee in words'),
(tests.entry('payment', fee => 'NaN'), 'fee', 'a fee that is no number'),
(tests.entry('payment', settled_amount => 'all'), 'settled_amount', 'a settled sum in words'),
(tests.entry('payment', settled_amount => '1', settled_currency => 'Naira'), 'settled_currency',
    'a settled currency in words'),
(tests.entry('payment', currency => 'francs'), 'currency', 'a currency in words'),
(tests.entry('payment', currency => 'xaf'), 'currency', 'a currency in small letters'),
(tests.entry('payment', currency => ' '), 'currency', 'an empty currency'),
(tests.entry('payment') - 'currency', 'currency', 'no currency'),
(tests.entry('payment', occurred_at => 'yesterday'), 'occurred_at', 'a day in words'),
(tests.entry('payment', occurred_at => 'infinity'), 'occurred_at', 'the end of days'),
(tests.entry('payment', occurred_at => '22/11/2026'), 'occurred_at', 'a day before its month'),
(tests.entry('payment', occurred_at => '11/05/2026'), 'occurred_at', 'or its month before it'),
(tests.entry('payment', occurred_at => '2026-13-01'), 'occurred_at', 'a thirteenth month'),
(tests.entry('payment', occurred_at => ''), 'occurred_at', 'an empty time'),
(tests.entry('payment') - 'occurred_at', 'occurred_at', 'no time'),
('{}', 'occurred_at', 'nothing'), ('[]', 'occurred_at', 'a list'),
('"K-1"', 'occurred_at', 'a word'), ('null', 'occurred_at', 'not even that');
select tests.remember();
select tests.refuses(
    format('select tests.as_service(%L)', tests.import_sql(
        jsonb_build_array(tests.entry('payment', null, 'K-1', fee => '300'), b.line)
    )),
    'PT400 statement_invalid', 'refused: ' || b.title,
    jsonb_build_object('line', 2, 'column', b.column_name)::text
)
from tests.bad as b
order by b.place;
select tests.act_as_owner();
select tests.refuses(
    format('select tests.as_service(%L)', tests.import_sql(
        jsonb_build_array(jsonb_build_object('Gross', 'x', 'Currency', 'ZAR')), gateway => 'payfast'
    )),
    'PT400 statement_invalid', 'the column is named as the gateway names it',
    '{"line": 1, "column": "Date"}'
);
select tests.act_as_owner();
select tests.refuses(
    format('select tests.as_service(%L)', tests.import_sql(s.lines, s.file_name)),
    'PT400 statement_invalid', 'refused: ' || s.title, '{"line": null}'
)
from (
    values
    ('[]'::jsonb, 'a.csv', 'a statement without lines'),
    ('{}', 'a.csv', 'one that is no list'), (null, 'a.csv', 'none'),
    ((select l.one from tests.lines as l), null, 'a file without a name'),
    ((select l.one from tests.lines as l), '', 'with an empty name'),
    ((select l.one from tests.lines as l), E'a\nb', 'with a name of two lines'),
    ((select l.one from tests.lines as l), repeat('x', 201), 'with a name of 201 letters'),
    ((select l.one from tests.lines as l), '4111111111111111.csv',
        'with a card number for a name'),
    ((select jsonb_agg(1) from generate_series(1, 20001)), 'a.csv', 'of 20001 lines')
) as s (lines, file_name, title);
select tests.act_as_owner();
select tests.refuses(
    format('select tests.as_service(%L)', tests.import_sql(l.one, gateway => g)),
    'PT404 payment_gateway_unknown', 'refused: the gateway ' || coalesce(g, 'that is none'),
    left(coalesce(g, ''), 60)
)
from tests.lines as l, unnest(array['bank', 'KORA', null, repeat('g', 80)]) as g;
select tests.act_as_owner();
select tests.refuses(
    format('select tests.as_service(%L)', tests.import_sql(l.one, actor => 'amina')),
    'PT403 admin_required', 'refused: a shopper'
)
from tests.lines as l;
select tests.act_as_owner();
select tests.refuses(
    format(
        'select tests.as_service(''service.import_statement(null, ''''kora'''', ''''a'''', '
        '''''[1]'''')'')'
    ),
    'PT403 admin_required', 'refused: nobody'
);
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes, not by the good lines beside bad ones');
create table tests.call as select 'select ' || tests.import_sql(l.one) as sql from tests.lines as l;
grant select on tests.call to public;
select tests.act_as_anon();
select tests.denies(c.sql, 'a guest may not bring one') from tests.call as c;
select tests.act_as('chioma');
select tests.denies(c.sql, 'nor an admin, but through the edge') from tests.call as c;
select tests.act_as_service_role();
select tests.denies(c.sql, 'nor service_role') from tests.call as c;
select tests.act_as_owner();

-- A card number in it is not kept
select is(
    tests.import(jsonb_build_array(
        tests.entry('payment', '4111 1111 1111 1111', '4111111111111111')
    ), 'card.csv') -> 'unknown',
    '1', 'given a line with a card number'
);
select results_eq(
    $$ select l.reference, l.transaction_id from private.gateway_statement_lines as l
       inner join private.gateway_statements as s on l.statement_id = s.id
       where s.file_name = 'card.csv' $$,
    $$ values ('… … … …', '…') $$,
    'the line is kept without it'
);
select is_empty(
    -- An id may have any four digits in it.
    $$ select e.id from private.payment_exceptions as e
       where regexp_replace(e.evidence::text, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '', 'g')
           like '%4111%' $$,
    'and so is the desk'
);
select tests.books_hold('and the books agree');

select * from finish();
rollback;
