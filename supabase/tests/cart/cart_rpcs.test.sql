begin;
\ir ../_helpers.psql
select plan(52);

-- given shoppers and goods
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('binta', 'en', 'ZA');
select tests.make_product('shoe', max_order_quantity => 20);
select tests.make_product('sold_out', stock => 0);
select tests.make_product('no_stock_row', stock => null);
select tests.make_product('old_shoe', is_active => false);
select tests.make_product('za_only', price_cm => null);
select tests.make_wholesale_product(
    'box', min_order_quantity => 10, order_increment => 5, max_order_quantity => 100
);
select tests.make_wholesale_product('crate', max_order_quantity => 10000);
select tests.make_wholesale_product('za_box', price_cm => null, min_order_quantity => 10);

-- The lines of somebody's cart, by name.
create function tests.cart(who text) returns jsonb
language sql stable security definer as $$
    select coalesce(jsonb_object_agg(n.name, c.quantity), '{}')
    from public.cart_items as c
    inner join public.carts as k on c.cart_id = k.id and c.user_id = k.user_id
    inner join tests.names as n on c.listing_id = n.id and c.channel = n.channel
    where k.user_id = tests.id(cart.who)
$$;

-- add_to_cart sets a quantity and answers the whole cart
select tests.act_as('amina');
select results_eq(
    $$
    select c.user_id, c.listing_id, c.product_id, c.retailer_product_id, c.channel, c.quantity,
        c.seen_unit_price, c.seen_currency
    from public.add_to_cart(tests.id('shoe'), 'retail', 2) as c
    $$,
    $$
    values (
        tests.id('amina'), tests.id('shoe'), tests.id('shoe'), null::uuid,
        'retail'::public.product_channel, 2, null::numeric(12, 2), null
    )
    $$,
    'a product is put into the cart'
);
select is(
    (select array_agg(c.quantity) from public.add_to_cart(tests.id('shoe'), 'retail', 2) as c),
    '{2}', 'twice the same is once'
);
select is(
    (select array_agg(c.quantity) from public.add_to_cart(tests.id('shoe'), 'retail', 5) as c),
    '{5}', 'another quantity takes the place of the first'
);
select results_eq(
    $$
    select c.listing_id, c.retailer_product_id, c.channel, c.quantity
    from public.add_to_cart(tests.id('box'), 'wholesale', 15) as c
    where c.channel = 'wholesale'
    $$,
    $$values (tests.id('box'), tests.id('box'), 'wholesale'::public.product_channel, 15)$$,
    'a wholesale product stands beside it'
);
select is(tests.cart('amina'), '{"shoe": 5, "box": 15}', 'the cart holds both');
select is(
    (select count(*) from public.carts as c where c.user_id = tests.id('amina')), 1::bigint,
    'in one cart'
);

-- what is not to be had just now may wait in a cart
select lives_ok(
    $$select public.add_to_cart(tests.id('sold_out'), 'retail', 1)$$, 'what is sold out may wait'
);
select lives_ok(
    $$select public.add_to_cart(tests.id('no_stock_row'), 'retail', 1)$$,
    'so may what has no stock yet'
);
select lives_ok(
    $$select public.add_to_cart(tests.id('za_only'), 'retail', 1)$$,
    'and what is not sold in the person''s country'
);
select lives_ok(
    $$select public.add_to_cart(tests.id('shoe'), 'retail', 20)$$, 'the largest quantity is taken'
);
select lives_ok(
    $$select public.add_to_cart(tests.id('box'), 'wholesale', 10)$$, 'and the smallest'
);

-- refusals of add_to_cart
select tests.remember();
select tests.refuses(
    $$select public.add_to_cart(gen_random_uuid(), 'retail', 1)$$,
    'PT404 product_not_found', 'an unknown product is refused'
);
select tests.refuses(
    $$select public.add_to_cart(tests.id('old_shoe'), 'retail', 1)$$,
    'PT404 product_not_found', 'a product that is off sale is refused'
);
select tests.refuses(
    $$select public.add_to_cart(tests.id('shoe'), 'wholesale', 10)$$,
    'PT404 product_not_found', 'a retail product is no wholesale product'
);
select tests.refuses(
    $$select public.add_to_cart(tests.id('box'), 'retail', 10)$$,
    'PT404 product_not_found', 'nor the other way round'
);
select tests.refuses(
    $$select public.add_to_cart(null, 'retail', 1)$$,
    'PT400 order_items_invalid', 'no product is refused', 'items[0].product_id'
);
select tests.refuses(
    $$select public.add_to_cart(tests.id('shoe'), null, 1)$$,
    'PT400 order_items_invalid', 'no channel is refused', 'items[0].channel'
);
select tests.refuses(
    format('select public.add_to_cart(tests.id(''shoe''), ''retail'', %s)', q),
    'PT400 quantity_invalid', format('a quantity of %s is refused', q), 'items[0].quantity'
)
from unnest(array['0', '-1', '10001', '2147483647', '-2147483648', 'null']) as q;
select tests.refuses(
    $$select public.add_to_cart(tests.id('box'), 'wholesale', 9)$$,
    'PT400 quantity_below_minimum', 'less than the smallest quantity is refused',
    jsonb_build_object(
        'product_id', tests.id('box'), 'channel', 'wholesale', 'quantity', 9, 'minimum', 10,
        'maximum', 100, 'increment', 5, 'available', 1000
    )::text
);
select tests.refuses(
    $$select public.add_to_cart(tests.id('shoe'), 'retail', 21)$$,
    'PT400 quantity_above_maximum', 'more than the largest quantity is refused'
);
select tests.refuses(
    $$select public.add_to_cart(tests.id('box'), 'wholesale', 12)$$,
    'PT400 quantity_not_in_steps', 'a quantity between two steps is refused'
);
select tests.refuses(
    $$select public.add_to_cart(tests.id('za_box'), 'wholesale', 3)$$,
    'PT400 quantity_below_minimum',
    'an unsellable quantity is refused also of what is not sold here'
);

