begin;
\ir ../_helpers.psql
select plan(44);

-- given rates that this test knows
update public.shipping_rates set amount = 3500, free_from = 60000, valid_until = null
where country = 'CM';
update public.shipping_rates set amount = 99, free_from = 1500, valid_until = null
where country = 'ZA';
update public.tax_rates set rate = 0.1925, valid_until = null where country = 'CM';
update public.tax_rates set rate = 0.15, valid_until = null where country = 'ZA';

create function tests.line(quote jsonb, name text) returns jsonb
language sql stable security definer as $$
    select l from jsonb_array_elements(line.quote -> 'lines') as l
    where (l ->> 'product_id')::uuid = tests.id(line.name)
$$;
-- Unit price of so many wholesale pieces, and a quote without its lines.
create function tests.unit_price_of(quantity integer, country text default 'CM') returns numeric
language plpgsql as $$
begin
    perform public.add_to_cart(tests.id('Zorb box'), 'wholesale', unit_price_of.quantity);
    return (
        tests.line(public.quote_cart(unit_price_of.country), 'Zorb box') ->> 'unit_price'
    )::numeric;
end
$$;
create function tests.sums(promo_code text default null) returns jsonb
language sql as $$
    select
        q - '{lines,changes,country,currency,duty}'::text []
        - '{exchange_rate,exchange_rate_source,exchange_rate_at}'::text []
    from public.quote_cart('CM', sums.promo_code) as q
$$;

select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('binta', 'en', 'ZA');
select tests.make_affiliate('moussa');
select tests.make_affiliate('waiting', 'pending');
select tests.make_admin('ada');
select tests.make_promo_code('TESTTEN', 'moussa', discount_percent => 10);
select tests.make_product(
    'Zorb shoe', price_cm => 5000, price_za => 149.99, name_fr => 'Chaussure zorb', stock => 50
);
select tests.make_wholesale_product(
    'Zorb box', price_cm => 2500, price_za => 50, min_order_quantity => 10, stock => 500,
    bulk_discount_percent => 4, bulk_min_quantity => 20
);
insert into public.price_tiers (retailer_product_id, quantities, discount_percent)
values (tests.id('Zorb box'), '[30,50)', 3), (tests.id('Zorb box'), '[50,)', 12.5);

-- An empty cart costs nothing.
select tests.act_as('amina');
select is(
    public.quote_cart('CM'),
    '{
        "country": "CM", "currency": "XAF", "lines": [], "subtotal": 0, "promo_code": null,
        "promo_problem": null, "discount": 0, "shipping": 0, "duty": 0, "tax": 0, "total": 0,
        "exchange_rate": null, "exchange_rate_source": null, "exchange_rate_at": null,
        "changes": []
    }',
    'an empty cart costs nothing, not even delivery'
);

-- A full quote: 2 x 5000 + 20 x 2400 (4 percent for 20 pieces) + 3500; 61500 contains 9928 tax.
select public.add_to_cart(tests.id('Zorb shoe'), 'retail', 2);
select public.add_to_cart(tests.id('Zorb box'), 'wholesale', 20);
select tests.speaks('fr');
select results_eq(
    $$
    select q - 'lines', jsonb_array_length(q -> 'lines'), tests.line(q, 'Zorb shoe'),
        tests.line(q, 'Zorb box')
    from public.quote_cart('CM') as q
    $$,
    $$
    values (
        '{
            "country": "CM", "currency": "XAF", "subtotal": 58000, "promo_code": null,
            "promo_problem": null, "discount": 0, "shipping": 3500, "duty": 0, "tax": 9928,
            "total": 61500, "changes": [],
            "exchange_rate": null, "exchange_rate_source": null, "exchange_rate_at": null
        }'::jsonb,
        2,
        jsonb_build_object(
            'product_id', tests.id('Zorb shoe'), 'channel', 'retail', 'name', 'Chaussure zorb',
            'quantity', 2, 'list_price', 5000, 'unit_price', 5000, 'subtotal', 10000,
            'available', 50, 'problem', null
        ),
        jsonb_build_object(
            'product_id', tests.id('Zorb box'), 'channel', 'wholesale', 'name', 'Zorb box',
            'quantity', 20, 'list_price', 2500, 'unit_price', 2400, 'subtotal', 48000,
            'available', 500, 'problem', null
        )
    )
    $$,
    'a quote has its lines, delivery, the tax that is contained, and adds up'
);
select tests.speaks('en');
select is(
    tests.line(public.quote_cart('CM'), 'Zorb shoe') ->> 'name', 'Zorb shoe',
    'names are in the reader''s language'
);

