-- What place_order makes: the order, its lines, the hold on stock, the event, the mail to be sent.
begin;
\ir ../_helpers.psql
select plan(43);

-- given a person in Douala and one in Soweto, goods by the piece and by the box
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani', 'en', 'ZA');
select tests.make_product('shoe', 10, 100.00, 5000, name_fr => 'Chaussure');
select tests.make_product('shirt', 10, 79.99, 2333);
select tests.make_wholesale_product(
    'box', 5000, 50.00, 2333, 10, 5, 1000, bulk_discount_percent => 12, bulk_min_quantity => 100,
    name_fr => 'Carton'
);
insert into public.price_tiers (retailer_product_id, quantities, discount_percent)
values
(tests.id('box'), '[20,100)', 7),
(tests.id('box'), '[200,400)', 15),
(tests.id('box'), '[400,600)', 5);
delete from private.outbox;

-- One product by the piece ------------------------------------------------------------------------
-- when amina orders two pairs

select tests.act_as('amina');
select results_eq(
    $$ select
           o.user_id, o.status::text, o.payment_status::text, o.country, o.currency, o.language,
           o.subtotal_price, o.discount_amount, o.shipping_amount, o.duty_amount, o.tax_amount,
           o.shipping_tax_amount, o.total_price, o.promo_code_id, o.promo_code,
           o.expires_at - o.created_at, o.created_at = now(), o.paid_at, o.cancelled_at
       from public.place_order(
           'amina-0001', 'CM', tests.address('CM'),
           items => jsonb_build_array(tests.item('shoe', 2))
       ) as o $$,
    -- tax: 13500 x 0.1925 / 1.1925 = 2179.25
    $$ values (
           tests.id('amina'), 'pending', 'pending', 'CM', 'XAF', 'fr',
           10000.00, 0.00, 3500.00, 0.00, 2179.00,
           565.00, 13500.00, null::uuid, null::text,
           interval '30 minutes', true, null::timestamptz, null::timestamptz
       ) $$,
    'an order is pending, priced in the country''s currency, held for 30 minutes'
);
select tests.act_as_owner();
select tests.name_it('pairs', o.id) from public.orders as o where o.user_id = tests.id('amina');

select results_eq(
    $$ select i.user_id, i.line_number::integer, i.product_id, i.retailer_product_id,
           i.channel::text, i.name, i.name_fr, i.quantity, i.unit_price, i.subtotal,
           i.discount_amount, i.tax_amount, i.currency
       from public.order_items as i where i.order_id = tests.id('pairs') $$,
    $$ values (tests.id('amina'), 1, tests.id('shoe'), null::uuid, 'retail', 'shoe', 'Chaussure',
           2, 5000.00, 10000.00, 0.00, 1614.00, 'XAF') $$,
    'the line copies names and price and carries its share of the tax'
);
select is(
    (select o.shipping_address from public.orders as o where o.id = tests.id('pairs')),
    '{"recipient_name": "Amina Test", "phone": "+237650000000", "country": "CM", '
    '"city": "Douala", "landmark": "Akwa, Total station"}'::jsonb,
    'the order keeps a copy of the address'
);
select results_eq(
    $$ select s.on_hand, s.reserved, s.available
       from public.product_stock as s where s.listing_id = tests.id('shoe') $$,
    $$ values (10, 2, 8) $$,
    'two pieces are reserved and still on hand'
);
select results_eq(
    $$ select e.user_id, e.kind, e.from_status::text, e.to_status::text, e.actor_type, e.actor_id,
           e.note, e.created_at = now()
       from public.order_events as e where e.order_id = tests.id('pairs') $$,
    $$ values (tests.id('amina'), 'placed', null, 'pending', 'user', tests.id('amina'),
           null, true) $$,
    'one event says who placed it'
);
select results_eq(
    $$ select o.job, o.args, o.attempts::integer, o.available_at = now()
       from private.outbox as o $$,
    $$ select 'send_email', jsonb_build_object('email_id', e.id), 0, true
       from private.emails as e
       where e.template = 'order_placed' and e.order_id = tests.id('pairs')
           and e.user_id = tests.id('amina') and e.sent_at is null $$,
    'one mail, order_placed, is asked for and nothing else leaves the database'
);
select is_empty(
    $$ select n.id from public.notifications as n where n.user_id = tests.id('amina') $$,
    'a placed order makes no message in the shop'
);
select results_eq(
    $$ select k.operation, k.idempotency_key, k.created_at = now(), k.response ->> 'id'
       from private.idempotency_keys as k where k.user_id = tests.id('amina') $$,
    $$ values ('place_order', 'amina-0001', true, tests.id('pairs')::text) $$,
    'the key remembers its answer'
);

