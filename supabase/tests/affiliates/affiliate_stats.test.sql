-- A paid order counts one use of its code; a full block of an affiliate's code earns a commission.
-- An order whose money wholly went back counts no more.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
select plan(61);

-- given affiliates with blocks of 100, of 3 and of 1, an admin, and orders to count
select tests.make_user('amina', 'fr', 'CM');
select tests.make_affiliate('pat');
select tests.make_affiliate('sam', threshold_uses => 3, commission => 7500);
select tests.make_affiliate('kim', threshold_uses => 1, commission => 99.99);
update public.affiliates set currency = 'ZAR' where user_id = tests.id('kim');
select tests.make_admin('chioma');
select tests.make_promo_code('PAT10', 'pat', usage_limit => null);
select tests.make_promo_code('PAT20', 'pat', usage_limit => null);
select tests.make_promo_code('SAM10', 'sam', usage_limit => null);
select tests.make_promo_code('KIM10', 'kim', usage_limit => null);
select tests.make_promo_code('CHIOMA', 'chioma', usage_limit => null);

create table tests.orders_to_count (place bigint primary key, id uuid not null);
with made as (
    insert into public.orders (
        user_id, country, currency, language, subtotal_price, total_price, shipping_address,
        expires_at
    )
    select tests.id('amina'), 'CM', 'XAF', 'en', 5000, 5000, '{}', now()
    from generate_series(1, 640)
    returning id
)

insert into tests.orders_to_count (place, id)
select row_number() over (), m.id from made as m;

-- Counts so many uses of a code, one statistic after the other.
create function tests.use(code text, uses bigint) returns void
language plpgsql as $$
begin
    with taken as (
        delete from tests.orders_to_count as o
        where o.place in (
            select c.place from tests.orders_to_count as c order by c.place limit use.uses
        )
        returning o.id
    )
    insert into public.affiliate_stats (
        promo_code_id, affiliate_id, order_id, user_id, discount_amount, currency
    )
    select p.id, p.affiliate_id, t.id, tests.id('amina'), 500, 'XAF'
    from taken as t
    cross join public.promo_codes as p
    where p.code = use.code;
end
$$;
-- uses of a code, and its payouts
create function tests.earned(code text) returns text
language sql stable as $$
    select concat_ws(
        ': ', p.usage_count,
        (
            select string_agg(
                concat_ws(
                    ' ', o.block_number, n.name, o.payout_amount, o.currency, o.payout_status
                ),
                ', ' order by o.block_number
            )
            from public.affiliate_payouts as o
            inner join public.affiliates as a on o.affiliate_id = a.id
            inner join tests.names as n on a.user_id = n.id
            where o.promo_code_id = p.id
        )
    )
    from public.promo_codes as p
    where p.code = earned.code
$$;

-- Blocks of a hundred -----------------------------------------------------------------------------

select tests.use('PAT10', 1);
select is(tests.earned('PAT10'), '1', 'one use is counted and earns nothing yet');
select tests.use('PAT10', 98);
select is(tests.earned('PAT10'), '99', 'nor do 99');
select tests.use('PAT10', 1);
select is(tests.earned('PAT10'), '100: 1 pat 15000.00 XAF pending',
    'the hundredth closes block 1 and earns 15000 francs');
select tests.use('PAT10', 1);
select is(tests.earned('PAT10'), '101: 1 pat 15000.00 XAF pending', 'the next earns nothing more');
select tests.use('PAT10', 98);
select is(tests.earned('PAT10'), '199: 1 pat 15000.00 XAF pending', 'nor do 199');
select tests.use('PAT10', 1);
select is(
    tests.earned('PAT10'), '200: 1 pat 15000.00 XAF pending, 2 pat 15000.00 XAF pending',
    'the two hundredth closes block 2'
);
update public.affiliates set default_commission_amount = 20000 where user_id = tests.id('pat');
update public.affiliate_payouts set payout_status = 'paid' where promo_code_id = tests.id('PAT10');
select tests.use('PAT10', 150);
select is(
    tests.earned('PAT10'),
    '350: 1 pat 15000.00 XAF paid, 2 pat 15000.00 XAF paid, 3 pat 20000.00 XAF pending',
    'uses counted in one go close the block in their midst, at the commission of that day'
);

-- Each code by itself -----------------------------------------------------------------------------

select tests.use('PAT20', 99);
select tests.use('PAT10', 49);
select is(tests.earned('PAT20'), '99', 'uses of another code of the same person are not added');
select tests.use('PAT20', 1);
select is(
    tests.earned('PAT20'), '100: 1 pat 20000.00 XAF pending', 'each code has its own block 1'
);
select is(
    (select string_agg(o.block_number::text, ' ' order by o.block_number)
     from public.affiliate_payouts as o where o.promo_code_id = tests.id('PAT10')),
    '1 2 3', 'the other one stands where it stood, at 399'
);

-- Other blocks, other currencies ------------------------------------------------------------------

