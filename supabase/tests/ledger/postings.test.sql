-- Every move of money and what it posts: accounts, signs, currencies; in the transaction that
-- causes it. And every way in which the books could disagree with the rows is seen.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
\ir ../payments/_refunds.psql
select plan(91);

-- given buyers in both countries, a code of a tenth, an affiliate whose blocks are of two
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('thandi');
select tests.make_admin('chioma');
select tests.make_product('shoe', 1000, 100.00, 5000);
select tests.make_product('hat', 1000, 33.30, 1500);
select tests.make_affiliate('pat', threshold_uses => 2, commission => 700);
select tests.make_promo_code('PAT10', 'pat', usage_limit => null);

create function tests.order_of(
    name text, country text default 'CM', promo_code text default null, shoes integer default 1
)
returns uuid
language sql as $$
    select tests.place_order(
        order_of.name, case order_of.country when 'CM' then 'amina' else 'thandi' end,
        jsonb_build_array(tests.item('shoe', order_of.shoes)), order_of.country,
        order_of.promo_code
    )
$$;
create function tests.paid(
    name text, country text default 'CM', promo_code text default null, fee numeric default null,
    shoes integer default 1
)
returns text
language plpgsql as $$
begin
    perform tests.order_of(paid.name, paid.country, paid.promo_code, paid.shoes);
    perform tests.begin_payment(paid.name || '-payment', paid.name);
    return tests.apply(
        paid.name || '-payment', 'paid', fee => paid.fee, request_id => 'req-' || paid.name
    ) ->> 'order_status';
end
$$;

-- Sold --------------------------------------------------------------------------------------------

select is(tests.paid('plain', fee => 350), 'paid', 'given 8500 XAF paid, of which Kora kept 350');
select is(tests.postings(p.kind, tests.id(p.subject)), p.wanted, p.title)
from (
    values
    ('receipt', 'plain-payment',
        array['gateway_receivable kora XAF 8500.00', 'unallocated_receipts XAF -8500.00'],
        'the gateway holds what it collected, which is the payer''s at first'),
    ('sale', 'plain',
        array['unallocated_receipts XAF 8500.00', 'sales XAF -4193.00',
            'shipping_income XAF -2935.00', 'vat_payable XAF -1372.00'],
        'then it is the price: goods and delivery without tax, and tax'),
    ('fee', 'plain-payment',
        array['gateway_fees XAF 350.00', 'gateway_receivable kora XAF -350.00'],
        'and the gateway keeps its share')
) as p (kind, subject, wanted, title);
select results_eq(
    $$ select t.kind, t.part, tests.name_of(t.order_id), tests.name_of(t.payment_id), t.refund_id,
           t.request_id, t.created_at
       from private.ledger_transactions as t where t.order_id = tests.id('plain')
       order by t.kind $$,
    $$ values ('fee', 1, 'plain', 'plain-payment', null::uuid, 'req-plain', now()),
       ('receipt', 1, 'plain', 'plain-payment', null, 'req-plain', now()),
       ('sale', 1, 'plain', 'plain-payment', null, 'req-plain', now()) $$,
    'each says of which order and payment, and by which request'
);
select is(tests.paid('coded', 'ZA', 'PAT10', 4.35), 'paid', 'given 189 ZAR paid with a code');
select is(
    tests.postings('sale', tests.id('coded')),
    '{unallocated_receipts ZAR 189.00,sales ZAR -88.26,discounts ZAR 10.00,'
    'shipping_income ZAR -86.09,vat_payable ZAR -24.65}',
    'a discount stands beside the sale, in cents of another currency'
);
select is(
    tests.paid('free', shoes => 12), 'paid', 'given 60000 XAF paid, whose delivery is free'
);
select is(
    tests.postings('sale', tests.id('free')),
    '{unallocated_receipts XAF 60000.00,sales XAF -50314.00,vat_payable XAF -9686.00}',
    'what is nothing is not posted'
);
select is(tests.account('unallocated_receipts'), '{}', 'what was sold is nobody else''s');
select tests.books_hold('and the books agree');
-- an order that never was paid
select tests.order_of('idle');
select count(tests.begin_payment('idle-payment', 'idle'));
select count(tests.apply('idle-payment', 'failed'));
select is(
    (select count(*) from private.ledger_transactions as t where t.order_id = tests.id('idle')),
    0::bigint, 'without money there is nothing to post'
);

-- Fees --------------------------------------------------------------------------------------------

