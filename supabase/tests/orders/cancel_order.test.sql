-- Cancelling gives back exactly what placing took: cancel(place(x)) leaves stock and codes as they
-- were, whatever x is. What was paid goes back too, all that is left of it, once.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
select plan(80);

-- given buyers, goods in both channels, codes of every kind
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_affiliate('pat');
select tests.make_product('shoe', 20);
select tests.make_product('shirt', 7);
select tests.make_wholesale_product('box', 1000, 50, 2500, 10, 5);
select tests.make_promo_code('PAT10', 'pat', usage_limit => 5);
select tests.make_promo_code('ENDLESS', 'chioma', usage_limit => null, per_user_limit => 1);
select tests.place_order(
    'before', 'bongani', jsonb_build_array(tests.item('shoe', 3)), 'ZA', 'PAT10'
);

create function tests.holds() returns text
language sql stable security definer as $$
    select
        (
            select string_agg(
                format('%s %s/%s', n.name, s.reserved, s.on_hand), ', ' order by n.name
            )
            from public.product_stock as s
            inner join tests.names as n on s.listing_id = n.id
        ) || '; ' || (
            select string_agg(
                format('%s %s+%s', p.code, p.usage_count, p.reserved_count), ', ' order by p.code
            )
            from public.promo_codes as p
            inner join tests.names as n on p.id = n.id
        )
$$;

create function tests.cancel(order_name text, reason text default null) returns text
language sql as $$
    select format('select public.cancel_order(%L, %L)', tests.id(cancel.order_name), cancel.reason)
$$;

-- Placed and cancelled, nothing is held -----------------------------------------------------------

create table tests.baskets (place integer, items jsonb, country text, promo_code text, held text);
insert into tests.baskets values
(1, jsonb_build_array(tests.item('shoe', 1)), 'CM', null,
    'box 0/1000, shirt 0/7, shoe 4/20; ENDLESS 0+0, PAT10 0+1'),
(2, jsonb_build_array(tests.item('shoe', 17)), 'ZA', 'PAT10',
    'box 0/1000, shirt 0/7, shoe 20/20; ENDLESS 0+0, PAT10 0+2'),
(3, jsonb_build_array(tests.item('box', 995)), 'CM', 'ENDLESS',
    'box 995/1000, shirt 0/7, shoe 3/20; ENDLESS 0+1, PAT10 0+1'),
(4, jsonb_build_array(tests.item('box', 10), tests.item('shirt', 7), tests.item('shoe', 2)), 'ZA',
    'pat10', 'box 10/1000, shirt 7/7, shoe 5/20; ENDLESS 0+0, PAT10 0+2'),
(5, jsonb_build_array(tests.item('shirt', 3), tests.item('shoe', 1), tests.item('shirt', 4)), 'CM',
    'ENDLESS', 'box 0/1000, shirt 7/7, shoe 4/20; ENDLESS 0+1, PAT10 0+1'),
-- as basket 3: the use that a cancelled order had of a one-time code is free again
(6, jsonb_build_array(tests.item('shirt', 1)), 'CM', 'ENDLESS',
    'box 0/1000, shirt 1/7, shoe 3/20; ENDLESS 0+1, PAT10 0+1');

create function tests.place_and_cancel(basket tests.baskets) returns setof text
language plpgsql as $$
declare
    v_name text := 'basket-' || basket.place;
begin
    perform tests.place_order(v_name, 'amina', basket.items, basket.country, basket.promo_code);
    return next is(
        tests.holds(), basket.held, v_name || ': placed, it holds its goods and its code'
    );
    perform tests.act_as('amina');
    return next is(
        (public.cancel_order(tests.id(v_name))).status::text, 'cancelled', v_name || ': cancelled'
    );
    perform tests.act_as_owner();
    return next is(
        tests.holds(), 'box 0/1000, shirt 0/7, shoe 3/20; ENDLESS 0+0, PAT10 0+1',
        v_name || ': what it held is given back and nothing else'
    );
end
$$;
select r.line
from tests.baskets as b
cross join lateral tests.place_and_cancel(b) as r (line)
order by b.place;

-- What a cancelled order says ---------------------------------------------------------------------

