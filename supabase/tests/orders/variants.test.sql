-- Variants in carts and orders: each at its own price and from its own pieces, all from their
-- product's stock.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
select plan(52);

-- given a shoe in two sizes, the large one dearer, a sock in two colours at one price, and a box
-- in bulk in two colours
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_product('shoe', stock => 8, name_fr => 'Chaussure');
select tests.make_product('sock', stock => 4);
select tests.make_product('lamp');
select tests.make_wholesale_product('box', stock => 100, bulk_discount_percent => 10);
insert into public.product_variants (
    id, product_id, retailer_product_id, external_id, position, options, options_fr, price_ratio,
    on_hand
)
select
    tests.name_it(v.name, gen_random_uuid()),
    case when v.listing in ('shoe', 'sock') then tests.id(v.listing) end,
    case when v.listing = 'box' then tests.id('box') end,
    v.name, v.position, v.options::jsonb, v.options_fr::jsonb, v.price_ratio, v.on_hand
from (
    values
    ('small', 'shoe', 0, '[{"name": "Colour", "value": "Red"}, {"name": "Size", "value": "38"}]',
        '[{"name": "Couleur", "value": "Rouge"}, {"name": "Taille", "value": "38"}]', 1, 3),
    ('large', 'shoe', 1, '[{"name": "Colour", "value": "Red"}, {"name": "Size", "value": "44"}]',
        null, 1.25, null),
    ('red', 'sock', 0, '[{"name": "Colour", "value": "Red"}]', null, 1, null),
    ('grey', 'sock', 1, '[{"name": "Colour", "value": "Grey"}]', null, 1, null),
    ('blue', 'box', 0, '[{"name": "Colour", "value": "Blue"}]', null, 1, 60),
    ('gold', 'box', 1, '[{"name": "Colour", "value": "Gold"}]', null, 1.5, 60)
) as v (name, listing, position, options, options_fr, price_ratio, on_hand);

create function tests.variant_item(name text, quantity integer, listing text) returns jsonb
language sql stable as $$
    select tests.item(variant_item.listing, variant_item.quantity)
        || jsonb_build_object('variant_id', tests.id(variant_item.name))
$$;
create function tests.pieces(name text) returns text
language sql stable security definer as $$
    select concat_ws(' ', coalesce(v.on_hand::text, '?'), v.reserved)
    from public.product_variants as v where v.id = tests.id(pieces.name)
    union all
    select concat_ws(' ', s.on_hand, s.reserved)
    from public.product_stock as s where s.listing_id = tests.id(pieces.name)
$$;
create function tests.lines(name text) returns text
language sql stable security definer as $$
    select string_agg(
        format('%s × %s à %s [%s]', i.quantity, i.name, i.unit_price, coalesce(n.name, '-')), '; '
        order by i.line_number
    )
    from public.order_items as i
    left join tests.names as n on i.variant_id = n.id
    where i.order_id = tests.id(lines.name)
$$;
create function tests.in_cart(owner text) returns text
language sql stable security definer as $$
    select string_agg(
        concat_ws(' ', c.quantity, n.name, v.name), ', ' order by n.name desc, v.name
    )
    from public.cart_items as c
    inner join tests.names as n on c.listing_id = n.id
    left join tests.names as v on c.variant_id = v.id
    where c.user_id = tests.id(in_cart.owner)
$$;

-- The cart ----------------------------------------------------------------------------------------

select tests.act_as('amina');
select public.add_to_cart(tests.id('shoe'), 'retail', 1, tests.id('small'));
select public.add_to_cart(tests.id('shoe'), 'retail', 2, tests.id('large'));
select public.add_to_cart(tests.id('sock'), 'retail', 1, tests.id('red'));
select public.add_to_cart(tests.id('sock'), 'retail', 3);
select is(tests.in_cart('amina'), '1 sock red, 3 sock, 2 shoe large, 1 shoe small',
    'each variant has a line of its own, and so has the product without one');
