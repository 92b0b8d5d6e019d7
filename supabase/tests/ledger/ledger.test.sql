-- Double entry: what is posted balances in each currency at commit, once a cause, and stays as it
-- was written, whoever would change it.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
\ir ../payments/_refunds.psql
select plan(47);

-- given an order that was paid
select tests.make_user('amina', 'fr', 'CM');
select tests.make_product('shoe', 100, 100.00, 5000);
select tests.place_order('order', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('payment', 'order'));
select count(tests.apply('payment', 'paid', fee => 100));

select set_eq(
    $$ select a.code, a.kind from private.ledger_accounts as a $$,
    $$ values
       ('bank', 'asset'), ('commission_expense', 'expense'), ('commissions_payable', 'liability'),
       ('discounts', 'income'), ('duty_payable', 'liability'), ('exchange_clearing', 'asset'),
       ('exchange_differences', 'expense'), ('gateway_fees', 'expense'),
       ('gateway_receivable', 'asset'), ('payment_differences', 'expense'),
       ('payout_clearing', 'asset'), ('refunds', 'income'), ('sales', 'income'),
       ('shipping_income', 'income'), ('unallocated_receipts', 'liability'),
       ('vat_payable', 'liability') $$,
    'the chart of accounts'
);

-- Balanced at commit ------------------------------------------------------------------------------

-- posts lines 'account currency amount, …' and lets the ledger look at them as at commit
create function tests.posts(lines text) returns text
language sql as $$
    select case
        when f.state is null then 'posted'
        else concat_ws(
            ' ', f.state, coalesce(nullif(f.hint, ''), f.constraint_name), nullif(f.detail, '')
        )
    end
    from tests.attempt(format(
        'set constraints all deferred; '
        'select private.post(''receipt'', gen_random_uuid(), %L::private.ledger_line []); '
        'set constraints all immediate',
        array(
            select row(l.words[1], null, l.words[2], l.words[3]::numeric)::private.ledger_line
            from (
                select regexp_split_to_array(btrim(x.line), ' ') as words
                from regexp_split_to_table(posts.lines, ',') as x (line)
                where btrim(x.line) <> ''
            ) as l
        )::text
    )) as f
$$;
select is(tests.posts(p.lines), p.wanted, p.title)
from (
    values
    (1, 'bank XAF 100, sales XAF -100', 'posted', 'two entries that cancel out balance'),
    (2, 'bank XAF 100, sales XAF -60, vat_payable XAF -40', 'posted', 'so do three'),
    (3, 'bank ZAR 0.01, sales ZAR -0.01', 'posted', 'down to the cent'),
    (4, 'bank XAF 100, sales XAF -100, bank ZAR 5, sales ZAR -5', 'posted',
        'in each of two currencies'),
    (5, 'bank XAF 100, sales XAF -100, refunds XAF 0', 'posted', 'a zero is left out'),
    (6, 'bank XAF 100, sales XAF -99', 'PT409 ledger_unbalanced 1.00 XAF', 'one off does not'),
    (7, 'bank XAF 100, sales XAF -101', 'PT409 ledger_unbalanced -1.00 XAF', 'nor the other way'),
    (8, 'bank ZAR 100, sales ZAR -99.99', 'PT409 ledger_unbalanced 0.01 ZAR', 'nor by a cent'),
    (9, 'bank XAF 100, sales ZAR -100, sales XAF -100', 'PT409 ledger_unbalanced -100.00 ZAR',
        'nor across currencies'),
    (10, 'bank XAF 100', 'PT409 ledger_unbalanced 100.00 XAF', 'nor one entry alone'),
    (11, '', 'PT409 ledger_unbalanced a transaction without entries', 'nor none'),
    (12, 'bank XAF 0, sales XAF 0', 'PT409 ledger_unbalanced a transaction without entries',
        'nor none but zeros')
) as p (place, lines, wanted, title)
order by p.place;
set constraints all deferred;
select tests.violates(
    'select private.post(''receipt'', gen_random_uuid(), '
    'array[row(''pocket'', null, ''XAF'', 1), row(''sales'', null, ''XAF'', -1)]'
    '::private.ledger_line [])',
    'ledger_entries_account_fkey', 'an account that is none takes nothing'
);
-- entry by entry, in one transaction
select tests.name_it('slow', gen_random_uuid());
insert into private.ledger_transactions (id, kind, subject_id)
values (tests.id('slow'), 'settlement', tests.id('slow'));
insert into private.ledger_entries (transaction_id, account, currency, amount)
values (tests.id('slow'), 'bank', 'XAF', 100);
select is(
    (select array_agg(b) from tests.breaches() as b), '{"ledger slow: 100.00 XAF do not balance"}',
    'while it is being written it may be out of balance'
);
insert into private.ledger_entries (transaction_id, account, currency, amount)
values (tests.id('slow'), 'sales', 'XAF', -100);
select tests.books_hold('what counts is how it ends');
-- more to what was balanced
select tests.refuses(
    format(
        'insert into private.ledger_entries (transaction_id, account, currency, amount) '
        'values (%L, ''bank'', ''XAF'', 1); set constraints all immediate', tests.id('slow')
    ),
    'PT409 ledger_unbalanced', 'an entry added to what balanced is seen, too', '1.00 XAF'
);
set constraints all deferred;

-- Once a cause ------------------------------------------------------------------------------------

