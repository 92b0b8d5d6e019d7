-- Prices are kept by the rules, by hand they stay, and none is ever live under its floor.
begin;
\ir ../_helpers.psql
\ir _prices.psql
select plan(70);

-- given goods that the rules price, and an admin
select tests.make_admin('ada');
select tests.make_user('amina');
select tests.make_product('shoe', price_za => 5000.90, price_cm => 90000);
select tests.make_product('lamp', price_za => 1.90, price_cm => 50);
select tests.make_wholesale_product('box', price_za => 5000.90, price_cm => 90000);
select tests.make_product('gift');
delete from public.product_prices as pp
where pp.listing_id in (tests.id('shoe'), tests.id('box'));

select tests.costs('shoe', 10);
select tests.costs('box', 72, 'CNY');
create function tests.history(name text, country text) returns text []
language sql stable as $$
    select array_agg(
        concat_ws(
            ' ', coalesce(trim_scale(h.previous_amount)::text, '-'),
            coalesce(trim_scale(h.amount)::text, '-'), h.source
        )
        order by h.changed_at
    )
    from public.price_history as h
    where h.listing_id = tests.id(history.name) and h.country = history.country
$$;

-- the rule's prices
select is(
    tests.set_prices('shoe', 'box', 'gift'),
    '{"priced": 4, "written": 4, "held": 0, "unpriced": 0}',
    'every country''s price is made; goods without a known cost are left alone'
);
select results_eq(
    $$
    select n.name, pp.country, pp.currency, pp.amount, pp.source, pp.is_listed, f.amount
    from public.product_prices as pp
    inner join tests.names as n on pp.listing_id = n.id
    inner join private.price_floors as f
        on pp.listing_id = f.listing_id and pp.country = f.country
    order by n.name, pp.country
    $$,
    $$
    values
    ('box', 'CM', 'XAF', 16400.00, 'rule', true, 11976.00),
    ('box', 'ZA', 'ZAR', 471.90, 'rule', true, 345.85),
    ('shoe', 'CM', 'XAF', 24200.00, 'rule', true, 17704.00),
    ('shoe', 'ZA', 'ZAR', 697.90, 'rule', true, 511.26)
    $$,
    'prices and floors as the rules have them'
);
select results_eq(
    $$
    select pp.country, pp.amount, pp.source
    from public.product_prices as pp
    where pp.listing_id = tests.id('gift') order by pp.country
    $$,
    $$values ('CM', 5000.00, 'manual'), ('ZA', 100.00, 'manual')$$,
    'a price set by hand stays'
);

-- a second run writes nothing: no row version, no history
create table tests.versions as
select 'price' as what, pp.listing_id, pp.country, pp.xmin::text as version, pp.ctid::text as place
from public.product_prices as pp
union all
select 'floor', f.listing_id, f.country, f.xmin::text, f.ctid::text
from private.price_floors as f
union all
select 'history', h.id, h.country, h.xmin::text, h.ctid::text
from public.price_history as h;
select is(
    tests.set_prices('shoe', 'box', 'gift'),
    '{"priced": 4, "written": 0, "held": 0, "unpriced": 0}', 'a second run changes nothing'
);
select results_eq(
    $$
    select
        'price' as what, pp.listing_id, pp.country, pp.xmin::text as version,
        pp.ctid::text as place
    from public.product_prices as pp
    union all
    select 'floor', f.listing_id, f.country, f.xmin::text, f.ctid::text
    from private.price_floors as f
    union all
    select 'history', h.id, h.country, h.xmin::text, h.ctid::text
    from public.price_history as h
    order by 1, 2, 3
    $$,
    $$select * from tests.versions order by 1, 2, 3$$,
    'and writes no row version'
);