select is(tests.paid('fee-' || f.place, 'ZA', fee => f.fee), 'paid', f.title)
from (
    values
    (1, null::numeric, 'given a fee that nobody knows'), (2, 0, 'given none'),
    (3, 5.005, 'given one of half a cent'), (4, 199.00, 'given one of all'),
    (5, 199.01, 'given one of more than all'), (6, -1, 'given one that the gateway pays')
) as f (place, fee, title)
order by f.place;
select is(
    concat_ws(
        '; ', (tests.payment(format('fee-%s-payment', f.place))).fee_amount,
        array_to_string(tests.postings('fee', tests.id(format('fee-%s-payment', f.place))), ', ')
    ),
    f.wanted, f.title
)
from (
    values
    (1, '', 'an unknown fee is not taken for none'),
    (2, '0.00; ', 'none is kept, and not posted'),
    (3, '5.01; gateway_fees ZAR 5.01, gateway_receivable kora ZAR -5.01',
        'half a cent is rounded'),
    (4, '199.00; gateway_fees ZAR 199.00, gateway_receivable kora ZAR -199.00',
        'all of it may be kept'),
    (5, '', 'more than all is no fee'), (6, '', 'nor is less than none')
) as f (place, wanted, title)
order by f.place;
-- corrected, in whatever direction
create function tests.correct(name text, fee numeric) returns text
language plpgsql as $$
begin
    perform private.record_fee(tests.payment(correct.name), correct.fee);
    return (select p.fee_amount::text from tests.payment(correct.name) as p);
end
$$;
select is(tests.correct('plain-payment', 400), '400.00', 'when it was 400 after all');
select is(tests.correct('plain-payment', 400), '400.00', 'said again it is no other');
select is(tests.correct('plain-payment', 100), '100.00', 'when it was 100 after all');
select is(tests.correct('plain-payment', null), '100.00', 'not to know is no correction');
select is(tests.correct('plain-payment', 0), '0.00', 'when there was none');
select is(
    tests.postings('fee', tests.id('plain-payment')),
    '{gateway_fees XAF 350.00,gateway_receivable kora XAF -350.00,'
    '2: gateway_fees XAF 50.00,2: gateway_receivable kora XAF -50.00,'
    '3: gateway_fees XAF -300.00,3: gateway_receivable kora XAF 300.00,'
    '4: gateway_fees XAF -100.00,4: gateway_receivable kora XAF 100.00}',
    'each correction posts its difference'
);
select is(tests.correct('fee-1-payment', 3.21), '3.21', 'a fee that was not known is learnt');
select tests.books_hold('and the books agree');

-- In quarantine -----------------------------------------------------------------------------------

select tests.order_of('odd');
select count(tests.begin_payment('odd-payment', 'odd'));
select is(
    tests.apply('odd-payment', 'paid', w.amount, w.currency, 'T-odd') ->> 'outcome', w.outcome,
    format('given the gateway''s word: %s %s', w.amount, w.currency)
)
from (
    values
    (50, 'NGN', 'quarantined'), (60, 'NGN', 'quarantined'), (8000, 'XAF', 'quarantined'),
    (8000, 'XAF', 'quarantined'), (8500, 'XAF', 'applied')
) as w (amount, currency, outcome);
select is(
    tests.postings('receipt', tests.id('odd-payment')),
    '{gateway_receivable kora NGN 50.00,unallocated_receipts NGN -50.00,'
    '2: gateway_receivable kora NGN 10.00,2: unallocated_receipts NGN -10.00,'
    '3: gateway_receivable kora NGN -60.00,3: unallocated_receipts NGN 60.00,'
    '4: gateway_receivable kora XAF 8000.00,4: unallocated_receipts XAF -8000.00,'
    '5: gateway_receivable kora XAF 500.00,5: unallocated_receipts XAF -500.00}',
    'each word of another sum or currency posts its difference'
);
select is(
    tests.postings('sale', tests.id('odd')),
    '{unallocated_receipts XAF 8500.00,sales XAF -4193.00,shipping_income XAF -2935.00,'
    'vat_payable XAF -1372.00}',
    'the right one is sold'
);
select tests.books_hold('and the books agree');

-- Refunded ----------------------------------------------------------------------------------------

