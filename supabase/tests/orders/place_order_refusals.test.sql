-- Every refusal of place_order, one by one, each leaving every row of the shop as it was.
begin;
\ir ../_helpers.psql
select plan(92);

-- given amina in Douala, goods in every state, and codes that do not hold
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_product('shoe', 10);
select tests.make_product('rare', 1);
select tests.make_product('sold-out', 0);
select tests.make_product('unstocked', null);
select tests.make_product('gone', is_active => false);
select tests.make_product('southern', price_cm => null);
select tests.make_product('single', max_order_quantity => 1);
select tests.make_wholesale_product('box', 1000, 50, 2500, 10, 5, 100);
select tests.make_wholesale_product('old-box', is_active => false);
select tests.make_affiliate('pat');
select tests.make_affiliate('sam', 'suspended');
select tests.make_promo_code('PAT10', 'pat');
select tests.make_promo_code('PAUSED', 'pat', status => 'paused');
select tests.make_promo_code('ARCHIVED', 'pat', status => 'archived');
select tests.make_promo_code('SAM10', 'sam');
select tests.make_promo_code('TOMORROW', 'pat', starts_at => now() + interval '1 day');
select tests.make_promo_code('YESTERDAY', 'pat', ends_at => now() - interval '1 second');
select tests.make_promo_code('RAND50', 'pat', discount_amount => 50, currency => 'ZAR');
select tests.make_promo_code('FRANC', 'pat', discount_amount => 5000, currency => 'XAF');
select tests.make_promo_code('ONCE', 'pat', usage_limit => 1);
select tests.make_promo_code('EACH', 'pat', per_user_limit => 1);
select tests.place_order(
    'first', 'amina', jsonb_build_array(tests.item('shoe', 1)), promo_code => 'EACH'
);
select tests.place_order(
    'other', 'bongani', jsonb_build_array(tests.item('shoe', 1)), promo_code => 'ONCE'
);

-- The statement that would place it.
create function tests.buy(
    items jsonb,
    country text default 'CM',
    promo_code text default null,
    address jsonb default tests.address('CM'),
    idempotency_key text default 'amina-key',
    expected_total numeric default null
)
returns text
language sql as $$
    select format(
        'select public.place_order(%L, %L, %L, %L, %L, %L)',
        buy.idempotency_key, buy.country, buy.address, buy.promo_code, buy.items,
        buy.expected_total
    )
$$;
create function tests.one(name text, quantity integer default 1) returns jsonb
language sql as $$
    select jsonb_build_array(tests.item(one.name, one.quantity))
$$;

-- The detail of a refused line.
create function tests.line_detail(
    name text, quantity integer, minimum integer, maximum integer, increment integer,
    available integer, channel text default null
)
returns text
language sql as $$
    select jsonb_build_object(
        'product_id', tests.id(line_detail.name),
        'channel', coalesce(
            line_detail.channel, tests.item(line_detail.name, 1) ->> 'channel'
        ),
        'quantity', line_detail.quantity, 'minimum', line_detail.minimum,
        'maximum', line_detail.maximum, 'increment', line_detail.increment,
        'available', line_detail.available
    )::text
$$;

select tests.remember();

-- Who asks ----------------------------------------------------------------------------------------

select tests.act_as_anon();
select tests.denies(tests.buy(tests.one('shoe')), 'nobody who is not signed in may call it');
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(tests.buy(tests.one('shoe')), 'PT401 authentication_required',
    'a token without a subject is nobody');
select tests.become(
    'authenticated',
    jsonb_build_object('sub', gen_random_uuid(), 'role', 'authenticated')
);
select tests.refuses(tests.buy(tests.one('shoe')), 'PT401 authentication_required',
    'a token that outlived its account is nobody');
select tests.act_as_service_role();
select tests.denies(tests.buy(tests.one('shoe')), 'service_role places no orders');
select tests.act_as_service();
select tests.denies(tests.buy(tests.one('shoe')), 'mallgram_service places no orders');

select tests.act_as('amina');

-- The key -----------------------------------------------------------------------------------------

