-- Pieces of an order are given back at what they cost in the end: less their share of the discount,
-- with their share of delivery and its tax. Whatever the cut, the pieces sum to the order.
begin;
\ir ../_helpers.psql
\ir _payments.psql
\ir _refunds.psql
select plan(77);

-- given a code of an eighth and one of everything, and three lines that divide badly
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('thandi');
select tests.make_admin('chioma');
select tests.make_product('shoe', 1000, 100.00, 5000, name_fr => 'Chaussure');
select tests.make_product('pen', 1000, 14.29, 715, name_fr => 'Stylo');
select tests.make_product('pin', 1000, 0.07, 1);
select tests.make_promo_code('EIGHTH', 'chioma', 12.5);
select tests.make_promo_code('ALL', 'chioma', null, 99999, 'XAF');

create function tests.paid_order(name text, country text, promo_code text default 'EIGHTH')
returns text
language plpgsql as $$
begin
    perform tests.place_order(
        paid_order.name, case paid_order.country when 'CM' then 'amina' else 'thandi' end,
        jsonb_build_array(tests.item('shoe', 3), tests.item('pen', 7), tests.item('pin', 1)),
        paid_order.country, paid_order.promo_code
    );
    return tests.pay(paid_order.name) ->> 'amount';
end
$$;
-- the pieces of a refund: line x quantity amount (tax), and the whole
create function tests.priced(answer jsonb) returns text
language sql stable security definer as $$
    select format(
        '%s = %s (%s) %s',
        string_agg(
            format('%sx%s %s (%s)', i.line_number, p.quantity, p.amount, p.tax_amount), ' + '
            order by i.line_number
        ),
        max(priced.answer ->> 'amount'), max(priced.answer ->> 'tax_amount'),
        max(priced.answer ->> 'currency')
    )
    from jsonb_to_recordset(priced.answer -> 'items')
        as p (order_item_id uuid, quantity integer, amount numeric, tax_amount numeric)
    inner join public.order_items as i on p.order_item_id = i.id
$$;

-- What a piece costs ------------------------------------------------------------------------------

