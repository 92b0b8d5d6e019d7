-- What admins do about prices: set one by hand, give it back, change the rules.
begin;
\ir ../_helpers.psql
\ir _prices.psql
select plan(82);

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
('public.price_roundings()'), ('public.set_price_roundings(''ZAR'', ''[]'')'),
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
        "per_kilogram": 0.00, "currency": "USD", "assumed_grams": 500, "volume_divisor": null,
        "note": "Tariff."
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
select tests.refuses(
    $$select public.set_price_rule('duty', currency => 'XXX', percent => 1)$$,
    'PT400 currency_unknown', 'and in a currency of the shop', 'XXX'
);
select tests.refuses(
    format('select public.set_price_rule(%s)', r.arguments),
    'PT400 price_rule_invalid', r.title, r.argument
)
from (
    values
    ('null, percent => 1', 'component', 'a rule is of some kind'),
    ('''luck'', percent => 1', 'component', 'of a known one'),
    ('''duty'', country => ''ZA'', percent => 1, amount => 5', 'amount', 'a duty has no amount'),
    ('''margin'', percent => 1, per_kilogram => 5', 'per_kilogram', 'a margin has no weight'),
    ('''freight'', percent => 1', 'percent', 'a freight no percentage'),
    ('''payment_fee'', country => ''ZA'', percent => 40', 'percent',
        'a fee is not more than the gateway could ask'),
    ('''duty'', percent => 1e9', 'percent', 'a duty not more than the goods nine times over'),
    ('''duty'', percent => -1', 'percent', 'nor less than nothing'),
    ('''freight'', amount => 1e10', 'amount', 'an amount is one that can be paid'),
    ('''freight'', amount => ''NaN''', 'amount', 'it is a number'),
    ('''freight'', amount => 1, per_kilogram => ''NaN''', 'per_kilogram', 'one by weight as well'),
    ('''duty'', percent => ''NaN''', 'percent', 'and a percentage'),
    ('''duty'', country => ''ZA'', min_cost => ''NaN'', percent => 1', 'min_cost',
        'a band begins at a number'),
    ('''duty'', country => ''ZA'', below_cost => ''NaN'', percent => 1', 'below_cost',
        'and ends at one'),
    ('''freight'', assumed_grams => 0', 'assumed_grams', 'nothing weighs nothing'),
    ('''freight'', volume_divisor => 0', 'volume_divisor', 'nothing is that large'),
    ('''duty'', percent => 1, volume_divisor => 6000', 'volume_divisor', 'a duty has no size'),
    ('''duty'', percent => 1, note => E''one\ntwo''', 'note', 'a note is one line'),
    ('''margin''', 'percent', 'a margin says how much it is'),
    ('''freight'', assumed_grams => 500', 'amount', 'and so does a freight')
) as r (arguments, argument, title);
select is(
    public.set_price_rule(
        'freight', 'retail', amount => 2, per_kilogram => 10, volume_divisor => 5000
    ) -> 'volume_divisor',
    '5000', 'a freight by size'
);

-- how prices end
select is(
    public.price_roundings(),
    '{
        "XAF": [
            {"from": 0, "step": 50.00, "ending": 0.00},
            {"from": 10000, "step": 100.00, "ending": 0.00}
        ],
        "ZAR": [{"from": 0, "step": 1.00, "ending": 0.90}]
    }',
    'an admin sees how prices end'
);
select tests.refuses(
    format('select public.set_price_roundings(%L, %L)', 'ZAR', r.roundings),
    'PT400 price_roundings_invalid', r.title, r.argument
)
from (
    values
    (null, 'roundings', 'prices end somehow'), ('[]', 'roundings', 'one band at least'),
    ('{}', 'roundings', 'bands are a list'), ('[7]', 'roundings[0].band', 'of objects'),
    ('[{"from": 1, "step": 1}]', 'roundings[0].from', 'the first begins at nothing'),
    ('[{"from": 0, "step": 1}, {"from": 0, "step": 2}]', 'roundings[1].from',
        'each above the last'),
    ('[{"from": "0", "step": 1}]', 'roundings[0].from', 'at a number'),
    ('[{"from": 0}]', 'roundings[0].step', 'with a step'),
    ('[{"from": 0, "step": 0}]', 'roundings[0].step', 'that is something'),
    ('[{"from": 0, "step": 0.001}]', 'roundings[0].step', 'and can be paid'),
    ('[{"from": 0, "step": 1, "ending": 1}]', 'roundings[0].ending', 'an ending is within a step'),
    ('[{"from": 0, "step": 1, "ending": -0.1}]', 'roundings[0].ending', 'and not below'),
    ('[{"from": 0, "step": 1, "ending": 0.905}]', 'roundings[0].ending', 'and can be paid')
) as r (roundings, argument, title);
select tests.refuses(
    $$select public.set_price_roundings('XXX', '[{"from": 0, "step": 1}]')$$,
    'PT400 currency_unknown', 'in a currency of the shop', 'XXX'
);
select is(
    public.set_price_roundings(
        'ZAR', '[{"from": 0, "step": 0.5}, {"from": 100, "step": 10, "ending": 9}]'
    ) -> 'ZAR',
    '[
        {"from": 0, "step": 0.50, "ending": 0.00}, {"from": 100, "step": 10.00, "ending": 9.00}
    ]',
    'an admin changes all of a currency at once'
);
select is(
    public.price_roundings() #> '{XAF,0,step}', '50.00', 'and of no other'
);
select tests.act_as_owner();
select is(
    (
        select array_agg(trim_scale(private.round_price(a, 'ZAR')))
        from unnest(array[99.60, 100, 697.16, 1e9]) as a
    ),
    '{100,109,699,1000000009}', 'prices end so from then on, of every size'
);
select is(
    (select r.requested_at > r.started_at from private.repricings as r), true,
    'and all are asked for anew'
);
delete from private.outbox;
update private.repricings set requested_at = '-infinity';
select tests.act_as('ada');
select public.set_price_rule('duty', 'retail', 'CM', percent => 20);

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