-- Order numbers -----------------------------------------------------------------------------------

select matches(
    (select o.order_number from public.orders as o where o.id = tests.id('pairs')),
    '^MG-[1-9][0-9]{5,}$',
    'an order number is MG- and at least six digits'
);
select tests.place_order('second', 'amina', jsonb_build_array(tests.item('shirt', 1)));
select is(
    (select substr(o.order_number, 4)::bigint from public.orders as o
     where o.id = tests.id('second')),
    (select substr(o.order_number, 4)::bigint + 1 from public.orders as o
     where o.id = tests.id('pairs')),
    'the next order has the next number'
);

-- Goods by the box: tiers and the bulk discount ---------------------------------------------------

create function tests.box_price(quantity integer, country text default 'ZA') returns numeric
language sql as $$
    select tests.place_order(
        format('boxes-%s-%s', box_price.country, box_price.quantity), 'bongani',
        jsonb_build_array(tests.item('box', box_price.quantity)), box_price.country
    );
    select i.unit_price
    from public.order_items as i
    where i.order_id = tests.id(format('boxes-%s-%s', box_price.country, box_price.quantity))
$$;
select is(tests.box_price(15), 50.00, '15 boxes cost the listed price each');
select is(tests.box_price(20), 46.50, '20 boxes cost 7 percent less each, by the tier');
select is(tests.box_price(95), 46.50, '95 boxes are in the same tier');
select is(
    tests.box_price(100), 44.00, '100 boxes, in no tier, cost 12 percent less, by the bulk discount'
);
select is(
    tests.box_price(200), 42.50,
    '200 boxes cost 15 percent less: the tier gives more than the bulk discount'
);
select is(
    tests.box_price(400), 44.00,
    '400 boxes cost 12 percent less: the tier gives less than the bulk discount'
);
select is(
    tests.box_price(20, 'CM'), 2170.00, 'a franc has no decimals: 2333 less 7 percent is 2170'
);
select results_eq(
    $$ select o.subtotal_price, o.shipping_amount, o.tax_amount, o.shipping_tax_amount,
           o.total_price, o.currency
       from public.orders as o where o.id = tests.id('boxes-ZA-20') $$,
    -- 20 x 46.50 = 930, 1029 x 0.15 / 1.15 = 134.217
    $$ values (930.00, 99.00, 134.22, 12.91, 1029.00, 'ZAR') $$,
    'an order by the box pays delivery and contains tax like any other'
);
select results_eq(
    $$ select i.product_id, i.retailer_product_id, i.channel::text, i.name_fr
       from public.order_items as i where i.order_id = tests.id('boxes-ZA-20') $$,
    $$ values (null::uuid, tests.id('box'), 'wholesale', 'Carton') $$,
    'its line points at the wholesale product'
);
select is(
    (select s.reserved from public.product_stock as s where s.listing_id = tests.id('box')),
    15 + 20 + 95 + 100 + 200 + 400 + 20,
    'each order reserved its boxes'
);

-- Delivery is free from an amount, after the discount ---------------------------------------------