select is(tests.paid_order('rand', 'ZA'), '449.09', 'given 449.09 ZAR, paid');
select results_eq(
    $$ select o.subtotal_price, o.discount_amount, o.shipping_amount, o.tax_amount,
           o.shipping_tax_amount
       from public.orders as o where o.id = tests.id('rand') $$,
    $$ values (400.10, 50.01, 99.00, 58.58, 12.91) $$,
    'of goods, discount, delivery, tax, and tax on delivery'
);
select results_eq(
    $$ select r.line_number::integer, r.quantity, r.refunded, r.total, r.tax
       from private.refundable_items(tests.id('rand')) as r $$,
    $$ values (1, 3, 0, 336.73, 43.92), (2, 7, 0, 112.28, 14.65), (3, 1, 0, 0.08, 0.01) $$,
    'each line carries its share of all of them'
);
select is(
    tests.priced(tests.refund(
        'rand-' || p.place, 'payment-of-rand', items => tests.pieces('rand', p.pieces)
    )),
    p.wanted,
    p.title
)
from (
    values
    (1, '1:1', '1x1 112.25 (14.64) = 112.25 (14.64) ZAR', 'the first shoe carries the odd cent'),
    (2, '1:1', '1x1 112.24 (14.64) = 112.24 (14.64) ZAR', 'the second does not'),
    (3, '2:3', '2x3 48.12 (6.29) = 48.12 (6.29) ZAR', 'of the pens'' tax two carry a cent'),
    (4, '3:1, 2:2', '2x2 32.08 (4.18) + 3x1 0.08 (0.01) = 32.16 (4.19) ZAR',
        'pieces of two lines are one refund'),
    (5, '2:2, 1:1', '1x1 112.24 (14.64) + 2x2 32.08 (4.18) = 144.32 (18.82) ZAR',
        'the last pieces are the rest')
) as p (place, pieces, wanted, title)
order by p.place;
select results_eq(
    $$ select sum(r.amount), sum(r.tax_amount) from public.refunds as r
       where r.order_id = tests.id('rand') $$,
    $$ values (449.09, 58.58) $$,
    'together they are the order, and its tax'
);
select results_eq(
    $$ select n.name, i.line_number::integer, x.quantity, x.amount, x.tax_amount, x.currency
       from public.refund_items as x
       inner join tests.names as n on x.refund_id = n.id
       inner join public.order_items as i on x.order_item_id = i.id
       where n.name in ('rand-4', 'rand-5')
       order by 1, 2 $$,
    $$ values ('rand-4', 2, 2, 32.08, 4.18, 'ZAR'), ('rand-4', 3, 1, 0.08, 0.01, 'ZAR'),
       ('rand-5', 1, 1, 112.24, 14.64, 'ZAR'), ('rand-5', 2, 2, 32.08, 4.18, 'ZAR') $$,
    'each piece is kept with what it took'
);
select results_eq(
    $$ select r.line_number::integer, r.quantity, r.refunded
       from private.refundable_items(tests.id('rand')) as r $$,
    $$ values (1, 3, 3), (2, 7, 7), (3, 1, 1) $$,
    'no piece is left'
);
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql(
        'payment-of-rand', items => tests.pieces('rand', '3:1'))),
    'PT409 payment_not_refundable', 'nor any money'
);
select tests.act_as_owner();
select is(
    (
        select count(tests.refund_result(n.name, 'refunded')) from tests.names as n
        where n.name like 'rand-%'
    ),
    5::bigint,
    'when all of them have gone back'
);
select results_eq(
    $$ select o.payment_status::text, p.status::text, p.refunded_amount
       from public.orders as o inner join public.payments as p on o.id = p.order_id
       where o.id = tests.id('rand') $$,
    $$ values ('refunded', 'refunded', 449.09) $$,
    'the payment is refunded to the last cent'
);
select is(
    tests.account('sales') || tests.account('discounts') || tests.account('shipping_income')
    || tests.account('vat_payable') || tests.account('refunds'),
    '{ZAR -354.43,ZAR 50.01,ZAR -86.09,ZAR 390.51}',
    'the books have no tax left, and as much of refunds as of sales, delivery less discount'
);

-- In francs, where nothing is smaller than one ----------------------------------------------------

select is(tests.paid_order('franc', 'CM'), '21005.00', 'given 21005 XAF, paid');
select is(
    tests.priced(tests.refund(
        'franc-' || p.place, 'payment-of-franc', items => tests.pieces('franc', p.pieces)
    )),
    p.wanted,
    p.title
)
from (
    values
    (1, '1:2', '1x2 10500.00 (1696.00) = 10500.00 (1696.00) XAF',
        'two shoes, each with its odd franc'),
    (2, '2:5', '2x5 3755.00 (606.00) = 3755.00 (606.00) XAF', 'the five pens that carry one'),
    (3, '2:1', '2x1 750.00 (121.00) = 750.00 (121.00) XAF', 'the sixth does not'),
    (4, '1:1, 2:1, 3:1',
        '1x1 5249.00 (847.00) + 2x1 750.00 (121.00) + 3x1 1.00 (0.00) = 6000.00 (968.00) XAF',
        'and all the rest')
) as p (place, pieces, wanted, title)
order by p.place;
select results_eq(
    $$ select sum(r.amount), sum(r.tax_amount) from public.refunds as r
       where r.order_id = tests.id('franc') $$,
    $$ values (21005.00, 3391.00) $$,
    'together they are the order, and its tax'
);

-- All goods for nothing ---------------------------------------------------------------------------