select tests.remember();
create function tests.post_again(kind text, subject_id uuid, part integer default 1) returns text
language sql stable as $$
    select format(
        'select private.post(%L, %L, array[row(''bank'', null, ''XAF'', 1), '
        'row(''sales'', null, ''XAF'', -1)]::private.ledger_line [], part => %L)',
        post_again.kind, post_again.subject_id, post_again.part
    )
$$;
select tests.violates(
    tests.post_again(t.kind, tests.id(t.name)), 'ledger_transactions_subject_id_key',
    format('a %s is not posted twice', t.kind)
)
from (values ('receipt', 'payment'), ('sale', 'order'), ('fee', 'payment')) as t (kind, name);
select tests.violates(
    format(
        'select private.post_sale(o, p) from public.orders as o, public.payments as p '
        'where o.id = %L and p.id = %L', tests.id('order'), tests.id('payment')
    ),
    'ledger_transactions_subject_id_key', 'whoever would sell an order again is stopped'
);
select is(
    (tests.attempt(
        'select private.post_receipt(p) from tests.payment(''payment'') as p'
    )).state,
    null, 'a receipt asked for again'
);
select tests.nothing_changed('posts nothing: all of it is posted');
select is(
    (tests.attempt(tests.post_again('receipt', tests.id('payment'), 2))).state, null,
    'what a later word adds is a part of its own'
);
select tests.violates(
    tests.post_again('gift', tests.id('order')), 'ledger_transactions_kind_is_known',
    'a kind that is none is not posted'
);

-- It stays ----------------------------------------------------------------------------------------

create function tests.changes() returns table (sql text, table_name text, title text)
language sql immutable as $$
    values
    ('update private.ledger_entries set amount = amount + 1', 'ledger_entries', 'an amount'),
    ('update private.ledger_entries set amount = amount', 'ledger_entries', 'nor to itself'),
    ('update private.ledger_entries set account = ''bank''', 'ledger_entries', 'an account'),
    ('delete from private.ledger_entries', 'ledger_entries', 'an entry away'),
    ('truncate private.ledger_entries', 'ledger_entries', 'all of them away'),
    ('update private.ledger_transactions set created_at = now()', 'ledger_transactions', 'a time'),
    ('update private.ledger_transactions set order_id = null', 'ledger_transactions', 'an order'),
    ('delete from private.ledger_transactions', 'ledger_transactions', 'a transaction away'),
    ('truncate private.ledger_transactions cascade', 'ledger_transactions', 'all of them away'),
    ('truncate public.orders cascade', 'ledger_transactions', 'all with the orders')
$$;
-- as after a commit: nothing waits to be looked at
set constraints all immediate;
set constraints all deferred;
select tests.remember();
select tests.refuses(c.sql, 'PT409 record_immutable', 'nobody changes ' || c.title)
from tests.changes() as c;
select tests.nothing_changed('not a row has changed');
select tests.violates(b.sql, b.constraint_name, b.title || ' cannot be')
from (
    values
    ('insert into private.ledger_entries (transaction_id, account, currency, amount) '
        'values (tests.id(''slow''), ''bank'', ''XAF'', 0)',
        'ledger_entries_amount_not_zero', 'an entry of nothing'),
    ('insert into private.ledger_entries (transaction_id, account, currency, amount) '
        'values (tests.id(''slow''), ''bank'', ''xaf'', 1)',
        'ledger_entries_currency_is_iso_4217', 'an entry in a currency of small letters'),
    ('insert into private.ledger_entries (transaction_id, account, currency, amount) '
        'values (tests.id(''order''), ''bank'', ''XAF'', 1)',
        'ledger_entries_transaction_id_fkey', 'an entry of no transaction'),
    ('insert into private.ledger_entries (transaction_id, account, gateway, currency, amount) '
        'values (tests.id(''slow''), ''bank'', ''pocket'', ''XAF'', 1)',
        'ledger_entries_gateway_fkey', 'an entry at no gateway'),
    ('insert into private.ledger_entries (transaction_id, account, currency, amount) '
        'values (tests.id(''slow''), ''bank'', ''XAF'', null)',
        'not null', 'an entry without an amount'),
    ('insert into private.ledger_transactions (kind, subject_id, order_id) '
        'values (''sale'', gen_random_uuid(), gen_random_uuid())',
        'ledger_transactions_order_id_fkey', 'a sale of no order'),
    ('insert into private.ledger_transactions (kind, subject_id, payment_id) '
        'values (''fee'', gen_random_uuid(), gen_random_uuid())',
        'ledger_transactions_payment_id_fkey', 'a fee of no payment'),
    ('insert into private.ledger_transactions (kind, subject_id, refund_id) '
        'values (''refund'', gen_random_uuid(), gen_random_uuid())',
        'ledger_transactions_refund_id_fkey', 'a refund of none'),
    ('insert into private.ledger_accounts (code, kind, name, name_fr) '
        'values (''gold'', ''treasure'', ''Gold'', ''Or'')',
        'ledger_accounts_kind_is_known', 'an account of an odd kind'),
    ('insert into private.ledger_accounts (code, kind, name, name_fr) '
        'values (''Gold!'', ''asset'', ''Gold'', ''Or'')',
        'ledger_accounts_code_is_snake_case', 'an account with an odd name')
) as b (sql, constraint_name, title);
select tests.books_hold('and the books agree');

select * from finish();
rollback;
