-- What a cart costs, what is wrong with it, and what changed since the last look.
begin;
\ir ../_helpers.psql
select plan(43);

-- given amina's cart of two pairs and twenty boxes
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_affiliate('pat');
select tests.make_product('shoe', 10, 100.00, 5000, name_fr => 'Chaussure');
select tests.make_product('shirt', 10, 79.99, 2333);
select tests.make_wholesale_product('box', 500, 50.00, 2333, 10, 5, name_fr => null);
insert into public.price_tiers (retailer_product_id, quantities, discount_percent)
values (tests.id('box'), '[20,)', 7);
select tests.make_promo_code('PAT10', 'pat');
select tests.make_promo_code('RAND50', 'pat', discount_amount => 50, currency => 'ZAR');
select tests.make_promo_code('PAUSED', 'pat', status => 'paused');

-- An empty cart -----------------------------------------------------------------------------------

select tests.act_as('amina');
select is(
    public.quote_cart('CM'),
    '{"country": "CM", "currency": "XAF", "lines": [], "subtotal": 0, "promo_code": null,
      "promo_problem": null, "discount": 0, "shipping": 0, "duty": 0, "tax": 0, "total": 0,
      "exchange_rate": null, "exchange_rate_source": null, "exchange_rate_at": null,
      "changes": []}',
    'an empty cart costs nothing, not even delivery'
);

-- Lines, amounts, names ---------------------------------------------------------------------------

select count(*) from public.add_to_cart(tests.id('shoe'), 'retail', 2);
select tests.act_as_owner();
update public.cart_items set created_at = now() - interval '1 hour';
select tests.act_as('amina');
select count(*) from public.add_to_cart(tests.id('box'), 'wholesale', 20);

select is(
    public.quote_cart('CM'),
    jsonb_build_object(
        'country', 'CM', 'currency', 'XAF',
        'lines', jsonb_build_array(
            jsonb_build_object(
                'product_id', tests.id('shoe'), 'channel', 'retail', 'name', 'Chaussure',
                'quantity', 2, 'list_price', 5000, 'unit_price', 5000, 'subtotal', 10000,
                'available', 10, 'problem', null
            ),
            -- 2333 less 7 percent is 2169.69
            jsonb_build_object(
                'product_id', tests.id('box'), 'channel', 'wholesale', 'name', 'box',
                'quantity', 20, 'list_price', 2333, 'unit_price', 2170, 'subtotal', 43400,
                'available', 500, 'problem', null
            )
        ),
        'subtotal', 53400, 'promo_code', null, 'promo_problem', null, 'discount', 0,
        'shipping', 3500, 'duty', 0, 'tax', 9185, 'total', 56900,
        'exchange_rate', null, 'exchange_rate_source', null, 'exchange_rate_at', null,
        'changes', '[]'::jsonb
    ),
    'the lines in the order they were put, priced for the country, named in the person''s language'
);
select is(
    public.quote_cart('ZA', ' pat10 ') - 'lines' - 'changes',
    -- 200 + 20 x 46.50 = 1130, less 113, plus 99; 1116 x 15 / 115
    '{"country": "ZA", "currency": "ZAR", "subtotal": 1130, "promo_code": "PAT10",
      "promo_problem": null, "discount": 113, "shipping": 99, "duty": 0, "tax": 145.57,
      "total": 1116, "exchange_rate": null, "exchange_rate_source": null, "exchange_rate_at": null}',
    'the same cart elsewhere, with a code written anyhow'
);
select is(public.quote_cart('ZA') -> 'changes', '[]', 'prices of another currency are no change');
select tests.speaks('en');
select is(
    jsonb_path_query_array(public.quote_cart('CM'), '$.lines[*].name'), '["shoe", "box"]',
    'names are in the language of the request'
);
select tests.speaks(null);

-- Codes that do not hold count nothing ------------------------------------------------------------