select tests.use('SAM10', 1) from generate_series(1, 7);
select is(tests.earned('SAM10'), '7: 1 sam 7500.00 XAF pending, 2 sam 7500.00 XAF pending',
    'seven uses are two blocks of three');
select tests.use('KIM10', 2);
select is(tests.earned('KIM10'), '2: 1 kim 99.99 ZAR pending, 2 kim 99.99 ZAR pending',
    'each use is a block of one, in the affiliate''s currency');

-- An admin's code ---------------------------------------------------------------------------------

select tests.use('CHIOMA', 101);
select is(tests.earned('CHIOMA'), '101', 'an admin''s code is counted and earns nobody anything');

-- A count that is undone is none ------------------------------------------------------------------

select tests.remember();
select tests.violates(
    $$ insert into public.affiliate_stats (
           promo_code_id, affiliate_id, order_id, user_id, discount_amount, currency)
       select s.promo_code_id, s.affiliate_id, s.order_id, s.user_id, 500, 'XAF'
       from public.affiliate_stats as s where s.promo_code_id = tests.id('KIM10') limit 1 $$,
    'affiliate_stats_order_id_key', 'an order counts once'
);
select tests.nothing_changed('and its second counting leaves neither use nor payout');

-- By the gateway's word ---------------------------------------------------------------------------
-- given sam's code, two uses from its next block, and orders that end in every way

select tests.make_product('shoe', 100);
select tests.place_order(o.name, 'amina', jsonb_build_array(tests.item('shoe', 1)),
    o.country, 'SAM10')
