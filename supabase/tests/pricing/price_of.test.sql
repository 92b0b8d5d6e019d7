-- From what a piece costs to what it is sold for: worked examples, and which rule wins.
begin;
\ir ../_helpers.psql
\ir _prices.psql
select plan(50);

create function tests.works_out(name text, country text) returns text
language sql stable as $$
    select concat_ws(
        ' ', trim_scale(p.goods), trim_scale(p.landed), trim_scale(p.floor),
        trim_scale(round(p.target, 4)), trim_scale(p.amount), p.problem
    )
    from private.price_of(array[tests.id(works_out.name)], works_out.country) as p
$$;
create function tests.percents(name text, country text) returns text
language sql stable as $$
    select concat_ws(
        ' ', trim_scale(p.exchange_percent), trim_scale(p.duty_percent),
        trim_scale(p.margin_percent), trim_scale(p.fee_percent), trim_scale(p.floor_percent)
    )
    from private.price_of(array[tests.id(percents.name)], percents.country) as p
$$;

-- given goods of several kinds
select tests.make_category('fashion');
select tests.make_category('shoes', 'fashion');
create function tests.make_bare(name text, category text, weight_grams integer default null)
returns uuid
language sql as $$
    insert into public.products (id, category_id, name, price_mallgram, weight_grams)
    values (
        tests.name_it(make_bare.name, gen_random_uuid(), 'retail'), tests.id(make_bare.category),
        make_bare.name, 10, make_bare.weight_grams
    )
    returning id
$$;
create function tests.make_bare_box(name text, category text, weight_grams integer)
returns uuid
language sql as $$
    insert into public.products_retailer (id, category_id, name, price_mallgram, weight_grams)
    values (
        tests.name_it(make_bare_box.name, gen_random_uuid(), 'wholesale'),
        tests.id(make_bare_box.category), make_bare_box.name, 10, make_bare_box.weight_grams
    )
    returning id
$$;
select count(tests.make_bare(n, 'shoes')) from unnest(array['shoe', 'sock', 'unknown']) as n;
select tests.make_bare('lamp', 'fashion', 1000);
select tests.make_bare_box('box', 'shoes', 500);
select tests.costs('shoe', 10);
select tests.costs('sock', 7.20, 'CNY');
select tests.costs('lamp', 50);
select tests.costs('box', 72, 'CNY');

-- worked by hand: (10 $ + 2 $ + 10 $/kg × 0.5 kg) × 600 = 10,200; with buffer 10,710; with duty
-- 12,852; half more 19,278; / (1 / 1.1925 - 0.04) = 24,140.52, of which the least is 17,704
select is(
    tests.works_out('shoe', 'CM'), '10710 12852 17704 24140.5177 24200',
    'a piece for Cameroon: cost, freight by an assumed weight, buffer, duty, margin, fee and tax'
);
select is(
    tests.works_out('shoe', 'ZA'), '321.3 385.56 511.26 697.1604 697.9',
    'the same for South Africa, to the cents that prices end with'
);
-- 72 ¥ are 10 $; 0.50 $ + 2 $/kg × 0.5 kg
select is(
    tests.works_out('box', 'CM'), '7245 8694 11976 16330.3502 16400',
    'a piece by the box, bought in yuan'
);
-- 1 $ and half of it is less than 3 $
insert into private.price_rules (component, channel, country, category_id, percent, amount)
values ('freight', 'retail', 'ZA', tests.id('shoes'), 0, 1.00);
select is(
    tests.works_out('sock', 'ZA'), '37.8 45.36 60.15 119.7736 119.9',
    'a cheap piece earns at least the margin''s amount'
);

-- a quoted freight and a known duty
select tests.costs('shoe', 10, 'USD', 45);
insert into private.product_freights (listing_id, country, is_served, fee, currency)
values (tests.id('shoe'), 'ZA', true, 7.00, 'USD');
select is(
    tests.works_out('shoe', 'ZA'), '321.3 465.885 617.77 842.4021 842.9',
    'the supplier''s freight and a known duty win over the rules'
);
select is(
    (
        select row(p.freight_is_quoted, p.duty_is_known)::text
        from private.price_of(array[tests.id('shoe')], 'ZA') as p
    ),
    '(t,t)', 'and it is said'
);
update private.product_freights set fee = 50.40, currency = 'CNY'
where listing_id = tests.id('shoe');
select is(
    tests.works_out('shoe', 'ZA'), '321.3 465.885 617.77 842.4021 842.9',
    'a freight may be asked in another currency than the goods'
);
create temp table yuan as select r.* from private.pricing_rates as r where r.currency = 'CNY';
delete from private.pricing_rates where currency = 'CNY';
select results_eq(
    $$select p.problem, p.amount from private.price_of(array[tests.id('shoe')], 'ZA') as p$$,
    $$values ('rate_missing', null::numeric)$$,
    'a quoted freight without a rate is no reason to estimate one'
);
insert into private.pricing_rates select y.* from yuan as y;
update private.product_freights set is_served = false, fee = null, currency = null
where listing_id = tests.id('shoe');
select is(
    (select p.problem from private.price_of(array[tests.id('shoe')], 'ZA') as p),
    'not_served', 'where nothing is sent there is no price'
);
delete from private.product_freights;
select tests.costs('shoe', 10);