select is(
    public.quote_cart('CM', p.code) - 'lines' - 'changes',
    jsonb_build_object(
        'country', 'CM', 'currency', 'XAF', 'subtotal', 53400, 'promo_code', null,
        'promo_problem', p.problem, 'discount', 0, 'shipping', 3500, 'duty', 0, 'tax', 9185,
        'total', 56900, 'exchange_rate', null, 'exchange_rate_source', null,
        'exchange_rate_at', null
    ),
    format('code %L: %s', p.code, coalesce(p.problem, 'none'))
)
from (
    values
    ('NOSUCH', 'promo_code_not_found'), ('RAND50', 'promo_code_currency_mismatch'),
    ('PAUSED', 'promo_code_inactive'), ('', null), ('  ', null)
) as p (code, problem);

-- What changed ------------------------------------------------------------------------------------
-- given amina saw the cart in francs
select is(public.quote_cart('CM') -> 'changes', '[]', 'looked at twice, nothing changed');

select tests.act_as_owner();
update public.product_prices set amount = 5500
where listing_id = tests.id('shoe') and country = 'CM';
select tests.act_as('amina');
select is(
    public.quote_cart('CM') -> 'changes',
    jsonb_build_array(jsonb_build_object(
        'product_id', tests.id('shoe'), 'channel', 'retail', 'kind', 'price_changed',
        'seen_unit_price', 5000, 'unit_price', 5500, 'available', 10
    )),
    'a price that rose is told'
);
select is(public.quote_cart('CM') -> 'changes', '[]', 'once');
select tests.act_as_owner();
update public.product_prices set amount = 4500
where listing_id = tests.id('shoe') and country = 'CM';
select tests.act_as('amina');
select is(
    jsonb_path_query_array(public.quote_cart('CM'), '$.changes[*].unit_price'), '[4500]',
    'a price that fell is told'
);
-- fewer boxes: out of the tier
select count(*) from public.add_to_cart(tests.id('box'), 'wholesale', 15);
select is(
    public.quote_cart('CM') -> 'changes',
    jsonb_build_array(jsonb_build_object(
        'product_id', tests.id('box'), 'channel', 'wholesale', 'kind', 'price_changed',
        'seen_unit_price', 2170, 'unit_price', 2333, 'available', 500
    )),
    'a price that the quantity changed is told'
);

-- Lines with a problem count nothing --------------------------------------------------------------
-- 15 boxes at 2333 are left: 34995, with delivery 38495

select tests.act_as_owner();
create table tests.problems (
    place integer, break text, mend text, problem text, available integer
);
insert into tests.problems values
(1, 'update public.product_stock set on_hand = 1 where listing_id = %L',
    'update public.product_stock set on_hand = 10 where listing_id = %L',
    'stock_insufficient', 1),
(2, 'delete from public.product_prices where listing_id = %L and country = ''CM''',
    'insert into public.product_prices (product_id, country, currency, amount) '
    'values (%L, ''CM'', ''XAF'', 4500)',
    'product_not_sold_in_country', 10),
(3, 'update public.products set max_order_quantity = 1 where id = %L',
    'update public.products set max_order_quantity = 100 where id = %L',
    'quantity_above_maximum', 10),
(4, 'update public.products set is_active = false where id = %L',
    'update public.products set is_active = true where id = %L',
    'product_not_found', 0);

create function tests.quote_broken(broken tests.problems) returns setof text
language plpgsql as $$
declare
    v_quote jsonb;
begin
    execute format(broken.break, tests.id('shoe'));
    perform tests.act_as('amina');
    v_quote := public.quote_cart('CM');
    return next is(
        jsonb_path_query_array(v_quote, '$.lines[*].problem'),
        jsonb_build_array(broken.problem, null),
        broken.problem || ' is told of its line'
    );
    return next is(
        v_quote - 'lines' - 'changes',
        '{"country": "CM", "currency": "XAF", "subtotal": 34995, "promo_code": null,
          "promo_problem": null, "discount": 0, "shipping": 3500, "duty": 0, "tax": 6214,
          "total": 38495, "exchange_rate": null, "exchange_rate_source": null, "exchange_rate_at": null}',
        'which counts nothing'
    );
    return next is(
        jsonb_path_query_array(v_quote, '$.changes[*].kind')
        || jsonb_path_query_array(v_quote, '$.changes[*].available'),
        jsonb_build_array(broken.problem, broken.available),
        'and is told among the changes'
    );
    perform tests.act_as_owner();
    execute format(broken.mend, tests.id('shoe'));
    return;
end
$$;
select r.line
from tests.problems as b
cross join lateral tests.quote_broken(b) as r (line)
order by b.place;

