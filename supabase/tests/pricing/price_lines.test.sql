-- One resolver: what a list, a page, a cart, a quote and an order say of a quantity is the same.
begin;
\ir ../_helpers.psql
\ir _prices.psql
select plan(35);

-- given wholesale goods with two breaks, a bulk discount, and a floor that ends it
select tests.make_user('amina', 'fr', 'CM');
insert into public.products_retailer (
    id, category_id, name, price_mallgram, min_order_quantity, order_increment,
    max_order_quantity, bulk_discount_percent, bulk_min_quantity, weight_grams
)
values (
    tests.name_it('box', gen_random_uuid(), 'wholesale'), tests.make_category('goods'), 'box', 15,
    10, 5, 998, 60, 501, 500
);
insert into public.product_stock (retailer_product_id, on_hand) values (tests.id('box'), 20000);
select tests.costs('box', 72, 'CNY');
select tests.set_prices('box');
insert into public.price_tiers (retailer_product_id, quantities, discount_percent)
values (tests.id('box'), '[23,100)', 5), (tests.id('box'), '[200,)', 10);
select tests.make_product('shoe', price_za => 199.90, price_cm => 5000, max_order_quantity => 7);

create function tests.breaks(name text, channel public.product_channel, country text)
returns setof text
language sql stable as $$
    select concat_ws(
        ' ', b.min_quantity, b.max_quantity, trim_scale(b.unit_price), trim_scale(b.list_price),
        b.currency
    )
    from public.price_breaks(tests.id(breaks.name), breaks.channel, breaks.country) as b
$$;

-- the page of a product, as a guest sees it: only quantities that can be ordered
select tests.act_as_anon();
select results_eq(
    $$select tests.breaks('box', 'wholesale', 'CM')$$,
    $$
    values
    ('10 20 16400 16400 XAF'), ('25 95 15580 16400 XAF'), ('100 195 16400 16400 XAF'),
    ('200 500 14760 16400 XAF'), ('505 995 12000 16400 XAF')
    $$,
    'each price with the quantities that have it; a discount ends above the floor'
);
select results_eq(
    $$select tests.breaks('shoe', 'retail', 'ZA')$$, $$values ('1 7 199.9 199.9 ZAR')$$,
    'goods by the piece have one price'
);
select results_eq(
    $$select tests.breaks('shoe', 'retail', null)$$, $$values ('1 7 199.9 199.9 ZAR')$$,
    'a guest is taken to be in South Africa'
);
select tests.act_as('amina');
select results_eq(
    $$select tests.breaks('shoe', 'retail', null)$$, $$values ('1 7 5000 5000 XAF')$$,
    'who has a country sees its price'
);
select tests.refuses(
    $$select public.price_breaks(tests.id('shoe'), 'wholesale', 'ZA')$$,
    'PT404 product_not_found', 'a channel that it is not sold through'
);
select tests.refuses(
    $$select public.price_breaks(gen_random_uuid(), 'retail', 'ZA')$$,
    'PT404 product_not_found', 'a product that is not there'
);
select tests.refuses(
    $$select public.price_breaks(tests.id('shoe'), 'retail', 'FR')$$,
    'PT400 country_unknown', 'a country that the shop does not sell to', 'FR'
);
select tests.act_as_owner();
delete from public.product_prices as pp
where pp.listing_id = tests.id('shoe') and pp.country = 'ZA';
select tests.refuses(
    $$select public.price_breaks(tests.id('shoe'), 'retail', 'ZA')$$,
    'PT409 product_not_sold_in_country', 'a country without a price', 'ZA'
);