select is(
    (select c.quantity
     from public.add_to_cart(tests.id('shoe'), 'retail', 2, tests.id('small')) as c
     where c.variant_id = tests.id('small')),
    2, 'set again it is that line''s quantity'
);
select is((select count(*) from public.cart_items), 4::bigint, 'and no other line');
select tests.refuses(
    format('select public.add_to_cart(%s)', a.arguments), 'PT' || a.refusal, a.title
)
from (
    values
    ('tests.id(''shoe''), ''retail'', 1, gen_random_uuid()', '404 variant_not_found',
        'a variant that is not there is refused'),
    ('tests.id(''shoe''), ''retail'', 1, tests.id(''blue'')', '404 variant_not_found',
        'so is one of another product'),
    ('tests.id(''lamp''), ''retail'', 1, tests.id(''small'')', '404 variant_not_found',
        'and one of a product that has none'),
    ('tests.id(''box''), ''wholesale'', 9, tests.id(''blue'')', '400 quantity_below_minimum',
        'a variant in bulk has its product''s smallest quantity'),
    ('tests.id(''shoe''), ''retail'', 1', '400 variant_required',
        'where one variant is dearer, one has to be chosen'),
    ('tests.id(''box''), ''wholesale'', 10', '400 variant_required', 'in bulk as well')
) as a (arguments, refusal, title);
select tests.refuses(
    format('select public.merge_cart(%L)', jsonb_build_array(
        tests.item('shoe', 1) || jsonb_build_object('variant_id', v.variant_id)
    )),
    'PT400 order_items_invalid', 'a variant is ' || v.title, 'items[0].variant_id'
)
from (
    values ('7'::jsonb, 'no number'), ('"small"', 'no name'), ('["x"]', 'no list')
) as v (variant_id, title);
select lives_ok(
    format('select public.merge_cart(%L)', jsonb_build_array(
        tests.item('lamp', 1) || '{"variant_id": null}'
    )),
    'null is none'
);
select is(
    (select count(*) from public.remove_from_cart(tests.id('shoe'), 'retail', tests.id('large'))),
    4::bigint, 'a variant is taken out'
);
select is(
    (select count(*) from public.remove_from_cart(tests.id('sock'), 'retail')), 3::bigint,
    'and the product without one'
);
select public.remove_from_cart(tests.id('sock'), 'retail', tests.id('red'));
select is(tests.in_cart('amina'), '2 shoe small, 1 lamp', 'the others stay');

-- The quote ---------------------------------------------------------------------------------------

select public.add_to_cart(tests.id('shoe'), 'retail', 2, tests.id('large'));
select results_eq(
    $$ select l.line ->> 'name', (l.line ->> 'list_price')::numeric,
           (l.line ->> 'unit_price')::numeric, l.line ->> 'available', l.line ->> 'problem',
           n.name, l.line ? 'variant_id'
       from jsonb_array_elements(public.quote_cart('CM') -> 'lines') as l (line)
       left join tests.names as n on (l.line ->> 'variant_id')::uuid = n.id
       order by 2, 1 $$,
    $$ values
       ('Chaussure (Rouge, 38)', 5000.00, 5000.00, '3', null::text, 'small', true),
       ('lamp', 5000.00, 5000.00, '100', null, null, false),
       ('Chaussure (Red, 44)', 6250.00, 6250.00, '8', null, 'large', true) $$,
    'each line says what was chosen, at the variant''s own price'
);
select is(public.quote_cart('CM') -> 'changes', '[]', 'nothing changed since');
select tests.act_as_owner();
update public.product_variants set price_ratio = 1.3 where id = tests.id('large');
select tests.act_as('amina');
select is(
    (
        select concat_ws(' ', c.change ->> 'kind', n.name, c.change ->> 'seen_unit_price',
            c.change ->> 'unit_price')
        from jsonb_array_elements(public.quote_cart('CM') -> 'changes') as c (change)
        inner join tests.names as n on (c.change ->> 'variant_id')::uuid = n.id
    ),
    'price_changed large 6250.00 6500.00', 'a change of a variant''s price is told'
);
select tests.act_as_owner();
update public.product_variants set is_active = false where id = tests.id('large');
select tests.act_as('amina');
select is(
    (
        select c.change ->> 'kind'
        from jsonb_array_elements(public.quote_cart('CM') -> 'changes') as c (change)
    ),
    'variant_not_found', 'so is that it is gone'
);
select tests.refuses(
    format('select public.place_order(%L, %L, %L)', 'test-key-gone', 'CM', tests.address('CM')),
    'PT404 variant_not_found', 'which is not ordered'
);
select tests.act_as_owner();
update public.product_variants set is_active = true, price_ratio = 1.25
where id = tests.id('large');

-- The order ---------------------------------------------------------------------------------------

select is(tests.pieces('shoe') || ', ' || tests.pieces('small') || ', ' || tests.pieces('large'),
    '8 0, 3 0, ? 0', 'given eight shoes, three of them small');
select tests.place_order('order', 'amina');
select is(
    (
        select string_agg(
            format('%s × %s à %s [%s]', i.quantity, i.name, i.unit_price, coalesce(n.name, '-')),
            '; ' order by i.name
        )
        from public.order_items as i
        left join tests.names as n on i.variant_id = n.id
        where i.order_id = tests.id('order')
    ),
    '1 × lamp à 5000.00 [-]; 2 × shoe (Red, 38) à 5000.00 [small]; '
    '2 × shoe (Red, 44) à 6250.00 [large]',
    'an order names the variants and their prices'
);
select is(tests.pieces('shoe') || ', ' || tests.pieces('small') || ', ' || tests.pieces('large'),
    '8 4, 3 2, ? 2', 'it holds them, of their product all together');