-- no buffer where no money is changed
select tests.costs('lamp', 180, 'ZAR', 7.5);
insert into private.product_freights (listing_id, country, is_served, fee, currency)
values (tests.id('lamp'), 'ZA', true, 9.00, 'ZAR');
select is(
    tests.works_out('lamp', 'ZA'), '189 203.175 269.41 367.3762 367.9',
    'goods bought in rand and sold in rand have no buffer for exchange'
);
select is(tests.percents('lamp', 'CM'), '5 7.5 50 4 10', 'sold in francs they have');
delete from private.product_freights;

-- bands of cost: in dollars, from the lower bound on
select tests.costs('lamp', 49.99);
select is(tests.percents('lamp', 'CM'), '5 20 50 4 10', 'below 50 dollars the first band holds');
select tests.costs('lamp', 50);
select is(tests.percents('lamp', 'CM'), '5 20 30 4 10', 'from 50 dollars on the second');
select tests.costs('lamp', 360, 'CNY');
select is(tests.percents('lamp', 'CM'), '5 20 30 4 10', 'whatever the supplier''s currency');
select tests.costs('lamp', 359.99, 'CNY');
select is(tests.percents('lamp', 'CM'), '5 20 50 4 10', 'to the cent');
select tests.costs('lamp', 60);

-- who wins: nearest category, then country, then channel
insert into private.price_rules (component, channel, country, category_id, percent)
values ('duty', 'retail', null, null, 21);
select is(tests.percents('shoe', 'CM'), '5 21 50 4 10', 'a rule of the channel beats one of all');
select is(tests.percents('box', 'CM'), '5 20 50 4 10', 'for its channel only');
insert into private.price_rules (component, channel, country, category_id, percent)
values ('duty', null, 'CM', null, 22);
select is(tests.percents('shoe', 'CM'), '5 22 50 4 10', 'one of the country beats the channel''s');
select is(tests.percents('shoe', 'ZA'), '5 21 50 4 10', 'for its country only');
insert into private.price_rules (component, channel, country, category_id, percent)
values ('duty', 'retail', 'CM', null, 23);
select is(tests.percents('shoe', 'CM'), '5 23 50 4 10', 'one of both beats one of either');
insert into private.price_rules (component, channel, country, category_id, percent)
values ('duty', null, null, tests.id('fashion'), 24);
select is(tests.percents('shoe', 'CM'), '5 24 50 4 10', 'one of a category above beats them all');
select is(tests.percents('lamp', 'ZA'), '5 24 30 4 10', 'for all below it and itself');
insert into private.price_rules (component, channel, country, category_id, percent)
values ('duty', null, null, tests.id('shoes'), 25);
select is(tests.percents('shoe', 'CM'), '5 25 50 4 10', 'and the nearest category beats that');
select is(tests.percents('lamp', 'CM'), '5 24 30 4 10', 'for its branch only');
-- a band that does not reach falls back on what is less specific
insert into private.price_rules (component, category_id, costs, percent)
values ('margin', tests.id('shoes'), '[20,)', 80);
select is(tests.percents('shoe', 'CM'), '5 25 50 4 10', 'a rule for other costs does not hold');
select tests.costs('shoe', 20);
select is(tests.percents('shoe', 'CM'), '5 25 80 4 10', 'and from its costs on it does');
select tests.costs('shoe', 10);

