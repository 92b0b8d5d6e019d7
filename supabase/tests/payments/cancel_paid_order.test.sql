-- A paid order that is cancelled: its money goes back once, as much as came and is still there, and
-- until it is there somebody looks after it.
begin;
\ir ../_helpers.psql
\ir _payments.psql
\ir _refunds.psql
select plan(50);

-- given amina, an admin, orders of 13500 XAF, 2179 of it tax, and a gateway whose page may be paid
-- twice
update private.payment_gateways set takes_twice = true where code = 'kora';
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_product('shoe', 100, 100.00, 5000);

create function tests.paid_order(
    name text, amount numeric default null, method text default 'kora_checkout',
    phone text default null, gateway text default 'kora'
)
returns text
language plpgsql as $$
begin
    perform tests.place_order(
        paid_order.name, 'amina', jsonb_build_array(tests.item('shoe', 2))
    );
    perform tests.begin_payment(
        paid_order.name || '-payment', paid_order.name, paid_order.method, paid_order.phone,
        array[paid_order.gateway]
    );
    return tests.apply(
        paid_order.name || '-payment', 'paid', paid_order.amount,
        gateway_transaction_id => 'T-' || paid_order.name
    ) ->> 'order_status';
end
$$;
create function tests.cancel(name text, who text default 'amina') returns text
language plpgsql as $$
declare
    v_status text;
begin
    perform tests.act_as(cancel.who);
    v_status := (public.cancel_order(tests.id(cancel.name), 'Trop tard')).status;
    perform tests.act_as_owner();
    perform tests.name_it(cancel.name || '-refund', r.id)
    from public.refunds as r
    inner join tests.names as o on r.order_id = o.id and o.name = cancel.name
    where not exists (select from tests.names as n where n.id = r.id);
    return v_status;
end
$$;
create function tests.shelf() returns text
language sql stable security definer as $$
    select concat_ws('/', s.reserved, s.on_hand) from public.product_stock as s
    where s.listing_id = tests.id('shoe')
$$;

-- All the way -------------------------------------------------------------------------------------

select is(tests.paid_order('order'), 'paid', 'given a paid order');
select is(tests.shelf(), '0/98', 'whose shoes have left the shelf');
select is(tests.cancel('order'), 'cancelled', 'when amina cancels it');
select is(tests.shelf(), '0/100', 'they are for sale again');
select is(
    tests.money('order'),
    '{order-payment paid winner 13500.00 XAF - 0.00,'
    'order-refund gateway kora pending 13500.00 XAF tax 2179.00}',
    'and all of its money is to go back'
);
select tests.books_hold('until it has, the books agree');
select results_eq(
    $$ select o.status::text, o.payment_status::text from public.orders as o
       where o.id = tests.id('order') $$,
    $$ values ('cancelled', 'paid') $$,
    'the order says that its money is here'
);
select count(tests.send_refund('order-refund'));
select is(
    tests.refund_result('order-refund', 'failed', reason => 'Account closed') ->> 'status',
    'failed', 'when the rail could not'
);
select is(tests.desk('order'), '{failed_refund order-refund open}', 'it stands before a person');
select tests.remember();
select is(tests.cancel('order'), 'cancelled', 'cancelled again');
select tests.nothing_changed('nothing is sent: a person decides');
select is(
    tests.resolve('chioma', 'failed_refund', 'order-refund', 'retry', 'New account') ->> 'status',
    'resolved', 'who sends it anew'
);
select tests.name_it('order-again', r.id) from public.refunds as r
where r.order_id = tests.id('order') and r.status = 'pending';
select is(
    (tests.refund_row('order-again')).requested_by, tests.id('chioma'), 'under her own name'
);
select count(tests.send_refund('order-again'));
select is(
    tests.refund_result('order-again', 'refunded') ->> 'outcome', 'applied', 'and it went back'
);
select results_eq(
    $$ select o.status::text, o.payment_status::text, o.paid_at = now()
       from public.orders as o where o.id = tests.id('order') $$,
    $$ values ('cancelled', 'refunded', true) $$,
    'the order was paid, is cancelled, and its money is back'
);
select is(
    tests.account('sales') || tests.account('refunds') || tests.account('shipping_income')
    || tests.account('vat_payable') || tests.account('gateway_receivable'),
    '{XAF -8386.00,XAF 11321.00,XAF -2935.00}',
    'in the books sale and refund are even, and no tax is owed'
);
select is(
    array(
        select e.kind || ' ' || e.actor_type from private.payment_events as e
        where e.order_id = tests.id('order') order by e.created_at
    ),
    '{begun user,paid gateway,refund_requested user,refund_failed gateway,'
    'exception_resolved admin,refund_requested admin,refunded gateway}',
    'the trail says who did what'
);
select tests.books_hold('and the books agree');

-- What came is what goes --------------------------------------------------------------------------