select is(tests.in_cart('amina'), null, 'and the cart is empty');
select is_empty(
    'select * from private.invariant_stock union all select * from private.invariant_variant_stock',
    'what is held is what is ordered'
);

select tests.act_as('bongani');
select tests.refuses(
    format(
        'select public.place_order(%L, %L, %L, items => %L)', md5(a.title), 'ZA',
        tests.address('ZA'), a.items
    ),
    'PT409 stock_insufficient', a.title
)
from (
    values
    (jsonb_build_array(tests.variant_item('small', 2, 'shoe')), 'one small shoe is left, not two'),
    (
        jsonb_build_array(
            tests.variant_item('small', 1, 'shoe'), tests.variant_item('large', 4, 'shoe')
        ),
        'four shoes are left, not five'
    ),
    (
        jsonb_build_array(
            tests.item('sock', 2), tests.variant_item('red', 3, 'sock')
        ),
        'with or without a variant: of four socks five are not sold'
    ),
    (
        jsonb_build_array(
            tests.variant_item('small', 1, 'shoe'), tests.variant_item('small', 1, 'shoe')
        ),
        'said in two lines it is two'
    )
) as a (items, title);
select tests.act_as_owner();
select is(tests.pieces('shoe') || ', ' || tests.pieces('small') || ', ' || tests.pieces('large'),
    '8 4, 3 2, ? 2', 'nothing of it was held');

-- One has to be chosen ----------------------------------------------------------------------------

-- or all would go at the cheapest one's price, counted as none of them
select tests.act_as('bongani');
select tests.refuses(
    format(
        'select public.place_order(%L, %L, %L, items => %L)', md5(i.name), 'ZA',
        tests.address('ZA'), jsonb_build_array(tests.item(i.name, i.quantity))
    ),
    'PT400 variant_required', i.title
)
from (
    values
    ('shoe', 1, 'shoes of two prices are not ordered without a size'),
    ('box', 10, 'nor boxes in bulk')
) as i (name, quantity, title);
select is(
    (public.price_breaks(tests.id('shoe'), 'retail', 'ZA')).unit_price, 100.00,
    'a page still says from what price on there are some'
);
select is(
    public.explain_price(tests.id('shoe'), 'retail', 1, 'ZA') - 'rules'
    @> '{"unit_price": 100.00, "problem": "variant_required"}', true,
    'an explanation as well, and that it cannot be ordered so'
);
select tests.act_as_owner();
update public.product_variants set is_active = false where id = tests.id('large');
select tests.act_as('bongani');
select is(
    public.explain_price(tests.id('shoe'), 'retail', 1, 'ZA') -> 'problem', 'null',
    'it can once the dearer one is gone'
);
select public.add_to_cart(tests.id('shoe'), 'retail', 1);
select tests.act_as_owner();
update public.product_variants set is_active = true where id = tests.id('large');
select tests.act_as('bongani');
select is(
    (
        select c.change ->> 'kind'
        from jsonb_array_elements(public.quote_cart('ZA') -> 'changes') as c (change)
    ),
    'variant_required', 'back again, carts are told to choose'
);
select public.remove_from_cart(tests.id('shoe'), 'retail');

-- At most so many of a product, however its lines are cut
select tests.act_as_owner();
update public.products set max_order_quantity = 3 where id in (tests.id('shoe'), tests.id('sock'));
select tests.act_as('bongani');
select tests.refuses(
    format(
        'select public.place_order(%L, %L, %L, items => %L)', md5(a.title), 'ZA',
        tests.address('ZA'), a.items
    ),
    'PT400 quantity_above_maximum', a.title
)
from (
    values
    (
        jsonb_build_array(
            tests.variant_item('small', 1, 'shoe'), tests.variant_item('large', 3, 'shoe')
        ),
        'at most three are not four of two variants'
    ),
    (
        jsonb_build_array(
            tests.variant_item('red', 1, 'sock'), tests.variant_item('grey', 1, 'sock'),
            tests.item('sock', 2)
        ),
        'nor of three lines'
    )
) as a (items, title);
select public.add_to_cart(tests.id('sock'), 'retail', 2, tests.id('red'));
select public.add_to_cart(tests.id('sock'), 'retail', 2, tests.id('grey'));
select results_eq(
    $$ select l.line ->> 'problem'
       from jsonb_array_elements(public.quote_cart('ZA') -> 'lines') as l (line) $$,
    $$ values ('quantity_above_maximum'), ('quantity_above_maximum') $$,
    'a cart that holds four is told with its quote'
);
select public.remove_from_cart(tests.id('sock'), 'retail', tests.id(v.name))
from unnest(array['red', 'grey']) as v (name);
select tests.act_as_owner();
update public.products set max_order_quantity = 100
where id in (tests.id('shoe'), tests.id('sock'));