select tests.make_affiliate('pat');
select tests.make_promo_code('PAT10', 'pat', 10);
select tests.make_product('lamp', 100, 500.00, 20000);
create function tests.shipping(name text, country text, quantity integer, promo_code text)
returns numeric
language sql as $$
    select tests.place_order(
        shipping.name, 'bongani', jsonb_build_array(tests.item('lamp', shipping.quantity)),
        shipping.country, shipping.promo_code
    );
    select o.shipping_amount from public.orders as o where o.id = tests.id(shipping.name)
$$;
select is(tests.shipping('za-2', 'ZA', 2, null), 99.00, '1000 rand pay delivery');
select is(tests.shipping('za-3', 'ZA', 3, null), 0.00, '1500 rand are delivered free');
select is(tests.shipping('za-3-promo', 'ZA', 3, 'PAT10'), 99.00,
    '1500 rand less 10 percent pay delivery again');
select is(tests.shipping('za-4-promo', 'ZA', 4, 'PAT10'), 0.00,
    '2000 rand less 10 percent are delivered free');
select is(tests.shipping('cm-2', 'CM', 2, null), 3500.00, '40000 francs pay delivery');
select is(tests.shipping('cm-3', 'CM', 3, null), 0.00, '60000 francs are delivered free');

-- Both channels, several lines, one product twice -------------------------------------------------

select tests.place_order('mixed', 'bongani', jsonb_build_array(
    tests.item('shirt', 2), tests.item('box', 10), tests.item('shoe', 1), tests.item('shirt', 3)
), 'ZA');
select results_eq(
    $$ select i.line_number::integer, i.name, i.channel::text, i.quantity, i.unit_price
       from public.order_items as i where i.order_id = tests.id('mixed') order by i.line_number $$,
    $$ values
       (1, 'shirt', 'retail', 5, 79.99),
       (2, 'box', 'wholesale', 10, 50.00),
       (3, 'shoe', 'retail', 1, 100.00) $$,
    'lines of one product become one, in the order they were named first'
);
select is(
    (select o.subtotal_price from public.orders as o where o.id = tests.id('mixed')),
    5 * 79.99 + 10 * 50.00 + 100.00,
    'the subtotal is the sum of the lines of both channels'
);
-- stock of shirts is 10, 6 of them are reserved by now
select tests.act_as('bongani');
select tests.refuses(
    format(
        $$ select public.place_order('bongani-twice', 'ZA', tests.address('ZA'), null, %L) $$,
        jsonb_build_array(tests.item('shirt', 2), tests.item('shirt', 3))
    ),
    'PT409 stock_insufficient',
    'two lines of one product are checked as one demand',
    jsonb_build_object(
        'product_id', tests.id('shirt'), 'channel', 'retail', 'quantity', 5, 'minimum', 1,
        'maximum', 100, 'increment', 1, 'available', 4
    )::text
);
select lives_ok(
    format(
        $$ select public.place_order('bongani-twice', 'ZA', tests.address('ZA'), null, %L) $$,
        jsonb_build_array(tests.item('shirt', 2), tests.item('shirt', 2))
    ),
    'the last four go in two lines of two'
);
select tests.act_as_owner();
select is(
    (select s.available from public.product_stock as s where s.listing_id = tests.id('shirt')),
    0,
    'then nothing is left'
);

-- Price, owner and total come from nobody ---------------------------------------------------------