-- what is not known is not zero
select is_empty(
    $$select p.amount from private.price_of(array[tests.id('unknown')]) as p$$,
    'goods without a known cost have no price'
);
update private.price_rules set percent = 0 where component = 'duty';
delete from private.price_rules where component = 'duty';
select is(
    (select p.problem from private.price_of(array[tests.id('shoe')], 'CM') as p),
    'rule_missing', 'a country without a duty''s rule is no country without duty'
);
select is(
    (
        select p.amount is null and p.floor is null
        from private.price_of(array[tests.id('shoe')], 'CM') as p
    ),
    true, 'and has no price'
);
insert into private.price_rules (component, percent) values ('duty', 20);
delete from private.price_rules where component = 'freight';
select is(
    (select p.problem from private.price_of(array[tests.id('shoe')], 'CM') as p),
    'rule_missing', 'nor does an unknown freight cost nothing'
);
insert into private.price_rules (component, amount, per_kilogram) values ('freight', 2, 10);
delete from private.pricing_rates where currency = 'XAF';
select is(
    (
        select array_agg(p.country || coalesce(' ' || p.problem, '') order by p.country)
        from private.price_of(array[tests.id('shoe')]) as p
    ),
    '{CM rate_missing,ZA}', 'a currency without a rate has no price, another has'
);
insert into private.pricing_rates (currency, per_dollar, quoted_at, source)
values ('XAF', 600, now(), 'test');
select tests.costs('shoe', 9000000);
select is(
    (select p.problem from private.price_of(array[tests.id('shoe')], 'CM') as p),
    'too_dear', 'a price beyond what a price can be is none'
);
select tests.costs('shoe', 10);

-- tax follows its dates
update public.tax_rates set valid_until = current_date where country = 'CM';
select is(
    (select p.problem from private.price_of(array[tests.id('shoe')], 'CM') as p),
    'tax_missing', 'a tax that ran out is not known to be none'
);
delete from public.tax_rates where country = 'CM';
select is(
    (
        select p.tax_rate || ' ' || p.amount
        from private.price_of(array[tests.id('shoe')], 'CM') as p
    ),
    '0 20100.00', 'a country that never had one has none'
);
insert into public.tax_rates (country, name, name_fr, rate, valid_from)
values ('CM', 'VAT', 'TVA', 0.25, current_date);
select is(
    (select p.tax_rate from private.price_of(array[tests.id('shoe')], 'CM') as p),
    0.2500, 'the tax of today is in the price'
);

-- a parcel that is large for its weight is sent by its size
select tests.costs('lamp', 10);
update private.product_costs set parcel_cm3 = 12000 where product_id = tests.id('lamp');
select is(
    (select p.freight from private.price_of(array[tests.id('lamp')], 'ZA') as p),
    216.000000, 'size counts for nothing where the rule has no divisor'
);
update private.price_rules set volume_divisor = 6000
where component = 'freight';
select is(
    (select p.freight from private.price_of(array[tests.id('lamp')], 'ZA') as p),
    396.000000, '12 litres are sent as two kilograms'
);
update private.product_costs set parcel_cm3 = 5999 where product_id = tests.id('lamp');
select is(
    (select p.freight from private.price_of(array[tests.id('lamp')], 'ZA') as p),
    216.000000, 'one of a kilogram is never sent as less'
);
update private.product_costs set parcel_cm3 = null where product_id = tests.id('lamp');
select is(
    (select p.freight from private.price_of(array[tests.id('lamp')], 'ZA') as p),
    216.000000, 'an unknown size is not nothing'
);
select tests.violates(
    $$update private.price_rules set volume_divisor = 6000 where component = 'duty'$$,
    'price_rules_fits_component', 'a duty has no size'
);

-- rounding: up, after tax
select is(private.round_price(9950, 'XAF'), 9950::numeric, 'a round price stays');
select is(private.round_price(9950.01, 'XAF'), 10000::numeric, 'above it the next step');
select is(private.round_price(10000.01, 'XAF'), 10100::numeric, 'larger sums have larger steps');
select is(private.round_price(99.9, 'ZAR'), 99.90, 'rand end as they should');
select is(private.round_price(99.91, 'ZAR'), 100.90, 'always upwards');
select is(private.round_price(0.01, 'ZAR'), 0.90, 'from the first');
select is(private.round_price(1.001, 'USD'), 1.01, 'without a rule up to the next cent');

-- the base price tells nobody the cost
select is(
    private.base_price('retail', tests.id('shoes'), 10, 'USD'), 15.00,
    'the base price is cost and margin in dollars'
);
select is(
    private.base_price('retail', tests.id('fashion'), 7.2, 'CNY'), 4.00,
    'at least the margin''s amount, from any currency'
);
select is(
    private.base_price('retail', tests.id('fashion'), 7.2, 'GBP'), null,
    'and nothing without a rate'
);

select * from finish();
rollback;