select is(tests.paid('back', 'ZA', 'PAT10', shoes => 2), 'paid', 'given 279 ZAR paid with a code');
select count(tests.refunded('back-1', 'back-payment', null, tests.pieces('back', '1:1')));
select is(
    tests.postings('refund', tests.id('back-1')),
    '{refunds ZAR 121.30,vat_payable ZAR 18.20,gateway_receivable kora ZAR -139.50}',
    'a piece takes its share of sale and tax back'
);
select results_eq(
    $$ select tests.name_of(t.order_id), tests.name_of(t.payment_id), tests.name_of(t.refund_id)
       from private.ledger_transactions as t where t.subject_id = tests.id('back-1') $$,
    $$ values ('back', 'back-payment', 'back-1') $$,
    'and says of which order, payment and refund'
);
select count(tests.refund('back-2', 'back-payment'));
select is(tests.postings('refund', tests.id('back-2')), '{}', 'what is asked for is not posted');
select count(tests.send_refund('back-2'));
select is(tests.postings('refund', tests.id('back-2')), '{}', 'nor what is under way');
select count(tests.refund_result('back-2', 'failed'));
select is(tests.postings('refund', tests.id('back-2')), '{}', 'nor what failed');
-- out of the account of the rail that paid it out
select tests.order_of('orange');
select count(tests.begin_payment('orange-payment', 'orange', 'orange_money', null, '{orange}'));
select count(tests.apply('orange-payment', 'paid'));
update public.payments set payer_account = '+237690000000' where id = tests.id('orange-payment');
select count(tests.refunded('orange-refund', 'orange-payment'));
select is(
    tests.postings('receipt', tests.id('orange-payment'))
    || tests.postings('refund', tests.id('orange-refund')),
    '{gateway_receivable orange XAF 8500.00,unallocated_receipts XAF -8500.00,'
    'refunds XAF 7128.00,vat_payable XAF 1372.00,gateway_receivable kora XAF -8500.00}',
    'a transfer by Kora leaves Orange''s money where it is'
);
select tests.books_hold('and the books agree');

-- Commissions -------------------------------------------------------------------------------------
-- given pat's first block of two, closed by the second order with the code

create function tests.payout() returns uuid
language sql stable as $$
    select p.id from public.affiliate_payouts as p
    where p.promo_code_id = tests.id('PAT10') and p.block_number = 1
$$;
create function tests.set_payout(status text) returns text []
language plpgsql as $$
declare
    v_id uuid := tests.payout();
begin
    update public.affiliate_payouts set payout_status = set_payout.status where id = v_id;
    return tests.postings('commission', v_id) || tests.postings('payout', v_id)
        || tests.postings('commission_reversal', v_id);
end
$$;
select is(
    tests.postings('commission', tests.payout()),
    '{commission_expense XAF 700.00,commissions_payable XAF -700.00}',
    'a block that closed is owed'
);
select is(
    tests.set_payout(s), '{commission_expense XAF 700.00,commissions_payable XAF -700.00}',
    s || ' posts nothing'
)
from unnest(array['approved', 'processing', 'failed', 'approved']) as s;
select is(
    tests.set_payout('paid'),
    '{commission_expense XAF 700.00,commissions_payable XAF -700.00,'
    'commissions_payable XAF 700.00,payout_clearing XAF -700.00}',
    'paid, it is on its way from the bank'
);
select is(tests.account('commissions_payable'), '{}', 'and owed no more');
select tests.books_hold('and the books agree');
select is(tests.paid('pat-3', 'ZA', 'PAT10'), 'paid', 'given a third order with the code');
select is(tests.paid('pat-4', 'ZA', 'PAT10'), 'paid', 'and a fourth, which closes block 2');
select tests.act_as('thandi');
select is(
    (public.cancel_order(tests.id('pat-4'))).status::text, 'cancelled', 'when one is cancelled'
);
select tests.act_as_owner();
select is(
    tests.postings('commission', p.id) || tests.postings('commission_reversal', p.id),
    '{commission_expense XAF 700.00,commissions_payable XAF -700.00,'
    'commissions_payable XAF 700.00,commission_expense XAF -700.00}',
    'its block is not owed after all'
)
from public.affiliate_payouts as p
where p.promo_code_id = tests.id('PAT10') and p.block_number = 2;
update public.affiliates set default_commission_amount = 900 where user_id = tests.id('pat');
select is(tests.paid('pat-5', 'ZA', 'PAT10'), 'paid', 'given a fifth, which closes it again');
select is(
    tests.postings('commission', p.id),
    '{commission_expense XAF 700.00,commissions_payable XAF -700.00,'
    '2: commission_expense XAF 900.00,2: commissions_payable XAF -900.00}',
    'it is owed anew, at the commission of that day'
)
from public.affiliate_payouts as p
where p.promo_code_id = tests.id('PAT10') and p.block_number = 2;
select is(tests.account('commissions_payable'), '{XAF -900.00}', 'once');
select tests.books_hold('and the books agree');