select tests.act_as('bongani');
select results_eq(
    format(
        $$ select o.user_id, o.subtotal_price, o.discount_amount, o.total_price, o.currency,
               o.status::text, o.shipping_address ? 'user_id'
           from public.place_order('bongani-free', 'ZA', %L, items => %L) as o $$,
        tests.address('ZA') || jsonb_build_object(
            'user_id', tests.id('amina'), 'status', 'paid', 'label', 'home'
        ),
        jsonb_build_array(tests.item('shoe', 1) || jsonb_build_object(
            'unit_price', 0.01, 'price', 0.01, 'amount', 0.01, 'currency', 'XAF', 'discount', 99,
            'name', 'gold', 'user_id', tests.id('amina'), 'total', 0.01, 'available', 1000
        ))
    ),
    $$ values (tests.id('bongani'), 100.00, 0.00, 199.00, 'ZAR', 'pending', false) $$,
    'other keys of items and address are not read'
);
select set_eq(
    $$ select jsonb_object_keys(o.shipping_address) from public.orders as o
       where o.order_number = (
           select p.order_number from public.orders as p
           order by substr(p.order_number, 4)::bigint desc limit 1
       ) $$,
    array['recipient_name', 'phone', 'country', 'city', 'district', 'line1'],
    'the copy of the address has no key but its own'
);
select lives_ok(
    format(
        $$ select public.place_order('bongani-total', 'ZA', tests.address('ZA'), null, %L, 199) $$,
        jsonb_build_array(tests.item('shoe', 1))
    ),
    'the total that the client expects is compared as an amount'
);
select is(
    (tests.attempt(format(
        $$ select public.place_order(
               'bongani-cheap', 'ZA', tests.address('ZA'), null, %L, 198.99
           ) $$,
        jsonb_build_array(tests.item('shoe', 1))
    ))).detail::jsonb,
    jsonb_build_object(
        'country', 'ZA', 'currency', 'ZAR',
        'lines', jsonb_build_array(jsonb_build_object(
            'product_id', tests.id('shoe'), 'channel', 'retail', 'name', 'shoe', 'quantity', 1,
            'list_price', 100.00, 'unit_price', 100.00, 'subtotal', 100.00,
            -- ten, less amina's two, the mixed order's one and the two above
            'available', 5, 'problem', null
        )),
        'subtotal', 100.00, 'promo_code', null, 'promo_problem', null, 'discount', 0,
        'shipping', 99.00, 'duty', 0, 'tax', 25.96, 'total', 199.00,
        'exchange_rate', null, 'exchange_rate_source', null, 'exchange_rate_at', null
    ),
    'a total that differs is refused with the new quote in the detail'
);

-- The cart ----------------------------------------------------------------------------------------

select tests.act_as('amina');
select count(*) from public.add_to_cart(tests.id('shoe'), 'retail', 1);
select count(*) from public.add_to_cart(tests.id('box'), 'wholesale', 10);
select tests.place_order('beside', 'amina', jsonb_build_array(tests.item('lamp', 1)));
select results_eq(
    $$ select c.listing_id, c.quantity from public.cart_items as c order by c.quantity $$,
    $$ values (tests.id('shoe'), 1), (tests.id('box'), 10) $$,
    'an order of named items leaves the cart alone'
);
select tests.place_order('cart', 'amina', null);
select bag_eq(
    $$ select i.name, i.channel::text, i.quantity, i.unit_price
       from public.order_items as i where i.order_id = tests.id('cart') $$,
    $$ values ('shoe', 'retail', 1, 5000.00), ('box', 'wholesale', 10, 2333.00) $$,
    'an order without items is of the cart'
);
select is_empty($$ select c.listing_id from public.cart_items as c $$, 'which it empties');
select isnt_empty($$ select c.id from public.carts as c $$, 'and keeps');
select tests.refuses(
    $$ select public.place_order('amina-empty', 'CM', tests.address('CM')) $$,
    'PT400 cart_empty',
    'an empty cart orders nothing'
);

-- Language ----------------------------------------------------------------------------------------

select tests.act_as_owner();
select is(
    (select o.language from public.orders as o where o.id = tests.id('mixed')),
    'en',
    'an order speaks the language of who placed it'
);
select is(
    (select count(*) from public.orders as o
     where o.user_id in (tests.id('amina'), tests.id('bongani'))),
    21::bigint,
    'and these were all the orders'
);
select is_empty(
    $$ select s.listing_id
       from public.product_stock as s
       left join public.order_items as i
           on s.listing_id = coalesce(i.product_id, i.retailer_product_id)
       left join public.orders as o on i.order_id = o.id
       group by s.listing_id
       having s.reserved <> coalesce(sum(i.quantity) filter (where o.status = 'pending'), 0) $$,
    'what is reserved is what pending orders hold, product by product'
);

select * from finish();
rollback;