select tests.refuses(
    tests.buy(tests.one('shoe'), idempotency_key => k.idempotency_key),
    'PT400 idempotency_key_invalid', 'a key is refused when it ' || k.title
)
from (
    values
    (null, 'is missing'), ('', 'is empty'), ('7-chars', 'has seven characters'),
    (repeat('x', 201), 'has 201 characters'), ('has a space', 'has a space'),
    (E'has\na-line', 'has a line break'), ('clé-à-moi', 'has an accent')
) as k (idempotency_key, title);
select tests.refuses(
    tests.buy(tests.one('shoe'), idempotency_key => 'test-key-first'),
    'PT409 idempotency_key_reused', 'a key is refused for another body', 'test-key-first'
);

-- The items ---------------------------------------------------------------------------------------

select tests.refuses(tests.buy(null), 'PT400 cart_empty', 'without items or cart there is nothing');
select tests.refuses(tests.buy('[]'), 'PT400 cart_empty', 'no items are nothing');

select tests.refuses(
    tests.buy(i.items::jsonb), 'PT400 order_items_invalid', 'items are refused when ' || i.title,
    i.detail
)
from (
    values
    ('{}', 'items is not an array', 'they are an object'),
    ('"shoe"', 'items is not an array', 'they are a text'),
    ('null', 'items is not an array', 'they are JSON null'),
    ('["shoe"]', 'items[0].product_id', 'an item is a text'),
    ('[[]]', 'items[0].product_id', 'an item is an array'),
    ('[null]', 'items[0].product_id', 'an item is null'),
    ('[{"channel": "retail", "quantity": 1}]', 'items[0].product_id', 'product_id is missing'),
    ('[{"product_id": "1", "channel": "retail", "quantity": 1}]', 'items[0].product_id',
        'product_id is no uuid'),
    ('[{"product_id": 1, "channel": "retail", "quantity": 1}]', 'items[0].product_id',
        'product_id is a number'),
    ('[{"product_id": "7a000000-0000-4000-8000-000000000001", "quantity": 1}]',
        'items[0].channel', 'channel is missing'),
    ('[{"product_id": "7a000000-0000-4000-8000-000000000001", "channel": "b2b", "quantity": 1}]',
        'items[0].channel', 'channel is unknown')
) as i (items, detail, title);
select tests.refuses(
    tests.buy(tests.one('shoe') || '{"product_id": "x", "channel": "retail", "quantity": 1}'),
    'PT400 order_items_invalid', 'the detail counts items from nought', 'items[1].product_id'
);
select tests.refuses(
    tests.buy((select jsonb_agg(tests.item('shoe', 1)) from generate_series(1, 501))),
    'PT400 order_items_invalid', '501 items are refused', 'more than 500 items'
);

select tests.refuses(
    tests.buy(jsonb_build_array(tests.item('shoe', 1) || q.quantity::jsonb)),
    'PT400 quantity_invalid', 'a quantity is refused when it ' || q.title, 'items[0].quantity'
)
from (
    values
    ('{"quantity": null}', 'is null'), ('{"quantity": "1"}', 'is a text'),
    ('{"quantity": true}', 'is true'), ('{"quantity": 0}', 'is nought'),
    ('{"quantity": -1}', 'is negative'), ('{"quantity": 1.5}', 'is a fraction'),
    ('{"quantity": 10001}', 'is above 10000'), ('{"quantity": 1e12}', 'is huge'),
    ('{"quantity": [1]}', 'is an array')
) as q (quantity, title);
select tests.refuses(
    tests.buy(jsonb_build_array(tests.item('shoe', 1) - 'quantity')),
    'PT400 quantity_invalid', 'a quantity is refused when it is missing', 'items[0].quantity'
);

-- The goods ---------------------------------------------------------------------------------------

select tests.refuses(
    tests.buy('[{"product_id": "7a000000-0000-4000-8000-000000000001", "channel": "retail", '
        '"quantity": 1}]'),
    'PT404 product_not_found', 'an unknown product is not found'
);
select tests.refuses(
    tests.buy(jsonb_build_array(tests.item('shoe', 10) || '{"channel": "wholesale"}')),
    'PT404 product_not_found', 'a retail product is not found among wholesale',
    tests.line_detail('shoe', 10, null, null, null, 0, 'wholesale')
);
select tests.refuses(
    tests.buy(jsonb_build_array(tests.item('box', 10) || '{"channel": "retail"}')),
    'PT404 product_not_found', 'a wholesale product is not found among retail',
    tests.line_detail('box', 10, null, null, null, 0, 'retail')
);
select tests.refuses(tests.buy(tests.one('gone')), 'PT404 product_not_found',
    'a retail product that is off sale is not found');