-- costs move, prices and history follow
select tests.costs('shoe', 20);
select is(
    tests.set_prices('shoe'), '{"priced": 2, "written": 2, "held": 0, "unpriced": 0}',
    'a higher cost raises price and floor at once'
);
select is(tests.price('shoe', 'CM'), 38400.00, 'the price is higher');
select is(tests.floor_of('shoe', 'CM'), 28117.00, 'the floor is higher');
select tests.costs('shoe', 10);
select tests.set_prices('shoe');
select is(tests.price('shoe', 'CM'), 24200.00, 'a lower cost brings the price back');
select is(tests.floor_of('shoe', 'CM'), 17704.00, 'and the floor');
select is(
    tests.history('shoe', 'CM'),
    '{"- 90000 manual","90000 - manual","- 24200 rule","24200 38400 rule","38400 24200 rule"}',
    'every price that was live is in the history'
);
select tests.refuses(
    $$update public.price_history set amount = 1 where amount = 38400$$,
    'PT409 record_immutable', 'history is not changed'
);
select tests.refuses(
    $$delete from public.price_history where amount = 38400$$,
    'PT409 record_immutable', 'and not deleted'
);

-- a cent above the floor and a cent below it
select tests.refuses(
    $$
    update public.product_prices set amount = 511.25, source = 'manual'
    where listing_id = tests.id('shoe') and country = 'ZA'
    $$,
    'PT409 price_below_floor', 'no price is set under its floor', '511.25 ZAR'
);
select tests.affects(
    $$
    update public.product_prices set amount = 511.26, source = 'manual'
    where listing_id = tests.id('shoe') and country = 'ZA'
    $$,
    1, 'at its floor it is'
);
select tests.act_as_service_role();
select tests.refuses(
    $$
    update public.product_prices set amount = 100
    where listing_id = tests.id('shoe') and country = 'CM'
    $$,
    'PT409 price_below_floor', 'the API key''s role cannot either'
);
select tests.refuses(
    $$
    insert into public.product_prices (product_id, country, currency, amount)
    select tests.id('shoe'), 'CM', 'XAF', 100
    where false
    union all
    select tests.id('shoe'), 'CM', 'XAF', 100
    on conflict on constraint product_prices_pkey do update set amount = excluded.amount
    $$,
    'PT409 price_below_floor', 'nor by an upsert'
);
select tests.act_as_owner();
select is(
    tests.set_prices('shoe'), '{"priced": 2, "written": 0, "held": 0, "unpriced": 0}',
    'no run overwrites a price set by hand'
);
select is(tests.price('shoe', 'ZA'), 511.26, 'so it stays');

-- a floor that overtakes a price set by hand: not for sale, and the admins are told, once
select tests.costs('shoe', 11);
select is(
    tests.set_prices('shoe'), '{"priced": 2, "written": 1, "held": 1, "unpriced": 0}',
    'a price under its new floor is held'
);
select results_eq(
    $$
    select pp.amount, pp.source, pp.is_held, pp.is_listed
    from public.product_prices as pp
    where pp.listing_id = tests.id('shoe') and pp.country = 'ZA'
    $$,
    $$values (511.26, 'manual', true, false)$$, 'as it was set, but not for sale'
);
select is(
    (
        select l.problem
        from private.price_lines(
            array[tests.id('shoe')], '{retail}', '{1}', 'ZA'
        ) as l
    ),
    'product_not_sold_in_country', 'nobody can order it there'
);
select is(
    (tests.history('shoe', 'ZA')) [6:7], '{"697.9 511.26 manual","511.26 - manual"}',
    'which the history says as well'
);
select results_eq(
    $$
    select e.kind, e.detail, e.evidence -> 'prices' -> 0 ->> 'floor'
    from private.payment_exceptions as e where e.kind = 'price_held'
    $$,
    $$values ('price_held', '1', '541.33')$$, 'a person is asked to look at it'
);
select is(
    (select count(*) from public.notifications as n where n.user_id = tests.id('ada')),
    1::bigint, 'the admin has a message'
);
select tests.act_as('amina');
select is(
    (
        select array_agg(pp.country) from public.product_prices as pp
        where pp.listing_id = tests.id('shoe')
    ),
    '{CM}', 'a shopper does not see a held price'
);
select tests.act_as('ada');
select is(
    (
        select array_agg(pp.country order by pp.country) from public.product_prices as pp
        where pp.listing_id = tests.id('shoe')
    ),
    '{CM,ZA}', 'an admin does'
);
select tests.act_as_owner();
update public.products set seller_rating = 4.5 where id = tests.id('shoe');
select results_eq(
    $$
    select pp.rating, pp.is_listed from public.product_prices as pp
    where pp.listing_id = tests.id('shoe') and pp.country = 'ZA'
    $$,
    $$values (4.50, false)$$, 'what else changes of the product does not list it'
);
select tests.costs('shoe', 12);
select tests.set_prices('shoe');
select is(
    (select count(*) from public.notifications as n where n.user_id = tests.id('ada')),
    1::bigint, 'the same batch tells nobody twice'
);
select tests.costs('shoe', 10);
select is(
    tests.set_prices('shoe'), '{"priced": 2, "written": 1, "held": 0, "unpriced": 0}',
    'a floor that falls sets it free'
);
select results_eq(
    $$
    select pp.amount, pp.is_held, pp.is_listed
    from public.product_prices as pp
    where pp.listing_id = tests.id('shoe') and pp.country = 'ZA'
    $$,
    $$values (511.26, false, true)$$, 'and it is for sale as before'
);