select is(
    tests.paid_order('gift', 'CM', 'ALL'), '3500.00', 'given goods for nothing: delivery was paid'
);
select results_eq(
    $$ select r.line_number::integer, r.quantity, r.total, r.tax
       from private.refundable_items(tests.id('gift')) as r $$,
    $$ values (1, 3, 2624::numeric, 424::numeric), (2, 7, 876, 141), (3, 1, 0, 0) $$,
    'each line carries its share of delivery, the pin none'
);
select tests.remember();
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql(
        'payment-of-gift', items => tests.pieces('gift', '3:1'))),
    'PT400 refund_amount_invalid', 'a piece that cost nothing is no refund'
);
select tests.act_as_owner();
select tests.nothing_changed('and leaves nothing behind');
select is(
    tests.priced(tests.refund(
        'gift-1', 'payment-of-gift', items => tests.pieces('gift', '2:1, 3:1')
    )),
    '2x1 126.00 (21.00) + 3x1 0.00 (0.00) = 126.00 (21.00) XAF',
    'together with one that did cost it goes back'
);
select is(
    tests.priced(tests.refund(
        'gift-2', 'payment-of-gift', items => tests.pieces('gift', '1:3, 2:6')
    )),
    '1x3 2624.00 (424.00) + 2x6 750.00 (120.00) = 3374.00 (544.00) XAF',
    'and then the rest'
);

-- Whatever the cut --------------------------------------------------------------------------------

create function tests.cut(name text, country text, promo_code text, cuts text []) returns text
language plpgsql as $$
declare
    v_order_id uuid;
    v_cut text;
    v_answer text;
begin
    perform tests.paid_order(cut.name, cut.country, cut.promo_code);
    foreach v_cut in array cut.cuts loop
        perform tests.refunded(
            format('%s/%s', cut.name, v_cut || gen_random_uuid()), 'payment-of-' || cut.name,
            null, tests.pieces(cut.name, v_cut)
        );
    end loop;
    select n.id into v_order_id from tests.names as n where n.name = cut.name;
    select format(
        '%s: %s of %s, tax %s of %s', o.payment_status, sum(r.amount), o.total_price,
        sum(r.tax_amount), o.tax_amount
    )
    into v_answer
    from public.orders as o
    inner join public.refunds as r on o.id = r.order_id
    where o.id = v_order_id
    group by o.id;
    return v_answer;
end
$$;
select is(tests.cut('cut-' || c.place, c.country, c.promo_code, c.cuts), c.wanted, c.title)
from (
    values
    (1, 'piece by piece, ZAR', 'ZA', 'EIGHTH',
        array['1:1', '1:1', '1:1', '2:1', '2:1', '2:1', '2:1', '2:1', '2:1', '2:1', '3:1'],
        'refunded: 449.09 of 449.09, tax 58.58 of 58.58'),
    (2, 'the other way round, ZAR', 'ZA', 'EIGHTH',
        array['3:1', '2:6', '1:2', '2:1', '1:1'],
        'refunded: 449.09 of 449.09, tax 58.58 of 58.58'),
    (3, 'all at once, ZAR', 'ZA', 'EIGHTH', array['1:3, 2:7, 3:1'],
        'refunded: 449.09 of 449.09, tax 58.58 of 58.58'),
    (4, 'without a code, ZAR', 'ZA', null, array['1:1, 2:2', '1:1, 2:2', '1:1, 2:2', '2:1, 3:1'],
        'refunded: 499.10 of 499.10, tax 65.10 of 65.10'),
    (5, 'piece by piece, XAF', 'CM', 'EIGHTH',
        array['1:1', '1:1', '1:1', '2:1', '2:1', '2:1', '2:1', '2:1', '2:1', '2:1', '3:1'],
        'refunded: 21005.00 of 21005.00, tax 3391.00 of 3391.00'),
    (6, 'in two, XAF', 'CM', 'EIGHTH', array['3:1, 1:1, 2:3', '2:4, 1:2'],
        'refunded: 21005.00 of 21005.00, tax 3391.00 of 3391.00'),
    (7, 'goods for nothing, XAF', 'CM', 'ALL', array['2:5, 1:1', '1:2', '3:1, 2:2'],
        'refunded: 3500.00 of 3500.00, tax 565.00 of 565.00')
) as c (place, title, country, promo_code, cuts, wanted)
order by c.place;
select tests.books_hold('and the books agree with every cut');

-- Pieces and amounts together ---------------------------------------------------------------------