select tests.place_order('changed-my-mind', 'amina', jsonb_build_array(tests.item('shoe', 2)));
delete from private.outbox;
select tests.act_as('amina');
select results_eq(
    $$ select o.id, o.status::text, o.payment_status::text, o.cancel_reason, o.cancelled_at = now(),
           o.total_price
       from public.cancel_order(tests.id('changed-my-mind'), '  Trop cher, à vrai dire ') as o $$,
    $$ values (tests.id('changed-my-mind'), 'cancelled', 'pending', 'Trop cher, à vrai dire', true,
           13500.00) $$,
    'the order comes back cancelled, with its reason and its time'
);
select results_eq(
    $$ select e.kind, e.from_status::text, e.to_status::text, e.actor_type, e.actor_id, e.note
       from public.order_events as e
       where e.order_id = tests.id('changed-my-mind') and e.kind <> 'placed' $$,
    $$ values ('cancelled', 'pending', 'cancelled', 'user', tests.id('amina'),
           'Trop cher, à vrai dire') $$,
    'one event says who cancelled it and why'
);
select results_eq(
    $$ select n.kind, n.data from public.notifications as n
       where n.data ->> 'order_id' = tests.id('changed-my-mind')::text $$,
    $$ select 'order_cancelled', jsonb_build_object(
           'order_id', o.id, 'order_number', o.order_number)
       from public.orders as o where o.id = tests.id('changed-my-mind') $$,
    'one message in the shop'
);
select tests.act_as_owner();
select is_empty($$ select o.id from private.outbox as o $$, 'and no mail');

select tests.place_order(
    'no-reason-' || r.place, 'amina', jsonb_build_array(tests.item('shoe', 1))
)
from generate_series(1, 3) as r (place);
select tests.act_as('amina');
select is(
    (public.cancel_order(tests.id('no-reason-' || r.place), r.reason)).cancel_reason,
    'cancelled_by_customer', format('reason %L is none', r.reason)
)
from (values (1, null), (2, ''), (3, '   ')) as r (place, reason);

-- Twice is once -----------------------------------------------------------------------------------

select tests.act_as_owner();
select tests.remember();
select tests.act_as('amina');
select is(
    (public.cancel_order(tests.id('changed-my-mind'), 'Encore'))::text,
    (select o::text from public.orders as o where o.id = tests.id('changed-my-mind')),
    'cancelled again, the order comes back as it is, with the first reason'
);
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes');

-- Refusals ----------------------------------------------------------------------------------------
-- given orders further on, and one whose hold ran out but was not released yet

select tests.place_order(s.status, 'amina', jsonb_build_array(tests.item('shoe', 1)))
from (values ('shipped'), ('delivered'), ('pending'), ('overdue')) as s (status);
update public.orders set status = 'paid', paid_at = now()
where id in (tests.id('shipped'), tests.id('delivered'));
update public.orders set status = 'shipped', shipped_at = now()
where id in (tests.id('shipped'), tests.id('delivered'));
update public.orders set status = 'delivered', delivered_at = now()
where id = tests.id('delivered');
update public.orders set expires_at = now() - interval '1 minute' where id = tests.id('overdue');
select tests.remember();

select tests.act_as('amina');
select tests.refuses(
    tests.cancel(s.status), 'PT409 order_not_cancellable',
    format('a %s order is not cancelled', s.status), s.status
)
from (values ('shipped'), ('delivered')) as s (status);
select tests.refuses(
    tests.cancel('pending', r.reason), 'PT400 reason_invalid',
    'a reason is refused with ' || r.title,
    left(r.reason, 200)
)
from (
    values (E'a\nb', 'a line break'), (E'a\u001bb', 'an escape'),
    (repeat('é', 301), '301 characters')
) as r (reason, title);
select tests.refuses(
    tests.cancel('pending', 'my card 4111 1111 1111 1111'), 'PT400 card_number_refused',
    'a reason is refused with a card number, which the refusal does not repeat', ''
);
select tests.refuses('select public.cancel_order(null)', 'PT404 order_not_found',
    'no order is not found', '');