-- a floor that comes after the price
select tests.costs('lamp', 10);
select tests.set_prices('lamp');
select is(
    (
        select array_agg(pp.is_held) from public.product_prices as pp
        where pp.listing_id = tests.id('lamp')
    ),
    '{t,t}', 'prices by hand that were under the floor all along are held when it is known'
);
update public.products set is_active = false where id = tests.id('lamp');
delete from private.product_costs where product_id = tests.id('lamp');
select tests.violates(
    $$
    update public.product_prices set is_listed = true
    where listing_id = tests.id('lamp')
    $$,
    'product_prices_held_is_not_listed', 'what is held is never listed'
);
update public.product_prices set is_held = false where listing_id = tests.id('lamp');
select is(
    (
        select array_agg(pp.is_listed) from public.product_prices as pp
        where pp.listing_id = tests.id('lamp')
    ),
    '{f,f}', 'what is no longer held is listed only if its product is on sale'
);

-- where nothing is sent, nothing is sold; what was set by hand is a person's doing
insert into private.product_freights (listing_id, country, is_served)
values (tests.id('shoe'), 'CM', false), (tests.id('shoe'), 'ZA', false);
select is(
    tests.set_prices('shoe'), '{"priced": 0, "written": 1, "held": 0, "unpriced": 2}',
    'the rule''s price goes where nothing is sent'
);
select is(tests.price('shoe', 'CM'), null, 'it is gone');
select is(tests.price('shoe', 'ZA'), 511.26, 'the one by hand is not');
select is(
    (tests.history('shoe', 'CM')) [9], '24200 - rule', 'the history knows its last move'
);
select tests.costs('shoe', 11);
select is(
    tests.set_prices('shoe'), '{"priced": 0, "written": 0, "held": 1, "unpriced": 2}',
    'nor is it sold there below what a piece costs by now'
);
select is(
    tests.floor_of('shoe', 'ZA'), 541.33, 'which is worked out where nothing is sent as well'
);
select tests.costs('shoe', 10);
select tests.set_prices('shoe');
select is(tests.price('shoe', 'ZA'), 511.26, 'and it is sold again when that falls');
delete from private.product_freights;
select tests.set_prices('shoe');
select is(tests.price('shoe', 'CM'), 24200.00, 'it is back when something is sent again');

-- what costs more than a price can be is not for sale at the price of another day
select tests.costs('shoe', 900000000);
select is(
    tests.set_prices('shoe'), '{"priced": 0, "written": 0, "held": 2, "unpriced": 2}',
    'a cost that no price covers holds the prices'
);
select is(
    tests.price('shoe', 'CM'), null, 'nobody buys at the last price, made by the rules'
);
select is(tests.price('shoe', 'ZA'), null, 'nor at one set by hand');
select tests.costs('shoe', 10);
select is(
    tests.set_prices('shoe'), '{"priced": 2, "written": 1, "held": 0, "unpriced": 0}',
    'a cost that can be covered sets them free'
);
select is(tests.price('shoe', 'CM'), 24200.00, 'as it is made now');
select is(tests.price('shoe', 'ZA'), 511.26, 'as it was set');