from (
    values ('paid', 'CM'), ('paid-too', 'ZA'), ('cancelled', 'CM'), ('expired', 'CM'),
        ('failed', 'CM'), ('pending', 'CM')
) as o (name, country);
select tests.place_order('no-code', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select is(
    (select p.reserved_count from public.promo_codes as p where p.code = 'SAM10'), 6,
    'six orders hold a use'
);
select is(tests.earned('SAM10'), '7: 1 sam 7500.00 XAF pending, 2 sam 7500.00 XAF pending',
    'none counts before it is paid');

select is(tests.pay('paid') ->> 'order_status', 'paid', 'given one is paid');
select is(tests.pay('no-code') ->> 'order_status', 'paid', 'and one without a code');
select tests.act_as('amina');
select is(
    (public.cancel_order(tests.id('cancelled'))).status::text, 'cancelled', 'one is cancelled'
);
select tests.act_as_owner();
update public.orders set expires_at = now() where id = tests.id('expired');
select is(
    tests.as_service(format('service.release_order_hold(%L)', tests.id('expired'))),
    '{"released": true}', 'one expires'
);
select count(tests.begin_payment('failed-payment', 'failed'));
select is(
    tests.apply('failed-payment', 'failed') ->> 'order_status', 'pending', 'one fails to pay'
);
select is(tests.earned('SAM10'), '8: 1 sam 7500.00 XAF pending, 2 sam 7500.00 XAF pending',
    'one use more is counted');
select is(
    (select p.reserved_count from public.promo_codes as p where p.code = 'SAM10'), 3,
    'three are held still: one to be paid, one that failed, one that waits'
);
select is(tests.pay('paid-too') ->> 'order_status', 'paid', 'given another is paid');
select is(
    tests.earned('SAM10'),
    '9: 1 sam 7500.00 XAF pending, 2 sam 7500.00 XAF pending, 3 sam 7500.00 XAF pending',
    'which closes block 3'
);
select is(
    tests.apply('payment-of-paid', 'paid') ->> 'outcome',
    'unchanged', 'the same word again'
);
select is(
    tests.earned('SAM10'),
    '9: 1 sam 7500.00 XAF pending, 2 sam 7500.00 XAF pending, 3 sam 7500.00 XAF pending',
    'counts nothing again'
);
select results_eq(
    $$ select n.name, s.discount_amount, s.currency, s.user_id
       from public.affiliate_stats as s
       inner join tests.names as n on s.order_id = n.id
       order by n.name $$,
    $$ values
       ('paid', 500.00, 'XAF', tests.id('amina')),
       ('paid-too', 10.00, 'ZAR', tests.id('amina')) $$,
    'each statistic has its order''s discount and currency'
);
-- given an order that uses chioma's code, paid through the gateway
select tests.place_order('of-an-admin', 'amina', jsonb_build_array(tests.item('shoe', 1)),
    promo_code => 'CHIOMA');
select is(
    tests.pay('of-an-admin') ->> 'order_status', 'paid', 'given one of an admin''s code is paid'
);
select results_eq(
    $$ select s.affiliate_id, s.promo_code_id from public.affiliate_stats as s
       where s.order_id = tests.id('of-an-admin') $$,
    $$ values (null::uuid, tests.id('CHIOMA')) $$,
    'its statistic has no affiliate'
);
select is(tests.earned('CHIOMA'), '102', 'and it is counted');

-- Money that went back ----------------------------------------------------------------------------
-- given lee's code, whose blocks are of two, and three paid orders of it

select tests.make_admin('ada');
select tests.make_affiliate('lee', threshold_uses => 2, commission => 700);
select tests.make_promo_code('LEE10', 'lee', usage_limit => 3, per_user_limit => 3);
create function tests.pay_with_code(name text) returns text
language plpgsql as $$
begin
    perform tests.place_order(
        pay_with_code.name, 'amina', jsonb_build_array(tests.item('shoe', 1)), 'CM', 'LEE10'
    );
    return tests.pay(pay_with_code.name) ->> 'order_status';
end
$$;
create function tests.give_back(order_name text, amount numeric default null) returns text
language plpgsql as $$
declare
    v_refund jsonb := tests.as_service(format(
        'service.begin_refund(%L, %L, %L, null, ''scratched'', %L)', tests.id('ada'),
        tests.id('payment-of-' || give_back.order_name), give_back.amount,
        concat('key-', give_back.order_name, '-', give_back.amount)
    ));
begin
    return tests.as_service(format(
        'service.apply_refund_result(%L, ''refunded'', %L, ''XAF'', null, null, ''poll'', null)',
        v_refund ->> 'refund_id', v_refund ->> 'amount'
    )) ->> 'status';
end
$$;
create function tests.reversed() returns text
language sql stable as $$
    select string_agg(
        n.name || case when s.reversed_at = now() then ' reversed' else '' end, ', '
        order by n.name
    )
    from public.affiliate_stats as s
    inner join tests.names as n on s.order_id = n.id
    where s.promo_code_id = tests.id('LEE10')
$$;
create function tests.owed() returns numeric
language sql stable as $$
    select coalesce(-sum(e.amount), 0)
    from private.ledger_entries as e
    inner join private.ledger_transactions as t on e.transaction_id = t.id
    inner join public.affiliate_payouts as o on t.subject_id = o.id
    where o.promo_code_id = tests.id('LEE10') and e.account = 'commissions_payable'
$$;
select is(tests.pay_with_code('lee-' || n), 'paid', format('given paid order %s', n))
from generate_series(1, 2) as n;
select is(tests.earned('LEE10'), '2: 1 lee 700.00 XAF pending', 'which close block 1');
select is(tests.owed(), 700.00, 'and are owed for');
select is(tests.give_back('lee-2', 500), 'refunded', 'when a part of one goes back');
select is(tests.earned('LEE10'), '2: 1 lee 700.00 XAF pending', 'it counts all the same');
select is(tests.give_back('lee-2'), 'refunded', 'when the rest of it goes back');
select is(tests.earned('LEE10'), '1: 1 lee 700.00 XAF cancelled',
    'it counts no more, and the block it had closed is withdrawn');
select is(tests.reversed(), 'lee-1, lee-2 reversed', 'its statistic says when');
select is(tests.owed(), 0.00, 'nothing is owed any more');
select tests.act_as('amina');
select is(
    (public.cancel_order(tests.id('lee-2'))).status::text, 'cancelled',
    'given it is cancelled after that'
);
select tests.act_as_owner();
select is(tests.earned('LEE10'), '1: 1 lee 700.00 XAF cancelled', 'its use is given back once');
update public.affiliates set default_commission_amount = 800 where user_id = tests.id('lee');
select is(tests.pay_with_code('lee-3'), 'paid', 'given another is paid');
select is(tests.earned('LEE10'), '2: 1 lee 800.00 XAF pending',
    'the block is owed anew, at the commission of that day');
select is(tests.owed(), 800.00, 'and in the books');
update public.affiliate_payouts set payout_status = 'approved'
where promo_code_id = tests.id('LEE10');
select is(tests.pay_with_code('lee-4'), 'paid', 'given it is approved, and a fourth order is paid');
select tests.act_as('amina');
select is(
    (public.cancel_order(tests.id(n.name))).status::text, 'cancelled',
    format('given %s is cancelled', n.name)
)
from (values ('lee-3'), ('lee-4')) as n (name);
select tests.act_as_owner();
select is(tests.earned('LEE10'), '1: 1 lee 800.00 XAF approved',
    'what was approved stays, whatever goes back later');
select is(tests.owed(), 800.00, 'and is owed still');
select is(tests.pay_with_code('lee-5'), 'paid', 'given a fifth, whose use was free again');
select is(tests.earned('LEE10'), '2: 1 lee 800.00 XAF approved', 'no block is paid for twice');
select is(tests.reversed(), 'lee-1, lee-2 reversed, lee-3 reversed, lee-4 reversed, lee-5',
    'the statistics are those of the orders that count');

-- What is counted is what is there ----------------------------------------------------------------

select is(
    (select p.usage_count::bigint - (
        select count(*) from public.affiliate_stats as s
        where s.promo_code_id = p.id and s.reversed_at is null)
     from public.promo_codes as p where p.id = tests.id(c.code)),
    0::bigint, format('the uses of %s are its statistics', c.code)
)
from (values ('PAT10'), ('PAT20'), ('SAM10'), ('KIM10'), ('CHIOMA'), ('LEE10')) as c (code);

select * from finish();
rollback;