select tests.refuses(
    format('select public.cancel_order(%L)', tests.id('shoe')), 'PT404 order_not_found',
    'an unknown order is not found', tests.id('shoe')::text
);
select tests.act_as('bongani');
select tests.refuses(tests.cancel('pending'), 'PT404 order_not_found',
    'another user''s order is not found', tests.id('pending')::text);
select tests.act_as('chioma');
select tests.refuses(tests.cancel('pending'), 'PT404 order_not_found',
    'nor for an admin, who is not its owner', tests.id('pending')::text);
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(tests.cancel('pending'), 'PT401 authentication_required',
    'nobody cancels nothing');
select tests.act_as_anon();
select tests.denies(tests.cancel('pending'), 'anon may not call it');
select tests.act_as_service_role();
select tests.denies(tests.cancel('pending'), 'service_role may not call it');
select tests.act_as_service();
select tests.denies(tests.cancel('pending'), 'mallgram_service may not call it');
select tests.act_as_owner();
select tests.nothing_changed('none of these changed a row');

select tests.act_as('amina');
select is(
    (public.cancel_order(tests.id('overdue'), repeat('é', 300))).status::text, 'cancelled',
    'an overdue order that holds still can be cancelled, with a reason of 300 characters'
);

-- An attempt to pay under way ---------------------------------------------------------------------

select tests.act_as_owner();
select is(
    service.begin_payment(
        tests.id('amina'), tests.id('pending'), 'kora_checkout', null, array['kora']
    ) ->> 'status',
    'pending',
    'given an attempt to pay'
);
select tests.act_as('amina');
select is(
    (public.cancel_order(tests.id('pending'))).status::text, 'cancelled',
    'an order can be cancelled while somebody is about to pay it'
);
select tests.act_as_owner();
select results_eq(
    $$ select p.status::text, p.next_check_at > now() from public.payments as p
       where p.order_id = tests.id('pending') $$,
    $$ values ('pending', true) $$,
    'the attempt stays, and is asked about'
);

-- A paid order ------------------------------------------------------------------------------------
-- given an order of two lines with a code, paid through Kora with a fee

create function tests.refunds(order_name text) returns text
language sql stable security definer as $$
    select string_agg(
        concat_ws(
            ' ', r.gateway, r.way, r.amount, r.tax_amount, r.currency, r.status, n.name, r.reason
        ),
        '; ' order by r.created_at, r.amount
    )
    from public.refunds as r
    left join tests.names as n on r.requested_by = n.id
    where r.order_id = tests.id(refunds.order_name)
$$;
-- status of the order, its word on its payment, and that of the attempt that won.
create function tests.money_of(order_name text) returns text
language sql stable security definer as $$
    select concat_ws(' ', o.status, o.payment_status, '/', p.status, p.refunded_amount)
    from public.orders as o
    inner join public.payments as p on o.id = p.order_id and p.is_winner
    where o.id = tests.id(money_of.order_name)
$$;