select is(tests.paid_order('less', 13000), 'pending', 'given an order for which less came');
select is(
    tests.resolve('chioma', 'amount_mismatch', 'less-payment', 'accept', 'Fine') ->> 'status',
    'resolved', 'and an admin took it'
);
select is(tests.cancel('less'), 'cancelled', 'when it is cancelled');
select is(
    tests.money('less'),
    '{less-payment paid winner 13000.00 XAF - 0.00,'
    'less-refund gateway kora pending 13000.00 XAF tax 2179.00}',
    'no more goes back than came'
);
select is(tests.paid_order('more', 14000), 'pending', 'given an order for which more came');
select is(
    tests.resolve('chioma', 'amount_mismatch', 'more-payment', 'accept', 'Fine') ->> 'status',
    'resolved', 'and an admin took it'
);
select tests.name_it('more-excess', r.id) from public.refunds as r
where r.order_id = tests.id('more');
select is(tests.cancel('more'), 'cancelled', 'when it is cancelled');
select is(
    tests.money('more'),
    '{more-payment paid winner 14000.00 XAF - 0.00,'
    'more-excess gateway kora pending 500.00 XAF tax 0.00,'
    'more-refund gateway kora pending 13500.00 XAF tax 2179.00}',
    'what was too much was on its way already'
);
select count(tests.send_refund(r)), count(tests.refund_result(r, 'refunded'))
from unnest(array['less-refund', 'more-excess', 'more-refund']) as r;
select is(
    tests.postings('refund', tests.id('more-excess'))
    || tests.postings('refund', tests.id('more-refund'))
    || tests.postings('refund', tests.id('less-refund')),
    '{unallocated_receipts XAF 500.00,gateway_receivable kora XAF -500.00,'
    'refunds XAF 11321.00,vat_payable XAF 2179.00,gateway_receivable kora XAF -13500.00,'
    'refunds XAF 10821.00,vat_payable XAF 2179.00,gateway_receivable kora XAF -13000.00}',
    'the excess was never a sale'
);
select is(
    tests.account('gateway_receivable') || tests.account('vat_payable')
    || tests.account('unallocated_receipts'),
    '{}', 'nobody holds or owes anything any more'
);
select tests.books_hold('and the books agree');

-- a refund of pieces first, and money that came twice
select is(tests.paid_order('pieces'), 'paid', 'given an order of two shoes');
select is(
    tests.refunded('pieces-first', 'pieces-payment', null, tests.pieces('pieces', '1:1'))
        ->> 'amount', '6750.00', 'one of which is refunded'
);
select is(
    tests.apply('pieces-payment', 'paid', gateway_transaction_id => 'T-again') ->> 'outcome',
    'applied', 'and whose payer paid again'
);
select tests.name_it('pieces-twice', p.id) from public.payments as p
where p.gateway_transaction_id = 'T-again';
select tests.name_it('pieces-twice-refund', r.id) from public.refunds as r
where r.payment_id = tests.id('pieces-twice');
select is(tests.cancel('pieces'), 'cancelled', 'when it is cancelled');
select is(
    tests.money('pieces'),
    '{pieces-payment partially_refunded winner 13500.00 XAF - 6750.00,'
    'pieces-twice paid 13500.00 XAF - 0.00,'
    'pieces-first gateway kora refunded 6750.00 XAF tax 1090.00,'
    'pieces-refund gateway kora pending 6750.00 XAF tax 1089.00,'
    'pieces-twice-refund gateway kora pending 13500.00 XAF tax 0.00}',
    'each money goes back once'
);
select is(tests.shelf(), '0/100', 'and each pair of shoes is on its shelf');

-- Who, and when -----------------------------------------------------------------------------------

select is(tests.paid_order('hers'), 'paid', 'given a paid order of amina''s');
select tests.remember();
select tests.act_as_anon();
select tests.denies(
    format('select public.cancel_order(%L)', tests.id('hers')), 'a guest may not cancel it'
);
select tests.act_as('bongani');
select tests.refuses(
    format('select public.cancel_order(%L)', tests.id('hers')), 'PT404 order_not_found',
    'for another shopper it is not there'
);
select tests.act_as('chioma');
select tests.refuses(
    format('select public.cancel_order(%L)', tests.id('hers')), 'PT404 order_not_found',
    'nor for an admin, who refunds instead'
);
select tests.act_as_service_role();
select tests.denies(
    format('select public.cancel_order(%L)', tests.id('hers')), 'nor may service_role'
);
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes');
update public.orders set status = 'shipped', shipped_at = now() where id = tests.id('hers');
select tests.act_as('amina');
select tests.refuses(
    format('select public.cancel_order(%L)', tests.id('hers')), 'PT409 order_not_cancellable',
    'what was shipped is not cancelled', 'shipped'
);
select tests.act_as_owner();
select is(
    tests.money('hers'), '{hers-payment paid winner 13500.00 XAF - 0.00}', 'nor is its money sent'
);

-- A money that cannot go by itself
select is(
    tests.paid_order('orange', null, 'orange_money', null, 'orange'), 'paid',
    'given an order paid on Orange''s page'
);
select is(tests.cancel('orange'), 'cancelled', 'when it is cancelled');
select is(
    tests.desk('orange'), '{manual_refund orange-refund open}', 'a person has to send its money'
);
select is(
    tests.resolve(
        'chioma', 'manual_refund', 'orange-refund', 'dismiss', 'She took shoes instead'
    ) ->> 'status',
    'resolved', 'and may see that nothing is to be sent'
);
select is(
    tests.money('orange'),
    '{orange-payment paid winner 13500.00 XAF - 0.00,'
    'orange-refund manual orange cancelled 13500.00 XAF tax 2179.00}',
    'then the money stays'
);
select is(
    tests.refund('orange-later', 'orange-payment') ->> 'amount', '13500.00',
    'until an admin refunds it after all'
);
select tests.books_hold('and the books agree');

select * from finish();
rollback;