-- the same cart in the other country: its own prices, currency, rates
select results_eq(
    $$
    select q ->> 'currency', (q ->> 'subtotal')::numeric, (q ->> 'shipping')::numeric,
        (q ->> 'tax')::numeric, (q ->> 'total')::numeric
    from public.quote_cart('ZA') as q
    $$,
    $$values ('ZAR', 1259.98, 99.00, 177.26, 1358.98)$$,
    'prices are those of the country asked for'
);

-- wholesale prices: the better of the tier and the bulk discount, to the franc
select is(
    array(select tests.unit_price_of(q) from unnest(array[10, 19, 20, 30, 49, 50]) as q),
    array[2500, 2500, 2400, 2400, 2400, 2188]::numeric [],
    'no discount below the bulk quantity, then the better of bulk and tier, rounded to the franc'
);
select is(tests.unit_price_of(50, 'ZA'), 43.75, 'and to the cent');

-- delivery is free from a sum, counted after the discount
select public.add_to_cart(tests.id('Zorb box'), 'wholesale', 10);
select public.add_to_cart(tests.id('Zorb shoe'), 'retail', 7);
select is(
    tests.sums(),
    '{
        "subtotal": 60000, "discount": 0, "shipping": 0, "tax": 9686, "total": 60000,
        "promo_code": null, "promo_problem": null
    }',
    'delivery is free from exactly that sum'
);
select is(
    tests.sums(' testten '),
    '{
        "subtotal": 60000, "discount": 6000, "shipping": 3500, "tax": 9282, "total": 57500,
        "promo_code": "TESTTEN", "promo_problem": null
    }',
    'a promo code counts in any case and with blanks around, and delivery is charged again'
);
select is(tests.sums('  '), tests.sums(), 'a code of blanks is no code');

-- amounts off
select tests.act_as_owner();
select tests.make_promo_code('TESTOFF', 'ada', discount_amount => 1000, currency => 'XAF');
select tests.make_promo_code('TESTALL', 'ada', discount_amount => 99000, currency => 'XAF');
select tests.make_promo_code('TESTODD', 'ada', discount_percent => 33.33);
select tests.act_as('amina');
select is(
    tests.sums('TESTOFF') - 'tax',
    '{
        "subtotal": 60000, "discount": 1000, "shipping": 3500, "total": 62500,
        "promo_code": "TESTOFF", "promo_problem": null
    }',
    'an amount is taken off'
);
select is(
    tests.sums('TESTALL') - 'tax',
    '{
        "subtotal": 60000, "discount": 60000, "shipping": 3500, "total": 3500,
        "promo_code": "TESTALL", "promo_problem": null
    }',
    'never more than there is'
);
select is(tests.sums('TESTODD') ->> 'discount', '19998.00', 'a share is rounded to the franc');