-- Exchange ----------------------------------------------------------------------------------------

delete from public.exchange_rates;
insert into public.exchange_rates (base_currency, quote_currency, rate, as_of, source)
values
('USD', 'XAF', 600, now() - interval '1 day', 'test'), ('USD', 'XAF', 610, now(), 'test'),
('USD', 'ZAR', 18.5, now(), 'test');
select is(private.convert_money(c.amount, c.from_currency, c.to_currency), c.wanted, c.title)
from (
    values
    (100, 'XAF', 'XAF', 100::numeric, 'a currency is itself'),
    (10, 'USD', 'XAF', 6100, 'the newest rate counts'),
    (100, 'XAF', 'NGN', null, 'without a rate there is no sum'),
    (null, 'USD', 'XAF', null, 'nor of nothing')
) as c (amount, from_currency, to_currency, wanted, title);
select is(
    round(private.convert_money(c.amount, c.from_currency, c.to_currency), 6), c.wanted, c.title
)
from (
    values
    (6100, 'XAF', 'USD', 10.000000, 'the other way round'),
    (6100, 'XAF', 'ZAR', 185.000000, 'or over a third'),
    (185, 'ZAR', 'XAF', 6100.000000, 'there and back')
) as c (amount, from_currency, to_currency, wanted, title);

-- How the books could disagree --------------------------------------------------------------------
-- What all invariants say after a change behind every guard, which is then undone.

create function tests.breaking(variadic changes text []) returns text []
language plpgsql as $$
declare
    v_change text;
    v_seen text [];
begin
    begin
        perform set_config('session_replication_role', 'replica', true);
        foreach v_change in array breaking.changes loop
            execute v_change;
        end loop;
        v_seen := array(select b from tests.breaches() as b);
        raise exception using message = 'undone';
    exception
        when raise_exception then
            return v_seen;
    end;
end
$$;
select tests.order_of('twice', 'ZA');
select count(tests.begin_payment(p.name, 'twice', p.method, null, array[p.gateway]))
from (
    values ('twice-1', 'kora_checkout', 'kora'), ('twice-2', 'card', 'paygate')
) as p (name, method, gateway);
select count(tests.apply('twice-1', 'paid'));
select count(tests.apply('twice-2', 'paid'));
select count(tests.refund('part', 'plain-payment', 500));
select count(tests.refund('sent', 'plain-payment', 600));
select count(tests.send_refund('sent'));
select tests.books_hold('given books that agree');
create table tests.disagreements (place serial, changes text [], wanted text [], title text);
insert into tests.disagreements (changes, wanted, title) values
(array[$$ update private.ledger_entries set amount = 8501 where account = 'gateway_receivable'
        and transaction_id = (select t.id from private.ledger_transactions as t
        where t.kind = 'receipt' and t.subject_id = tests.id('plain-payment')) $$],
    array['ledger plain-payment: gateway collected 8500.00, gave back 0.00, kept 0.00: the books '
        'say 8501.00', 'ledger receipt-of-plain: 1.00 XAF do not balance'],
    'an entry that was changed'),
(array[$$ delete from private.ledger_entries
        where transaction_id = (select t.id from private.ledger_transactions as t
        where t.kind = 'fee' and t.subject_id = tests.id('coded-payment')) $$],
    array['ledger coded-payment: gateway collected 189.00, gave back 0.00, kept 4.35: the books '
        'say 189.00'],
    'a fee that was not posted'),
(array[$$ update public.orders set total_price = total_price - 1, subtotal_price =
        subtotal_price - 1 where id = tests.id('free') $$],
    array['ledger free: sold for 59999.00, the books say 60000.00',
        'orders free: subtotal 59999.00 of lines 60000.00, discount 0.00 of 0.00, tax 9686.00 of '
        '9686.00', 'payments free: order is paid with 0 winning payments'],
    'an order whose price was changed'),
(array[$$ update public.orders set paid_at = null, status = 'pending'
        where id = tests.id('free') $$],
    array['ledger free: sold for 60000.00, the books say 60000.00',
        'payments free: order is pending with 1 winning payments',
        'stock shoe: reserved 1, unpaid orders hold 13'],
    'a sale of an order that is not paid'),