select tests.refuses(tests.buy(tests.one('old-box', 10)), 'PT404 product_not_found',
    'a wholesale product that is off sale is not found');
select tests.refuses(tests.buy(tests.one('southern')), 'PT409 product_not_sold_in_country',
    'a product without a price in the country is not sold there',
    tests.line_detail('southern', 1, 1, 100, 1, 100));
select tests.refuses(tests.buy(tests.one('box', 9)), 'PT400 quantity_below_minimum',
    'fewer than the minimum are refused', tests.line_detail('box', 9, 10, 100, 5, 1000));
select tests.refuses(tests.buy(tests.one('box', 105)), 'PT400 quantity_above_maximum',
    'more than the maximum by the box are refused',
    tests.line_detail('box', 105, 10, 100, 5, 1000));
select tests.refuses(tests.buy(tests.one('single', 2)), 'PT400 quantity_above_maximum',
    'more than the maximum by the piece are refused', tests.line_detail('single', 2, 1, 1, 1, 100));
select tests.refuses(
    tests.buy(tests.one('single') || tests.one('single')), 'PT400 quantity_above_maximum',
    'the maximum holds for two lines together', tests.line_detail('single', 2, 1, 1, 1, 100)
);
select tests.refuses(tests.buy(tests.one('box', 12)), 'PT400 quantity_not_in_steps',
    'a quantity between two steps is refused', tests.line_detail('box', 12, 10, 100, 5, 1000));
select tests.refuses(tests.buy(tests.one('rare', 2)), 'PT409 stock_insufficient',
    'more than there is is refused', tests.line_detail('rare', 2, 1, 100, 1, 1));
select tests.refuses(tests.buy(tests.one('shoe', 9)), 'PT409 stock_insufficient',
    'what other orders hold is not there', tests.line_detail('shoe', 9, 1, 100, 1, 8));
select tests.refuses(tests.buy(tests.one('sold-out')), 'PT409 stock_insufficient',
    'a sold-out product is refused', tests.line_detail('sold-out', 1, 1, 100, 1, 0));
select tests.refuses(tests.buy(tests.one('unstocked')), 'PT409 stock_insufficient',
    'a product without a stock row has none', tests.line_detail('unstocked', 1, 1, 100, 1, 0));
select tests.refuses(
    tests.buy(tests.one('shoe') || tests.one('rare', 2)), 'PT409 stock_insufficient',
    'one line that fails refuses the others', tests.line_detail('rare', 2, 1, 100, 1, 1)
);

-- The country -------------------------------------------------------------------------------------

select tests.refuses(
    tests.buy(tests.one('shoe'), c.country, address => tests.address() - 'country'),
    'PT400 country_unknown', format('country %L is not one of the shop''s', c.country),
    coalesce(c.country, '')
)
from (values (null), (''), ('NG'), ('cm'), ('CMR')) as c (country);

-- The address -------------------------------------------------------------------------------------

select tests.refuses(
    tests.buy(tests.one('shoe'), address => a.address::jsonb),
    'PT400 address_invalid', 'an address is refused when it is ' || a.title,
    'address is not an object'
)
from (
    values (null, 'missing'), ('null', 'JSON null'), ('[]', 'an array'), ('"Akwa"', 'a text')
) as a (address, title);
select tests.refuses(
    tests.buy(tests.one('shoe'), address => jsonb_build_object('id', i.id)),
    'PT404 address_not_found', 'an address id is refused when it is ' || i.title, i.id
)
from (
    values
    ('7a000000-0000-4000-8000-000000000001', 'unknown'), ('x', 'no uuid')
) as i (id, title);
select tests.refuses(
    tests.buy(tests.one('shoe'), address => tests.address('ZA')),
    'PT400 address_country_mismatch', 'an address in another country is refused', 'ZA'
);