select is(tests.paid_order('mixed', 'ZA'), '449.09', 'given 449.09 ZAR, paid');
select is(
    tests.refunded('mixed-1', 'payment-of-mixed', 50) #>> '{tax_amount}', '6.52',
    'when 50 ZAR have gone back for a scratch'
);
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql(
        'payment-of-mixed', items => tests.pieces('mixed', '1:3, 2:7, 3:1'))),
    'PT409 refund_amount_too_large', 'all pieces are more than what is left',
    '{"left": 399.09, "currency": "ZAR"}'
);
select tests.act_as_owner();
select is(
    tests.priced(tests.refund(
        'mixed-2', 'payment-of-mixed', items => tests.pieces('mixed', '1:3')
    )),
    '1x3 336.73 (43.92) = 336.73 (43.92) ZAR',
    'some of them are not'
);
select is(
    tests.refund('mixed-3', 'payment-of-mixed') ->> 'tax_amount', '8.14',
    'and the rest takes the rest of the tax'
);
select results_eq(
    $$ select sum(r.amount), sum(r.tax_amount) from public.refunds as r
       where r.order_id = tests.id('mixed') $$,
    $$ values (449.09, 58.58) $$,
    'together they are the order, and its tax'
);

-- an amount beside the pieces must be theirs
select is(tests.paid_order('said', 'ZA'), '449.09', 'given another');
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql(
        'payment-of-said', 112.24, tests.pieces('said', '1:1'))),
    'PT400 refund_amount_invalid', 'another amount than the pieces'' is refused'
);
select tests.act_as_owner();
select is(
    tests.refund('said-1', 'payment-of-said', 112.25, tests.pieces('said', '1:1')) ->> 'amount',
    '112.25', 'theirs is taken'
);

-- What fails is there again -----------------------------------------------------------------------

select is(tests.paid_order('failing', 'ZA'), '449.09', 'given another');
select count(tests.refund(
    'failing-1', 'payment-of-failing', items => tests.pieces('failing', '1:2')
));
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql(
        'payment-of-failing', items => tests.pieces('failing', '1:2'))),
    'PT400 refund_items_invalid', 'pieces that are asked for are not there', 'items[0].quantity'
);
select tests.act_as_owner();
select count(tests.send_refund('failing-1'));
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql(
        'payment-of-failing', items => tests.pieces('failing', '1:2'))),
    'PT400 refund_items_invalid', 'nor pieces under way', 'items[0].quantity'
);
select tests.act_as_owner();
select count(tests.refund_result('failing-1', 'failed'));
select is(
    tests.priced(tests.refund(
        'failing-2', 'payment-of-failing', items => tests.pieces('failing', '1:3')
    )),
    '1x3 336.73 (43.92) = 336.73 (43.92) ZAR',
    'those of a refund that failed are'
);
-- a piece of the middle that failed leaves its odd cent to the rest of the money
select is(tests.paid_order('gap', 'ZA'), '449.09', 'given another');
select count(tests.refund('gap-1', 'payment-of-gap', items => tests.pieces('gap', '1:1')));
select count(tests.refund('gap-2', 'payment-of-gap', items => tests.pieces('gap', '1:1')));
select count(tests.send_refund('gap-1'));
select count(tests.refund_result('gap-1', 'failed'));
select is(
    tests.priced(tests.refund('gap-3', 'payment-of-gap', items => tests.pieces('gap', '1:2'))),
    '1x2 224.48 (29.28) = 224.48 (29.28) ZAR', 'given the first shoe''s odd cent left behind'
);
select is(
    tests.refund('gap-4', 'payment-of-gap') ->> 'amount', '112.37', 'all that is left has it'
);

-- What is refused ---------------------------------------------------------------------------------
-- given an order with a piece refunded, a neighbour's, and money that bought nothing

