-- A number of eight bytes may be a hundred thousand characters as text: none is written out.
begin;
\ir ../_helpers.psql
select plan(8);

-- given a shopper, something to order, and an array that is a quarter of a gigabyte as text
select tests.make_user('amina', 'fr', 'CM');
select tests.make_product('lamp');
create function tests.large() returns jsonb
language sql immutable as $$
    select jsonb_agg('1e131071'::jsonb) from generate_series(1, 2000)
$$;
select tests.place_order('mine', 'amina', jsonb_build_array(tests.item('lamp', 1)));
select tests.act_as('amina');
select tests.remember();

-- when it stands where an id, a channel, a country or an address should
select tests.refuses(
    $$select public.merge_cart(jsonb_build_array(jsonb_build_object(
        'product_id', tests.large(), 'channel', 'retail', 'quantity', 1)))$$,
    'PT400 order_items_invalid', 'an id is a text', 'items[0].product_id'
);
select tests.refuses(
    $$select public.merge_cart(jsonb_build_array(
        tests.item('lamp', 1) || jsonb_build_object('channel', tests.large())))$$,
    'PT400 order_items_invalid', 'a channel is a text', 'items[0].channel'
);
select tests.refuses(
    $$select public.merge_cart(jsonb_build_array(
        tests.item('lamp', 1) || jsonb_build_object('quantity', '1e131071'::jsonb)))$$,
    'PT400 quantity_invalid', 'a quantity has five digits', 'items[0].quantity'
);
select tests.refuses(
    $$select public.update_order_address(tests.id('mine'),
        tests.address('CM', jsonb_build_object('country', tests.large())))$$,
    'PT400 address_country_mismatch', 'a country is a text', 'array'
);
select tests.refuses(
    $$select public.update_order_address(
        tests.id('mine'), jsonb_build_object('id', tests.large()))$$,
    'PT404 address_not_found', 'the id of an address is a text', 'array'
);
select tests.refuses(
    $$select public.place_order('large-key-1', 'CM', tests.large())$$,
    'PT400 cart_empty', 'an address is looked at last, and never written out'
);
select tests.nothing_changed('nothing is written');

-- when a coordinate has more digits than the earth
select tests.act_as('amina');
select is(
    (public.update_order_address(
        tests.id('mine'), tests.address('CM', '{"latitude": 4.05123456789, "longitude": 1e-16000}')
    )).shipping_address -> 'latitude',
    '4.051235'::jsonb, 'a position is kept to a tenth of a metre'
);

select * from finish();
rollback;