-- the same from every door, at the edges of every break
create table tests.doors (quantity integer, unit_price numeric);
insert into tests.doors values
(10, 16400), (20, 16400), (25, 15580), (95, 15580), (100, 16400), (195, 16400), (200, 14760),
(500, 14760), (505, 12000), (995, 12000);
grant select on tests.doors to public;
create function tests.quoted(quantity integer) returns numeric
language sql as $$
    select from public.add_to_cart(tests.id('box'), 'wholesale', quoted.quantity);
    select (public.quote_cart('CM') #>> '{lines,0,unit_price}')::numeric
$$;
create function tests.ordered(quantity integer) returns numeric
language plpgsql as $$
declare
    v_order public.orders;
begin
    v_order := public.place_order(
        gen_random_uuid()::text, 'CM', tests.address('CM'), null,
        jsonb_build_array(tests.item('box', ordered.quantity))
    );
    return (select i.unit_price from public.order_items as i where i.order_id = v_order.id);
end
$$;
select tests.act_as('amina');
select results_eq(
    $$
    select d.quantity, (public.explain_price(
        tests.id('box'), 'wholesale', d.quantity, 'CM') ->> 'unit_price')::numeric
    from tests.doors as d order by d.quantity
    $$,
    $$select * from tests.doors as d order by d.quantity$$, 'explain_price says the same'
);
select is(tests.quoted(d.quantity), d.unit_price, 'a quote for ' || d.quantity || ' says the same')
from tests.doors as d order by d.quantity;
select is(
    tests.ordered(d.quantity), d.unit_price, 'an order of ' || d.quantity || ' charges the same'
)
from tests.doors as d where d.quantity in (10, 25, 505) order by d.quantity;
select is(
    (
        select s.price from public.search_products(query => 'box', country => 'CM') as s
        where s.product_id = tests.id('box')
    ),
    16400.00, 'a list shows the price at the least quantity'
);

-- what goods cost is not told by where their discounts end
select is(tests.floor_of('box', 'CM'), 11976.00, 'given a floor that no price ends like');
select tests.act_as_anon();
select is(
    public.explain_price(tests.id('box'), 'wholesale', 505, 'CM') ->> 'unit_price', '12000.00',
    'a guest is not told it by a discount'
);
select is(
    strpos(
        public.explain_price(tests.id('box'), 'wholesale', 505, 'CM')::text
        || (select string_agg(b::text, '') from public.price_breaks(
            tests.id('box'), 'wholesale', 'CM') as b),
        '11976'
    ),
    0, 'nor anywhere else'
);

-- that list price is there at the least quantity: no break begins at or below the least quantity
select tests.act_as_owner();
create function tests.at_commit(sql text) returns void
language plpgsql as $$
begin
    execute at_commit.sql;
    set constraints all immediate;
    set constraints all deferred;
end
$$;
select tests.refuses(
    $$
    select tests.at_commit('insert into public.price_tiers (retailer_product_id, quantities,
        discount_percent) values (tests.id(''box''), ''[10,15)'', 3)')
    $$,
    'PT400 price_tier_too_low', 'a break from the least quantity on is refused'
);
select tests.refuses(
    $$
    select tests.at_commit(
        'update public.products_retailer set min_order_quantity = 25 where id = tests.id(''box'')'
    )
    $$,
    'PT400 price_tier_too_low', 'a least quantity that reaches a break is refused'
);
select lives_ok(
    $$
    select tests.at_commit(
        'update public.products_retailer set min_order_quantity = 25 where id = tests.id(''box'');
        update public.price_tiers set quantities = ''[30,100)''
        where retailer_product_id = tests.id(''box'') and lower(quantities) = 23'
    )
    $$,
    'unless the break moves along'
);
select tests.violates(
    $$
    update public.products_retailer set bulk_min_quantity = min_order_quantity
    where id = tests.id('box')
    $$,
    'products_retailer_bulk_starts_above_minimum', 'nor does a bulk discount begin there'
);
select lives_ok(
    $$
    update public.products_retailer
    set bulk_min_quantity = min_order_quantity, bulk_discount_percent = 0
    where id = tests.id('box')
    $$,
    'unless it is none'
);
select is(
    private.unit_price(tests.id('box'), 'wholesale', 30, 'CM'), 15580.00,
    'one line by itself is priced alike'
);
select is(
    private.discounted_price(100, 10, 'ZAR', null), 90.00, 'a discount without a floor'
);
select is(
    private.discounted_price(100, 10, 'ZAR', 95), 95.90::numeric,
    'a discount that its floor ends, where prices do above it'
);
select is(
    private.discounted_price(100, 10, 'ZAR', 105), 100::numeric,
    'no floor makes a piece dearer than it is listed'
);

select * from finish();
rollback;