(array[$$ update public.refunds set amount = 140 where id = tests.id('back-1') $$],
    array['ledger back-payment: refunds of 140.00 went through, the payment says 139.50'],
    'a refund of another sum'),
(array[$$ update public.payments set refunded_amount = 0, status = 'paid'
        where id = tests.id('back-payment') $$],
    array['ledger back-payment: gateway collected 279.00, gave back 0.00, kept 0: the books say '
        '139.50', 'ledger back-payment: refunds of 139.50 went through, the payment says 0.00'],
    'a payment that forgot its refund'),
(array[$$ select private.post('receipt', tests.id('plain-payment'), array[
        row('unallocated_receipts', null, 'XAF', 1), row('bank', null, 'XAF', -1)]
        ::private.ledger_line [], payment_id => tests.id('plain-payment'), part => 9) $$],
    array['ledger plain-payment: -1.00 XAF bought nothing and is owed'],
    'money that was used twice'),
(array[$$ delete from private.payment_exceptions where payment_id = tests.id('twice-2') $$],
    array['ledger twice-2: 199.00 ZAR bought nothing and is owed',
        'payments twice-2: money arrived, paid no order and stands before nobody'],
    'money that is owed and stands before nobody'),
(array[$$ update public.affiliate_payouts set payout_status = 'pending'
        where id = tests.payout() $$],
    array['ledger payout: 700.00 XAF owed to an affiliate, the books say 0.00'],
    'a commission that was paid and is owed'),
(array[$$ update public.affiliate_payouts set payout_amount = 800 where promo_code_id =
        tests.id('PAT10') and block_number = 2 $$],
    array['ledger payout-2: 800.00 XAF owed to an affiliate, the books say 900.00'],
    'a commission of another sum'),
(array[$$ delete from public.affiliate_payouts where id = tests.payout() $$],
    array['affiliate_payouts PAT10: 4 uses in blocks of 2, 1 payouts'],
    'a block without its commission'),
(array[$$ update public.affiliate_payouts set payout_status = 'pending', block_number = 3
        where promo_code_id = tests.id('PAT10') and block_number = 2 $$],
    array['affiliate_payouts PAT10: 4 uses in blocks of 2, 2 payouts'],
    'a commission for a block that is not full'),
(array[$$ insert into public.refund_items (refund_id, order_item_id, quantity, amount, tax_amount,
        currency) values (tests.id('back-2'), tests.line('back', 1), 2, 1, 0, 'ZAR') $$,
        $$ update public.refunds set status = 'processing', next_check_at = now()
        where id = tests.id('back-2') $$],
    array['refunds back-line: 3 of 2 pieces refunded'],
    'pieces that are refunded twice'),
(array[$$ update public.refunds set next_check_at = null where id = tests.id('sent') $$],
    array['refunds sent: processing, and neither a check nor a person waits for it'],
    'a refund under way that nobody asks about'),
(array[$$ update public.refunds set next_check_at = null where id = tests.id('part') $$],
    array['refunds part: pending, and neither a check nor a person waits for it'],
    'a refund that nobody will send'),
(array[$$ update public.refunds set way = 'manual' where id = tests.id('part') $$],
    array['refunds part: waits for hands and stands before nobody'],
    'a refund by hand of which nobody knows'),
(array[$$ delete from private.payment_exceptions where refund_id = tests.id('back-2') $$,
        $$ update public.refunds set created_at = now() - interval '1 second'
        where id = tests.id('back-1') $$],
    array['refunds back-2: failed, and nobody was told'],
    'a refund that failed in silence'),
(array[$$ update public.payments set status = 'processing', paid_at = null, is_winner = false,
        next_check_at = null where id = tests.id('twice-1') $$],
    array['payments twice-1: open, and no check is planned',
        'payments twice: order is paid with 0 winning payments'],
    'an attempt that nobody asks about');
select tests.name_it('receipt-of-plain', t.id) from private.ledger_transactions as t
where t.kind = 'receipt' and t.subject_id = tests.id('plain-payment');
select tests.name_it('payout', tests.payout());
select tests.name_it('payout-2', p.id) from public.affiliate_payouts as p
where p.promo_code_id = tests.id('PAT10') and p.block_number = 2;
select tests.name_it('back-line', tests.line('back', 1));
select is(
    array(select b from unnest(tests.breaking(variadic d.changes)) as b order by b),
    array(select w from unnest(d.wanted) as w order by w), 'seen: ' || d.title
)
from tests.disagreements as d
order by d.place;
select tests.books_hold('undone, the books agree again');

select * from finish();
rollback;