-- What becomes of it ------------------------------------------------------------------------------

select tests.pay('order');
select is(tests.pieces('shoe') || ', ' || tests.pieces('small') || ', ' || tests.pieces('large'),
    '4 0, 1 0, ? 0', 'paid, they have left the shelf; what was not known stays so');
select tests.act_as('amina');
select public.cancel_order(tests.id('order'));
select tests.act_as_owner();
select is(tests.pieces('shoe') || ', ' || tests.pieces('small') || ', ' || tests.pieces('large'),
    '8 0, 3 0, ? 0', 'cancelled, they are back');
select tests.place_order(
    'his', 'bongani',
    jsonb_build_array(
        tests.variant_item('small', 1, 'shoe'), tests.variant_item('large', 1, 'shoe'),
        tests.variant_item('red', 1, 'sock'), tests.item('sock', 1)
    ), 'ZA'
);
select is(
    tests.pieces('shoe') || ', ' || tests.pieces('small') || ', ' || tests.pieces('large') || ', '
    || tests.pieces('sock') || ', ' || tests.pieces('red'),
    '8 2, 3 1, ? 1, 4 2, ? 1', 'given an order in four lines'
);
select is(
    (select o.subtotal_price from public.orders as o where o.id = tests.id('his')), 425.90,
    'which costs 100 and 125.90 and twice 100 rand'
);
select tests.act_as('bongani');
select public.cancel_order(tests.id('his'));
select tests.act_as_owner();
select is(
    tests.pieces('shoe') || ', ' || tests.pieces('small') || ', ' || tests.pieces('large') || ', '
    || tests.pieces('sock') || ', ' || tests.pieces('red'),
    '8 0, 3 0, ? 0, 4 0, ? 0', 'unpaid and cancelled, it holds nothing'
);
select tests.place_order(
    'counted', 'bongani', jsonb_build_array(tests.variant_item('small', 2, 'shoe')), 'ZA'
);
update public.product_variants set on_hand = 1 where id = tests.id('small');
select tests.pay('counted');
select is(tests.pieces('small'), '0 0', 'a supplier''s newer count never falls below none');

-- In bulk -----------------------------------------------------------------------------------------

select tests.place_order(
    'bulk', 'bongani',
    jsonb_build_array(
        tests.variant_item('blue', 20, 'box'), tests.variant_item('gold', 10, 'box')
    ), 'ZA'
);
select is(
    tests.lines('bulk'),
    '20 × box (Blue) à 50.00 [blue]; 10 × box (Gold) à 75.90 [gold]',
    'variants in bulk are lines of their own'
);
select results_eq(
    $$ select l.unit_price, l.list_price
       from private.price_lines(
           array[tests.id('box')], array['wholesale'::public.product_channel], array[100], 'ZA',
           array[tests.id('gold')]) as l $$,
    $$ values (68.31, 75.90) $$, 'a discount in bulk is off the variant''s own price'
);
select results_eq(
    $$ select l.problem
       from private.price_lines(
           array[tests.id('sock'), tests.id('sock')],
           array['retail', 'retail']::public.product_channel [], array[3, 3], 'ZA') as l $$,
    $$ values (null::text), (null) $$,
    'without variants lines stand alone: a page asks for many quantities at once'
);

-- What cannot be ----------------------------------------------------------------------------------

select tests.violates(
    $$ delete from public.product_variants where id = tests.id('gold') $$,
    'order_items_variant_id_fkey', 'a variant that was ordered is not deleted'
);
select tests.act_as('amina');
select public.add_to_cart(tests.id('shoe'), 'retail', 1, tests.id('large'));
select tests.act_as_owner();
delete from public.order_items where variant_id = tests.id('large');
delete from public.product_variants where id = tests.id('large');
select is(tests.in_cart('amina'), null, 'one that was only in carts takes their lines along');
update public.product_variants set reserved = reserved + 1 where id = tests.id('blue');
select results_eq(
    $$ select v.check_name, v.subject_id, v.detail from private.invariant_variant_stock as v $$,
    $$ values ('variant_stock', tests.id('blue'), 'reserved 21, unpaid orders hold 20') $$,
    'pieces that nobody ordered are seen'
);

select * from finish();
rollback;
