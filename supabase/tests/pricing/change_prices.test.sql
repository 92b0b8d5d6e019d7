-- What admins do about prices: set one by hand, give it back, change the rules.
begin;
\ir ../_helpers.psql
\ir _prices.psql
select plan(44);

select tests.make_admin('ada');
select tests.make_user('amina');
select tests.make_product('shoe');
select tests.make_wholesale_product('box');
select tests.make_product('plain');
delete from public.product_prices as pp
where pp.listing_id in (tests.id('shoe'), tests.id('box'));
select tests.costs('shoe', 10);
select tests.set_prices('shoe');
delete from private.outbox;
create function tests.shop_prices(name text) returns setof text
language sql stable security definer as $$
    select concat_ws(' ', pp.country, trim_scale(pp.amount), pp.source)
    from public.product_prices as pp
    where pp.listing_id = tests.id(shop_prices.name)
$$;

-- for admins only
create table tests.calls (sql text);
insert into tests.calls values
('public.set_price(tests.id(''shoe''), ''retail'', ''CM'', 30000)'), ('public.price_rules()'),
('public.set_price_rule(''duty'', percent => 0)'), ('public.remove_price_rule(gen_random_uuid())'),
('public.refused_exchange_rates()'), ('public.accept_exchange_rate(gen_random_uuid())');
grant select on tests.calls to public;
select tests.act_as_anon();
select tests.denies('select ' || c.sql, 'a guest is refused ' || c.sql) from tests.calls as c;
select tests.act_as('amina');
select tests.refuses('select ' || c.sql, 'PT403 admin_required', 'a shopper is refused ' || c.sql)
from tests.calls as c;

-- a price by hand
select tests.act_as('ada');
select is(
    public.set_price(tests.id('shoe'), 'retail', 'CM', 30000) -> 'unit_price', '30000.00'::jsonb,
    'an admin sets a price, and sees what it is now'
);
select set_eq(
    $$select tests.shop_prices('shoe')$$, $$values ('CM 30000 manual'), ('ZA 697.9 rule')$$,
    'by hand, in that country'
);
select is(
    public.set_price(tests.id('box'), 'wholesale', 'ZA', 40) -> 'list_price', '40.00'::jsonb,
    'a price may be the first'
);
select tests.refuses(
    $$select public.set_price(tests.id('shoe'), 'retail', 'CM', 17703)$$,
    'PT409 price_below_floor', 'not under the floor'
);
select tests.refuses(
    $$select public.set_price(tests.id('shoe'), 'retail', 'CM', 30000.5)$$,
    'PT400 price_not_rounded', 'not half a franc', 'XAF'
);
select tests.refuses(
    $$select public.set_price(tests.id('shoe'), 'retail', 'CM', 0)$$,
    'PT400 price_invalid', 'not nothing', '0'
);
select tests.refuses(
    $$select public.set_price(tests.id('shoe'), 'retail', 'CM', 1e10)$$,
    'PT400 price_invalid', 'not more than a price can be', '10000000000'
);
select tests.refuses(
    $$select public.set_price(tests.id('shoe'), 'retail', 'CM', 'NaN')$$,
    'PT400 price_invalid', 'not what is no number', 'NaN'
);
select tests.refuses(
    $$select public.set_price(tests.id('shoe'), 'wholesale', 'CM', 30000)$$,
    'PT404 product_not_found', 'not for a product that is not there'
);
select tests.refuses(
    $$select public.set_price(tests.id('shoe'), 'retail', 'XX', 30000)$$,
    'PT400 country_unknown', 'not for no country', 'XX'
);
select is(
    public.set_price(tests.id('shoe'), 'retail', 'CM', null) -> 'unit_price', '24200.00'::jsonb,
    'without an amount the rules have it again'
);
select set_eq(
    $$select tests.shop_prices('shoe')$$, $$values ('CM 24200 rule'), ('ZA 697.9 rule')$$,
    'at once'
);
select is(
    public.set_price(tests.id('plain'), 'retail', 'ZA', null) -> 'unit_price', '100.00'::jsonb,
    'where the cost is not known the last price stays'
);