-- refusals of merge_cart: all or nothing
create temp table refused (items text, refusal text, detail text, title text);
insert into refused values
('null', 'PT400 order_items_invalid', 'items is not an array', 'no items'),
('{}', 'PT400 order_items_invalid', 'items is not an array', 'an object'),
('"x"', 'PT400 order_items_invalid', 'items is not an array', 'a text'),
('[1]', 'PT400 order_items_invalid', 'items[0].product_id', 'a number for an item'),
('[{"product_id": "x", "channel": "retail", "quantity": 1}]',
    'PT400 order_items_invalid', 'items[0].product_id', 'an id that is none'),
('[{"product_id": "@shoe", "channel": "auction", "quantity": 1}]',
    'PT400 order_items_invalid', 'items[0].channel', 'a channel that is none'),
('[{"product_id": "@shoe", "quantity": 1}]',
    'PT400 order_items_invalid', 'items[0].channel', 'no channel'),
('[{"product_id": "@shoe", "channel": "retail", "quantity": "2"}]',
    'PT400 quantity_invalid', 'items[0].quantity', 'a quantity that is text'),
('[{"product_id": "@shoe", "channel": "retail", "quantity": 1.5}]',
    'PT400 quantity_invalid', 'items[0].quantity', 'half a piece'),
('[{"product_id": "@shoe", "channel": "retail", "quantity": 1e30}]',
    'PT400 quantity_invalid', 'items[0].quantity', 'a quantity beyond all bounds'),
('[{"product_id": "@shoe", "channel": "retail", "quantity": -3}]',
    'PT400 quantity_invalid', 'items[0].quantity', 'a negative quantity'),
('[{"product_id": "@shoe", "channel": "retail"}]',
    'PT400 quantity_invalid', 'items[0].quantity', 'no quantity'),
('[{"product_id": "@shoe", "channel": "retail", "quantity": 1},
    {"product_id": "@box", "channel": "wholesale", "quantity": 0}]',
    'PT400 quantity_invalid', 'items[1].quantity', 'a bad second item'),
('[{"product_id": "@shoe", "channel": "retail", "quantity": 1},
    {"product_id": "@old_shoe", "channel": "retail", "quantity": 1}]',
    'PT404 product_not_found', null, 'a second item that is off sale');
grant select on refused to public;
select tests.refuses(
    format(
        'select public.merge_cart(%L)',
        case
            when r.items <> 'null'
                then replace(replace(replace(
                    r.items, '@shoe', tests.id('shoe')::text
                ), '@box', tests.id('box')::text), '@old_shoe', tests.id('old_shoe')::text)
        end
    ),
    r.refusal, 'merge_cart refuses ' || r.title, r.detail
)
from refused as r;
select tests.refuses(
    $$
    select public.merge_cart((
        select jsonb_agg(tests.item('shoe', 1)) from generate_series(1, 501)
    ))
    $$,
    'PT400 order_items_invalid', 'merge_cart refuses 501 items', 'more than 500 items'
);
select tests.refuses(
    $$
    select public.merge_cart((
        select jsonb_agg(tests.item('crate', 6000)) from generate_series(1, 2)
    ))
    $$,
    'PT400 quantity_above_maximum', 'quantities of one product are one demand'
);
select tests.refuses(
    $$
    select public.merge_cart(
        jsonb_build_array(tests.item('za_box', 6000), tests.item('za_box', 6000))
    )
    $$,
    'PT400 quantity_above_maximum', 'also where the product is not sold'
);
select tests.nothing_changed('no refusal changed the cart');

-- merge_cart takes a guest's cart over
select tests.act_as('binta');
select is(
    (
        select jsonb_object_agg(n.name, c.quantity)
        from public.merge_cart(jsonb_build_array(
            tests.item('shoe', 1) || '{"price": 0.01, "unit_price": 0.01}', tests.item('box', 20),
            tests.item('shoe', 3)
        )) as c
        inner join tests.names as n on c.listing_id = n.id
    ),
    '{"shoe": 4, "box": 20}', 'lines of one product are summed, fields that nobody asked for unread'
);
select is(
    (select count(*) from public.merge_cart('[]')), 2::bigint, 'no items leave the cart as it is'
);
select is(
    (
        select jsonb_object_agg(n.name, c.quantity)
        from public.merge_cart(jsonb_build_array(tests.item('shoe', 2))) as c
        inner join tests.names as n on c.listing_id = n.id
    ),
    '{"shoe": 2, "box": 20}', 'quantities are set, not added to what was there'
);

-- remove_from_cart
select is(
    (select count(*) from public.remove_from_cart(tests.id('shoe'), 'wholesale')), 2::bigint,
    'the wrong channel removes nothing'
);
select is(
    (
        select array_agg(c.listing_id)
        from public.remove_from_cart(tests.id('shoe'), 'retail') as c
    ),
    array[tests.id('box')], 'a product is removed'
);
select is(
    (
        select array_agg(c.listing_id)
        from public.remove_from_cart(tests.id('shoe'), 'retail') as c
    ),
    array[tests.id('box')], 'removed twice is removed once'
);
select is(
    tests.cart('amina'),
    '{"shoe": 20, "box": 10, "sold_out": 1, "no_stock_row": 1, "za_only": 1}',
    'nobody else''s cart is touched'
);

select * from finish();
rollback;