-- The quote is the order --------------------------------------------------------------------------

select tests.act_as('amina');
create temporary table quoted as select public.quote_cart('CM', 'PAT10') as quote;
select results_eq(
    format(
        $$ select o.subtotal_price, o.discount_amount, o.shipping_amount, o.duty_amount,
               o.tax_amount, o.total_price, o.promo_code
           from public.place_order(
               'amina-0001', 'CM', tests.address('CM'), 'PAT10', null, %L
           ) as o $$,
        (select q.quote -> 'total' from quoted as q)
    ),
    $$ select (q.quote ->> 'subtotal')::numeric, (q.quote ->> 'discount')::numeric,
           (q.quote ->> 'shipping')::numeric, (q.quote ->> 'duty')::numeric,
           (q.quote ->> 'tax')::numeric, (q.quote ->> 'total')::numeric, q.quote ->> 'promo_code'
       from quoted as q $$,
    'what was quoted is what is ordered'
);

-- Who and where -----------------------------------------------------------------------------------

select tests.refuses(
    format('select public.quote_cart(%L)', c.country), 'PT400 country_unknown',
    format('country %L is not one of the shop''s', c.country), coalesce(c.country, '')
)
from (values ('NG'), ('cm'), ('')) as c (country);
select tests.refuses('select public.quote_cart(null)', 'PT400 country_unknown',
    'nor is none', '');
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses('select public.quote_cart(''CM'')', 'PT401 authentication_required',
    'nobody has no cart');
select tests.act_as_anon();
select tests.denies('select public.quote_cart(''CM'')', 'anon may not call it');
select tests.act_as_service_role();
select tests.denies('select public.quote_cart(''CM'')', 'service_role may not call it');

-- Guessing codes is limited -----------------------------------------------------------------------
-- given bongani, who guesses

select tests.act_as('bongani');
select is(
    (select count(public.quote_cart('ZA', 'GUESS' || g)) from generate_series(1, 20) as g),
    20::bigint,
    'twenty guesses are answered'
);
select tests.refuses('select public.quote_cart(''ZA'', ''GUESS21'')', 'PGRST rate_limit_exceeded',
    'the next is refused');
select lives_ok('select public.quote_cart(''ZA'')', 'a quote without a code is not limited');
select tests.act_as('amina');
select lives_ok('select public.quote_cart(''ZA'', ''PAT10'')', 'nor is another person');

-- The rate that its prices were made with ---------------------------------------------------------

select tests.act_as_owner();
select service.record_exchange_rates(
    '{"ZAR": "17.12", "XAF": "577.07", "EUR": "0.8797"}', 'test', now() - interval '1 hour'
);
select tests.act_as('bongani');
select is(
    (select concat_ws(' ', q ->> 'exchange_rate', q ->> 'exchange_rate_source')
    from public.quote_cart('ZA') as q),
    '17.12000000 test', 'a quote says what rate prices are made with, and whose it is'
);
select count(*) from public.add_to_cart(tests.id('shoe'), 'retail', 1);
select tests.act_as_owner();
select tests.place_order('rated', 'bongani', jsonb_build_array(tests.item('shoe', 1)));
select service.record_exchange_rates('{"ZAR": "17.60", "EUR": "0.9"}', 'later', now());
select is(
    (select r.source from private.pricing_rates as r where r.currency = 'XAF'), 'later',
    'when prices follow another rate'
);
select results_eq(
    $$ select o.exchange_rate, o.exchange_rate_source, o.exchange_rate_at <= now()
       from public.orders as o where o.id = tests.id('rated') $$,
    $$ values (577.04537290, 'test', true) $$, 'an order keeps that of when it was placed'
);

-- More than an order holds ------------------------------------------------------------------------

select tests.make_product('lathe', stock => 20000, price_cm => 1500000);
update public.products set max_order_quantity = 10000 where id = tests.id('lathe');
select tests.act_as('bongani');
select count(*) from public.add_to_cart(tests.id('lathe'), 'retail', 10000);
select tests.refuses(
    'select public.quote_cart(''CM'')', 'PT409 order_total_too_large',
    'a sum that no order can hold is said to be one', '15000004500.00'
);

select * from finish();
rollback;