select is(
    tests.holds(), 'box 0/1000, shirt 0/7, shoe 5/20; ENDLESS 0+0, PAT10 0+1',
    'given what others hold'
);
select tests.place_order(
    'regretted', 'amina', jsonb_build_array(tests.item('shoe', 2), tests.item('box', 10)),
    promo_code => 'PAT10'
);
select tests.begin_payment('regretted-payment', 'regretted');
select is(
    tests.apply('regretted-payment', 'paid', fee => 300) ->> 'order_status', 'paid',
    'given an order that is paid'
);
select is(
    tests.holds(), 'box 0/990, shirt 0/7, shoe 5/18; ENDLESS 0+0, PAT10 1+1',
    'whose goods have left the shelf'
);
delete from private.outbox;
create table tests.posted as select count(*) as transactions from private.ledger_transactions;
select tests.act_as('amina');
select results_eq(
    $$ select o.status::text, o.payment_status::text, o.cancel_reason, o.cancelled_at, o.paid_at
       from public.cancel_order(tests.id('regretted'), 'Trop tard') as o $$,
    $$ values ('cancelled', 'paid', 'Trop tard', now(), now()) $$,
    'its owner cancels it, and it says that it was paid'
);
select tests.act_as_owner();
select is(
    tests.holds(), 'box 0/1000, shirt 0/7, shoe 5/20; ENDLESS 0+0, PAT10 0+1',
    'its goods are for sale again, its use of the code is free again'
);
select is(
    tests.refunds('regretted'),
    (
        select 'kora gateway 35000.00 ' || o.tax_amount || ' XAF pending amina Trop tard'
        from public.orders as o where o.id = tests.id('regretted')
    ),
    'all of its money is to go back, tax included, for her reason'
);
select results_eq(
    $$ select o.job, o.args, o.dedupe_key, o.available_at from private.outbox as o $$,
    $$ select 'send_refund', jsonb_build_object('refund_id', r.id), 'send_refund/' || r.id, now()
       from public.refunds as r where r.order_id = tests.id('regretted') $$,
    'one row of work sends it, and no mail goes out yet'
);
select results_eq(
    $$ select e.kind, e.from_status::text, e.to_status::text, e.actor_type, e.actor_id, e.note
       from public.order_events as e
       where e.order_id = tests.id('regretted')
           and e.kind not in ('placed', 'payment_begun', 'paid') $$,
    $$ values ('cancelled', 'paid', 'cancelled', 'user', tests.id('amina'), 'Trop tard') $$,
    'one event says who cancelled it and why'
);
select results_eq(
    $$ select e.kind, e.actor_type, e.actor_id, e.detail
       from private.payment_events as e
       where e.order_id = tests.id('regretted') and e.kind not in ('begun', 'paid') $$,
    $$ values ('refund_requested', 'user', tests.id('amina'), jsonb_build_object(
           'amount', 35000.00, 'currency', 'XAF', 'way', 'gateway', 'reason', 'Trop tard')) $$,
    'and the trail who asked for the money'
);
select is(
    (select count(*) from private.ledger_transactions),
    (select p.transactions from tests.posted as p), 'the books wait until it went back'
);
select is_empty(
    $$ select e.kind from private.payment_exceptions as e
       where e.order_id = tests.id('regretted') $$,
    'and nobody has to look at it'
);

select tests.remember();
select tests.act_as('amina');
select is(
    (public.cancel_order(tests.id('regretted'), 'Encore')).cancel_reason, 'Trop tard',
    'cancelled again, it is as it was'
);
select tests.act_as_owner();
select tests.nothing_changed('and no money goes back twice');

select is(
    tests.as_service(format(
        'service.apply_refund_result(%L, ''refunded'', 35000, ''XAF'', ''KPR-1'', null, ''poll'', '
        'null)',
        (select r.id from public.refunds as r where r.order_id = tests.id('regretted'))
    )) ->> 'outcome',
    'applied', 'when the gateway has given it back'
);
select is(
    tests.money_of('regretted'), 'cancelled refunded / refunded 35000.00',
    'the order is cancelled and its money refunded'
);

-- What is left of it ------------------------------------------------------------------------------

create function tests.give_back(order_name text, amount numeric) returns void
language plpgsql as $$
declare
    v_refund_id uuid := (tests.as_service(format(
        'service.begin_refund(%L, %L, %L, null, ''scratched'', %L)', tests.id('chioma'),
        tests.id(give_back.order_name || '-payment'), give_back.amount,
        'key-' || give_back.order_name
    )) ->> 'refund_id')::uuid;
begin
    perform tests.as_service(format(
        'service.apply_refund_result(%L, ''refunded'', %L, ''ZAR'', null, null, ''poll'', null)',
        v_refund_id, give_back.amount
    ));