-- The promo code ----------------------------------------------------------------------------------

select tests.refuses(
    tests.buy(tests.one('shoe'), promo_code => p.code),
    p.refusal, format('promo code %s: %s', p.code, p.refusal), p.code
)
from (
    values
    ('NOSUCH', 'PT404 promo_code_not_found'),
    ('PAUSED', 'PT409 promo_code_inactive'),
    ('ARCHIVED', 'PT409 promo_code_inactive'),
    ('SAM10', 'PT409 promo_code_inactive'),
    ('TOMORROW', 'PT409 promo_code_not_started'),
    ('YESTERDAY', 'PT409 promo_code_expired'),
    ('RAND50', 'PT409 promo_code_currency_mismatch'),
    ('ONCE', 'PT409 promo_code_exhausted'),
    ('EACH', 'PT409 promo_code_used_up')
) as p (code, refusal);
select tests.act_as('pat');
select tests.refuses(
    tests.buy(tests.one('shoe'), promo_code => 'pat10'),
    'PT409 promo_code_own', 'an affiliate does not use their own code', 'pat10'
);

-- The total ---------------------------------------------------------------------------------------

select tests.act_as('amina');
select tests.refuses(
    tests.buy(tests.one('shoe'), expected_total => t.total),
    'PT409 total_changed', format('an expected total of %s is refused', t.total)
)
from (values (0), (-8500), (8499.99), (8500.01), (85000)) as t (total);

select tests.act_as_owner();
select tests.nothing_changed('none of these refusals changed a row');

-- Delivery, and a discount that leaves nothing ----------------------------------------------------
-- given a code over the whole price and, for a while, free delivery

update public.shipping_rates set amount = 0 where country = 'CM';
select tests.remember();
select tests.act_as('amina');
select tests.refuses(
    tests.buy(tests.one('shoe'), promo_code => 'FRANC'),
    'PT409 order_total_too_small', 'an order of nothing is refused', '0.00'
);
select tests.act_as_owner();
select tests.nothing_changed('which changes nothing');

-- given no delivery to Cameroon as of today
update public.shipping_rates set amount = 3500, valid_until = current_date where country = 'CM';
select tests.remember();
select tests.act_as('amina');
select tests.refuses(
    tests.buy(tests.one('shoe')), 'PT409 shipping_unavailable',
    'a country without a delivery rate of today takes no orders', 'CM'
);
select tests.act_as_owner();
select tests.nothing_changed('which changes nothing either');

-- What was refused for a moment can be had after --------------------------------------------------

update public.shipping_rates set valid_until = null where country = 'CM';
select tests.act_as('amina');
select lives_ok(
    tests.buy(tests.one('shoe'), promo_code => 'FRANC', idempotency_key => 'amina-key'),
    'a key of refused requests is free for one that succeeds'
);
select tests.refuses(
    tests.buy(tests.one('shoe'), idempotency_key => 'amina-key'),
    'PT409 idempotency_key_reused', 'and taken from then on', 'amina-key'
);
select results_eq(
    $$ select o.subtotal_price, o.discount_amount, o.shipping_amount, o.total_price
       from public.orders as o where o.promo_code = 'FRANC' $$,
    $$ values (5000.00, 5000.00, 3500.00, 3500.00) $$,
    'a discount of the whole price leaves the delivery to pay'
);

-- In the asker's language -------------------------------------------------------------------------

select tests.speaks('fr');
select is(
    (tests.attempt(tests.buy('[]', idempotency_key => 'amina-key-2'))).message,
    'Il n''y a rien à commander.',
    'a refusal speaks the language of the request'
);
select tests.speaks('en');
select is(
    (tests.attempt(tests.buy('[]', idempotency_key => 'amina-key-2'))).message,
    'There is nothing to order.',
    'whatever the person''s own language'
);
select tests.speaks(null);
select is(
    (tests.attempt(tests.buy('[]', idempotency_key => 'amina-key-2'))).message,
    'Il n''y a rien à commander.',
    'and the person''s own when the request names none'
);

select * from finish();
rollback;