-- no rate or no rule: the last price stays
delete from private.price_rules where component = 'margin';
select is(
    tests.set_prices('shoe'), '{"priced": 0, "written": 0, "held": 0, "unpriced": 2}',
    'without a rule nothing is written'
);
select is(tests.price('shoe', 'CM'), 24200.00, 'and the last good price stays');
-- but not when the goods have become dearer: nobody knows what they may be sold for
select tests.costs('shoe', 9.99);
select is(
    tests.set_prices('shoe') -> 'held', '0', 'what has become cheaper stays at the last price'
);
select tests.costs('shoe', 10.01);
select is(
    tests.set_prices('shoe'), '{"priced": 0, "written": 0, "held": 2, "unpriced": 2}',
    'what has become dearer and has no new price is held'
);
select results_eq(
    $$
    select e.detail, e.evidence ->> 'reason' from private.payment_exceptions as e
    where e.kind = 'price_held' order by e.evidence ->> 'reason'
    $$,
    $$values ('1', 'under_floor'), ('2', 'unpriced')$$, 'and a person is asked to look at it'
);
select is(
    (
        select array_agg(r ->> 'reason')
        from (select tests.act_as('ada')) as a
        cross join lateral jsonb_array_elements(
            public.explain_price(tests.id('shoe'), 'retail', 1, 'CM') -> 'rules'
        ) as r
    ),
    '{held_unpriced}', 'an admin reads why'
);
select tests.act_as_owner();
insert into private.price_rules (component, country, percent) values ('margin', 'CM', 50);
select is(
    tests.set_prices('shoe'), '{"priced": 1, "written": 1, "held": 1, "unpriced": 1}',
    'a country that has a rule again has a price again, the other has none'
);
select is(tests.price('shoe', 'ZA'), null, 'what sets one free leaves the other held');
update private.price_rules set country = null where component = 'margin';
select tests.costs('shoe', 10);
select tests.set_prices('shoe');
select is(
    (
        select array_agg(pp.country || ' ' || pp.amount order by pp.country)
        from public.product_prices as pp
        where pp.listing_id = tests.id('shoe') and not pp.is_held
    ),
    '{"CM 24200.00","ZA 511.26"}', 'with rules for all both are sold'
);
-- a tax that ran out is not a tax of nothing
update public.tax_rates set valid_until = current_date where country = 'CM';
select is(
    tests.set_prices('shoe'), '{"priced": 1, "written": 0, "held": 0, "unpriced": 1}',
    'without a tax for today the price is not made anew'
);
select is(tests.price('shoe', 'CM'), 24200.00, 'the one with the last tax stays');
update public.tax_rates set valid_until = null where country = 'CM';

-- the invariant sees what no door lets in
set constraints all immediate;
alter table public.product_prices disable trigger user;
update public.product_prices set amount = 1
where listing_id = tests.id('shoe') and country = 'CM';
alter table public.product_prices enable trigger user;
select set_eq(
    $$
    select i.check_name, n.name, i.detail from private.invariant_prices as i
    inner join tests.names as n on i.subject_id = n.id
    $$,
    $$
    values
    ('prices', 'shoe', 'CM 1.00 is under its floor 17704.00'),
    ('prices', 'shoe', 'CM is live at 1.00, its history says 24200.00')
    $$,
    'a live price under its floor, or without its history, is a broken invariant'
);
alter table public.product_prices disable trigger user;
update public.product_prices set amount = 24200
where listing_id = tests.id('shoe') and country = 'CM';
alter table public.product_prices enable trigger user;
select is_empty('select * from private.invariant_prices', 'and mended it is none');

-- a product takes its costs, floors, prices and history along
delete from public.product_stock where product_id = tests.id('shoe');
select tests.affects(
    $$delete from public.products where id = tests.id('shoe')$$, 1, 'a product can be deleted'
);
select is(
    (
        select array[
            (select count(*) from private.product_costs as c where c.product_id = tests.id('shoe')),
            (select count(*) from private.price_floors as f where f.listing_id = tests.id('shoe')),
            (select count(*) from public.price_history as h where h.listing_id = tests.id('shoe'))
        ]
    ),
    '{0,0,0}', 'with its costs, floors and history'
);
select tests.act_as('amina');
select tests.closed('private.product_costs');
select tests.closed('public.price_history', 'insert', 'update', 'delete');

select * from finish();
rollback;