-- a code that does not hold says why and counts nothing
select tests.act_as_owner();
select tests.make_promo_code('TESTPAUSED', 'moussa', status => 'paused');
select tests.make_promo_code('TESTWAITING', 'waiting');
select tests.make_promo_code('TESTLATER', 'moussa', starts_at => now() + interval '1 second');
select tests.make_promo_code('TESTOVER', 'moussa', ends_at => now());
select tests.make_promo_code('TESTRAND', 'moussa', discount_amount => 5, currency => 'ZAR');
select tests.make_promo_code('TESTFULL', 'moussa', usage_limit => 2);
update public.promo_codes set usage_count = 1, reserved_count = 1 where code = 'TESTFULL';
select tests.make_promo_code('TESTONCE', 'moussa', per_user_limit => 1);
select tests.place_order(
    'used', 'amina', jsonb_build_array(tests.item('Zorb shoe', 1)), promo_code => 'TESTONCE'
);
create temp table problems (code text, problem text);
grant select on problems to public;
insert into problems values
('TESTNONE', 'promo_code_not_found'),
('TESTPAUSED', 'promo_code_inactive'),
('TESTWAITING', 'promo_code_inactive'),
('TESTLATER', 'promo_code_not_started'),
('TESTOVER', 'promo_code_expired'),
('TESTRAND', 'promo_code_currency_mismatch'),
('TESTFULL', 'promo_code_exhausted'),
('TESTONCE', 'promo_code_used_up');
select tests.act_as('amina');
select is(
    tests.sums(p.code),
    tests.sums() || jsonb_build_object('promo_problem', p.problem),
    p.code || ' counts nothing: ' || p.problem
)
from problems as p;
select tests.act_as('moussa');
select is(
    public.quote_cart('CM', 'TESTTEN') ->> 'promo_problem', 'promo_code_own',
    'nobody uses a code of their own'
);

-- guessing codes is limited; knowing one is not guessing
select tests.act_as('binta');
select public.quote_cart('ZA', 'TESTTEN') from generate_series(1, 30);
select is(
    public.quote_cart('ZA', 'TESTTEN') ->> 'promo_problem', null,
    'a good code may be looked at as often as one likes'
);
select public.quote_cart('ZA', 'GUESS' || n) from generate_series(1, 20) as n;
select tests.refuses(
    $$select public.quote_cart('ZA', 'GUESS21')$$,
    'PGRST rate_limit_exceeded', 'after 20 guesses the next is refused',
    '{"status": 429, "headers": {"Retry-After": "30"}}'
);
select tests.refuses(
    $$select public.quote_cart('ZA', 'TESTTEN')$$,
    'PGRST rate_limit_exceeded', 'and a hit among them would not show'
);
select lives_ok($$select public.quote_cart('ZA')$$, 'a quote without a code is not limited');
select tests.act_as('amina');
select lives_ok(
    $$select public.quote_cart('CM', 'TESTTEN')$$, 'nobody else pays for the guesses'
);

-- what changed since the last look
select tests.act_as_owner();
update public.product_prices set amount = 5500
where listing_id = tests.id('Zorb shoe') and country = 'CM';
select tests.act_as('amina');
select is(
    public.quote_cart('CM') -> 'changes',
    jsonb_build_array(jsonb_build_object(
        'product_id', tests.id('Zorb shoe'), 'channel', 'retail', 'kind', 'price_changed',
        'seen_unit_price', 5000, 'unit_price', 5500, 'available', 49
    )),
    'a price that changed since the last look is said'
);
select is(public.quote_cart('CM') -> 'changes', '[]', 'once');
select is(
    public.quote_cart('ZA') -> 'changes', '[]', 'another country''s price is no change'
);
select results_eq(
    $$
    select c.seen_unit_price, c.seen_currency
    from public.cart_items as c where c.listing_id = tests.id('Zorb shoe')
    $$,
    $$values (149.99, 'ZAR')$$, 'the last look is remembered'
);
select public.quote_cart('CM');