select is(tests.paid_order('strict', 'ZA'), '449.09', 'given another');
select count(tests.refund('strict-1', 'payment-of-strict', items => tests.pieces('strict', '2:3')));
select tests.place_order('twice', 'thandi', jsonb_build_array(tests.item('shoe', 1)), 'ZA');
select count(tests.begin_payment('first', 'twice'));
select count(tests.begin_payment('second', 'twice', 'card', null, '{paygate}'));
select count(tests.apply('first', 'paid'));
select count(tests.apply('second', 'paid'));
create function tests.item_of(order_item_id text, quantity text) returns jsonb
language sql immutable as $$
    select jsonb_strip_nulls(jsonb_build_array(jsonb_build_object(
        'order_item_id', item_of.order_item_id, 'quantity', item_of.quantity::jsonb
    )))
$$;
create table tests.refused (place serial, payment text, items jsonb, detail text, title text);
insert into tests.refused (payment, items, detail, title) values
('strict', '[]', '', 'no piece'),
('strict', '{}', '', 'no list'),
('strict', '"all"', '', 'a word'),
('strict', 'null', '', 'a JSON null'),
('strict', '[1]', 'items[0].order_item_id', 'a number for a piece'),
('strict', '[null]', 'items[0].order_item_id', 'nothing for a piece'),
('strict', '[{}]', 'items[0].order_item_id', 'a piece without a line'),
('strict', tests.item_of('line', '1'), 'items[0].order_item_id', 'a line that is none'),
('strict', tests.pieces('failing', '1:1'), 'items[0].order_item_id', 'a line of another order'),
('strict', tests.pieces('strict', '1:1') || tests.pieces('failing', '1:1'),
    'items[1].order_item_id', 'or beside one of its own'),
('strict', tests.item_of(tests.line('strict', 1)::text, null), 'items[0].quantity',
    'no quantity'),
('strict', tests.item_of(tests.line('strict', 1)::text, '0'), 'items[0].quantity', 'none of it'),
('strict', tests.item_of(tests.line('strict', 1)::text, '-1'), 'items[0].quantity',
    'less than none'),
('strict', tests.item_of(tests.line('strict', 1)::text, '1.5'), 'items[0].quantity',
    'one and a half'),
('strict', tests.item_of(tests.line('strict', 1)::text, '"1"'), 'items[0].quantity',
    'a quantity in letters'),
('strict', tests.item_of(tests.line('strict', 1)::text, '4'), 'items[0].quantity',
    'more than were ordered'),
('strict', tests.item_of(tests.line('strict', 1)::text, '99999999999'), 'items[0].quantity',
    'far more'),
('strict', tests.pieces('strict', '2:5'), 'items[0].quantity', 'more than are left'),
('strict', tests.pieces('strict', '1:1, 1:1'), 'items[1].quantity', 'a line twice'),
('strict', (select jsonb_agg(tests.pieces('strict', '1:1') -> 0) from generate_series(1, 101)), '',
    'a hundred and one pieces');
select tests.remember();
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql(
        'payment-of-' || r.payment, items => r.items)),
    'PT400 refund_items_invalid', 'refused: ' || r.title, r.detail
)
from tests.refused as r
order by r.place;
select tests.act_as_owner();
select tests.refuses(
    format('select tests.as_service(%L)', tests.refund_sql(
        'second', items => tests.pieces('twice', '1:1'))),
    'PT400 refund_items_invalid', 'money that bought nothing has no pieces', ''
);
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes');

-- What the payer reads ----------------------------------------------------------------------------

select is(tests.paid_order('told', 'CM'), '21005.00', 'given an order of amina''s, in French');
select count(tests.refunded('told-1', 'payment-of-told', null, tests.pieces('told', '2:2, 1:1')));
select is(
    (
        select tests.as_service(format('service.begin_email(%L)', e.id)) #> '{data,refund_items}'
        from private.emails as e where e.refund_id = tests.id('told-1')
    ),
    '[{"name": "Chaussure", "amount": 5250.00, "quantity": 1},
      {"name": "Stylo", "amount": 1502.00, "quantity": 2}]',
    'her mail names the pieces as she ordered them'
);
select tests.books_hold('and the books agree');

select * from finish();
rollback;