end
$$;
select tests.place_order(n.name, 'amina', jsonb_build_array(tests.item('shirt', 1)), 'ZA')
from (values ('partly'), ('wholly'), ('asked')) as n (name);
select tests.begin_payment(n.name || '-payment', n.name)
from (values ('partly'), ('wholly'), ('asked')) as n (name);
select tests.apply(n.name || '-payment', 'paid')
from (values ('partly'), ('wholly'), ('asked')) as n (name);
select tests.give_back('partly', 50);
select tests.give_back('wholly', 199);
select tests.as_service(format(
    'service.begin_refund(%L, %L, 50, null, ''scratched'', ''key-asked'')', tests.id('chioma'),
    tests.id('asked-payment')
));
select is(tests.money_of(m.order_name), m.money, format('given %s', m.title))
from (
    values
    ('partly', 'paid partially_refunded / partially_refunded 50.00', 'one refunded in part'),
    ('wholly', 'paid refunded / refunded 199.00', 'one refunded in whole'),
    ('asked', 'paid paid / paid 0.00', 'one of which a refund is under way')
) as m (order_name, money, title);
select tests.act_as('amina');
select is(
    (public.cancel_order(tests.id(n.name), 'Rest')).status::text, 'cancelled',
    format('%s is cancelled', n.name)
)
from (values ('partly'), ('wholly'), ('asked')) as n (name);
select tests.act_as_owner();
select is(tests.refunds(r.order_name), r.refunds, format('%s: %s', r.order_name, r.title))
from (
    values
    ('partly', 'kora gateway 50.00 6.52 ZAR refunded chioma scratched; '
        'kora gateway 149.00 19.44 ZAR pending amina Rest', 'the rest goes back'),
    ('wholly', 'kora gateway 199.00 25.96 ZAR refunded chioma scratched', 'nothing is left'),
    ('asked', 'kora gateway 50.00 6.52 ZAR pending chioma scratched; '
        'kora gateway 149.00 19.44 ZAR pending amina Rest', 'what is under way is not sent twice')
) as r (order_name, refunds, title);

-- By whatever way the money came ------------------------------------------------------------------

select tests.place_order(w.name, 'amina', jsonb_build_array(tests.item('shirt', 1)), w.country)
from (
    values ('by-mtn', 'CM'), ('by-orange', 'CM'), ('by-paygate', 'ZA'), ('by-payfast', 'ZA')
) as w (name, country);
select count(tests.begin_payment(
    w.name || '-payment', w.name, w.method, w.phone, array[w.gateway]
))
from (
    values
    ('by-mtn', 'mtn_momo', '+237650000000', 'mtn'),
    ('by-orange', 'orange_money', '+237690000000', 'orange'),
    ('by-paygate', 'card', null, 'paygate'), ('by-payfast', 'eft', null, 'payfast')
) as w (name, method, phone, gateway);
select count(tests.apply(w.name || '-payment', 'paid'))
from (values ('by-mtn'), ('by-orange'), ('by-paygate'), ('by-payfast')) as w (name);
delete from private.outbox;
select tests.act_as('amina');
select is(
    (public.cancel_order(tests.id(w.name))).status::text, 'cancelled',
    format('one paid %s is cancelled', w.name)
)
from (values ('by-mtn'), ('by-orange'), ('by-paygate'), ('by-payfast')) as w (name);
select tests.act_as_owner();
select is(tests.refunds(w.name), w.refunds, format('%s: %s', w.name, w.title))
from (
    values
    ('by-mtn', 'mtn gateway 8500.00 1372.00 XAF pending amina cancelled_by_customer',
        'the gateway gives it back'),
    ('by-orange', 'orange manual 8500.00 1372.00 XAF pending amina cancelled_by_customer',
        'a person does: Orange''s page does not say which account paid'),
    ('by-paygate', 'paygate manual 199.00 25.96 ZAR pending amina cancelled_by_customer',
        'a person does, in the gateway''s portal'),
    ('by-payfast', 'payfast gateway 199.00 25.96 ZAR pending amina cancelled_by_customer',
        'the gateway gives it back')
) as w (name, refunds, title);
select results_eq(
    $$ select n.name, e.kind, e.amount, e.currency, e.detail
       from private.payment_exceptions as e
       inner join tests.names as n on e.order_id = n.id
       order by n.name $$,
    $$ values
       ('by-orange', 'manual_refund', 8500.00, 'XAF', 'cancelled_by_customer'),
       ('by-paygate', 'manual_refund', 199.00, 'ZAR', 'cancelled_by_customer') $$,
    'what a person has to send stands before one'
);
select is(
    (select string_agg(o.job, ' ' order by o.job) from private.outbox as o),
    'send_email send_email send_refund send_refund',
    'chioma is told of the two, the two others are sent'
);

select * from finish();
rollback;