-- lines that cannot be ordered so carry their problem and count nothing
select tests.act_as_owner();
update public.product_stock set on_hand = reserved + 3 where listing_id = tests.id('Zorb shoe');
select tests.act_as('amina');
select results_eq(
    $$
    select tests.line(q, 'Zorb shoe') - 'name', (q ->> 'subtotal')::numeric, q -> 'changes'
    from public.quote_cart('CM') as q
    $$,
    $$
    values (
        jsonb_build_object(
            'product_id', tests.id('Zorb shoe'), 'channel', 'retail', 'quantity', 7,
            'list_price', 5500, 'unit_price', 5500, 'subtotal', 38500, 'available', 3,
            'problem', 'stock_insufficient'
        ),
        25000::numeric,
        jsonb_build_array(jsonb_build_object(
            'product_id', tests.id('Zorb shoe'), 'channel', 'retail',
            'kind', 'stock_insufficient', 'seen_unit_price', 5500, 'unit_price', 5500,
            'available', 3
        ))
    )
    $$,
    'what is not there counts nothing and says how much is'
);
select is(
    public.quote_cart('CM') #>> '{changes,0,kind}', 'stock_insufficient',
    'at every look until it is mended'
);
select tests.act_as_owner();
update public.products set is_active = false where id = tests.id('Zorb shoe');
select tests.act_as('amina');
select results_eq(
    $$
    select l ->> 'name', l ->> 'unit_price', l ->> 'problem', q #>> '{changes,0,kind}',
        (q ->> 'subtotal')::numeric
    from public.quote_cart('CM') as q, tests.line(q, 'Zorb shoe') as l
    $$,
    $$values (null, null, 'product_not_found', 'product_not_found', 25000::numeric)$$,
    'what went off sale has neither name nor price'
);
select tests.act_as_owner();
update public.products set is_active = true where id = tests.id('Zorb shoe');
delete from public.product_prices where listing_id = tests.id('Zorb shoe') and country = 'CM';
select tests.act_as('amina');
select is(
    tests.line(public.quote_cart('CM'), 'Zorb shoe') ->> 'problem', 'product_not_sold_in_country',
    'so does what is no longer sold in the country'
);
select tests.act_as_owner();
update public.products_retailer set min_order_quantity = 15 where id = tests.id('Zorb box');
select tests.act_as('amina');
select results_eq(
    $$
    select tests.line(q, 'Zorb box') ->> 'problem', (q ->> 'subtotal')::numeric,
        (q ->> 'shipping')::numeric, (q ->> 'total')::numeric
    from public.quote_cart('CM') as q
    $$,
    $$values ('quantity_below_minimum', 0::numeric, 0::numeric, 0::numeric)$$,
    'a cart of problems alone costs nothing'
);

-- refusals
select tests.remember();
select tests.refuses(
    format('select public.quote_cart(%L)', c), 'PT400 country_unknown',
    format('country %s is refused', coalesce(c, 'null'))
)
from unnest(array['FR', 'cm', '', null]) as c;
select tests.nothing_changed('a refused quote remembers nothing');
select tests.act_as_owner();
update public.shipping_rates set valid_until = current_date where country = 'CM';
select tests.act_as('amina');
select tests.refuses(
    $$select public.quote_cart('CM')$$,
    'PT409 shipping_unavailable', 'without a delivery charge for today there is no quote', 'CM'
);
select tests.act_as_owner();
update public.shipping_rates set valid_until = null where country = 'CM';
update public.tax_rates set valid_until = current_date where country = 'CM';
update public.products_retailer set min_order_quantity = 2 where id = tests.id('Zorb box');
select tests.act_as('amina');
select is(
    (public.quote_cart('CM') ->> 'tax')::numeric > 0, true,
    'a tax that ran out is contained until another begins'
);
select tests.act_as_owner();
update public.tax_rates set valid_until = null, valid_from = current_date + 1 where country = 'CM';
select tests.act_as('amina');
select is(
    public.quote_cart('CM') ->> 'tax', '0.00', 'one that has not begun is not contained'
);

-- nobody else's cart is in it
select tests.act_as('binta');
select is(
    public.quote_cart('CM') -> 'lines', '[]', 'a quote is of the caller''s cart alone'
);

select * from finish();
rollback;