-- rules
select is(
    (select count(*) from jsonb_array_elements(public.price_rules()) as r), 8::bigint,
    'an admin sees the rules'
);
select is(
    public.set_price_rule('duty', 'retail', 'CM', 'test-goods', 5, 50, 40, note => 'Tariff.')
    - 'id',
    '{
        "component": "duty", "channel": "retail", "country": "CM", "category": "test-goods",
        "min_cost": 5, "below_cost": 50, "percent": 40.0000, "amount": 0.00,
        "per_kilogram": 0.00, "currency": "USD", "assumed_grams": 500, "note": "Tariff."
    }',
    'an admin adds one'
);
select is(
    public.set_price_rule('duty', 'retail', 'CM', 'test-goods', 5, 50, 45) -> 'percent',
    '45.0000'::jsonb, 'the same again changes it'
);
select is(
    (
        select count(*) from jsonb_array_elements(public.price_rules()) as r
        where r ->> 'component' = 'duty'
    ),
    2::bigint, 'and is no second one'
);
select tests.refuses(
    $$select public.set_price_rule('duty', 'retail', 'CM', 'test-goods', 20, 60, percent => 1)$$,
    'PT409 price_rule_overlaps', 'bands do not overlap', 'duty [5,50)'
);
select tests.refuses(
    $$select public.set_price_rule('duty', min_cost => 20, below_cost => 20, percent => 1)$$,
    'PT400 price_rule_invalid', 'a band has something in it', 'below_cost'
);
select tests.refuses(
    $$select public.set_price_rule('duty', country => 'XX', percent => 1)$$,
    'PT400 country_unknown', 'a rule is for a country of the shop', 'XX'
);
select tests.refuses(
    $$select public.set_price_rule('duty', category => 'nothing', percent => 1)$$,
    'PT404 category_not_found', 'and for a category of the shop', 'nothing'
);
select tests.violates(sql, rule, title)
from (
    values
    ($$select public.set_price_rule('luck', percent => 1)$$,
        'price_rules_component_is_known', 'a rule is of a known kind'),
    ($$select public.set_price_rule('duty', percent => 1, country => 'ZA', amount => 5)$$,
        'price_rules_fits_component', 'a duty has no amount'),
    ($$select public.set_price_rule('payment_fee', country => 'ZA', percent => 40)$$,
        'price_rules_percent_in_range', 'a fee is not more than the gateway could ask'),
    ($$select public.set_price_rule('freight', amount => 'NaN')$$,
        'price_rules_amounts_not_negative', 'an amount is a number'),
    ($$select public.set_price_rule('freight', amount => 1, per_kilogram => 'NaN')$$,
        'price_rules_amounts_not_negative', 'one by weight as well'),
    ($$select public.set_price_rule('duty', percent => 'NaN')$$,
        'price_rules_percent_in_range', 'and a percentage'),
    ($$select public.set_price_rule('duty', country => 'ZA', min_cost => 'NaN', percent => 1)$$,
        'price_rules_costs_are_half_open', 'a band begins at a number')
) as v (sql, rule, title);

-- every change has all prices made anew
select tests.act_as_owner();
select is(
    (
        select r.requested_at > r.started_at from private.repricings as r
    ),
    true, 'after a change of rules all prices are asked for'
);
select is(
    (select array_agg(distinct o.job) from private.outbox as o), '{reprice_products}', 'of a job'
);
select tests.act_as('ada');
select is(
    public.remove_price_rule(
        (
            select (r ->> 'id')::uuid from jsonb_array_elements(public.price_rules()) as r
            where r ->> 'component' = 'duty' and r ->> 'category' = 'test-goods'
        )
    ) ->> 'category',
    'test-goods', 'a rule is taken away'
);
select tests.refuses(
    $$select public.remove_price_rule('00000000-0000-4000-8000-000000000000')$$,
    'PT404 price_rule_not_found', 'once', '00000000-0000-4000-8000-000000000000'
);

select * from finish();
rollback;
