-- Discount and tax are split over the lines to the last cent or franc: the parts sum to the whole.
begin;
\ir ../_helpers.psql
select plan(27);

-- given one buyer, and goods and a code whose prices each case sets anew
select tests.make_user('amina', 'fr', 'CM');
select tests.make_affiliate('pat');
select tests.make_product('goods-1', 1000000, max_order_quantity => 10000);
select tests.make_product('goods-2', 1000000, max_order_quantity => 10000);
select tests.make_product('goods-3', 1000000, max_order_quantity => 10000);
select tests.make_product('goods-4', 1000000, max_order_quantity => 10000);
select tests.make_promo_code('CODE', 'pat', usage_limit => null);

-- Places an order of line i at prices[i], quantities[i]; its name is the case's.
create function tests.priced_order(
    name text, country text, prices numeric [], quantities integer [],
    discount_percent numeric, discount_amount numeric
)
returns uuid
language plpgsql as $$
begin
    update public.product_prices as p
    set amount = c.amount
    from unnest(priced_order.prices) with ordinality as c (amount, place)
    where p.listing_id = tests.id('goods-' || c.place) and p.country = priced_order.country;
    update public.promo_codes as p
    set discount_percent = priced_order.discount_percent,
        discount_amount = priced_order.discount_amount,
        currency = case
            when priced_order.discount_amount is not null
                then case priced_order.country when 'ZA' then 'ZAR' else 'XAF' end
        end
    where p.id = tests.id('CODE');
    return tests.place_order(
        priced_order.name,
        'amina',
        (
            select jsonb_agg(tests.item('goods-' || q.place, q.quantity) order by q.place)
            from unnest(priced_order.quantities) with ordinality as q (quantity, place)
        ),
        priced_order.country,
        case
            when num_nonnulls(priced_order.discount_percent, priced_order.discount_amount) = 1
                then 'CODE'
        end
    );
end
$$;

create function tests.split_of(name text) returns text
language sql as $$
    select format(
        'subtotal %s discount %s = %s delivery %s tax %s = %s + %s total %s',
        trim_scale(o.subtotal_price), trim_scale(o.discount_amount), i.discounts,
        trim_scale(o.shipping_amount), trim_scale(o.tax_amount), i.taxes,
        trim_scale(o.shipping_tax_amount), trim_scale(o.total_price)
    )
    from public.orders as o
    cross join lateral (
        select
            string_agg(trim_scale(l.discount_amount)::text, '+' order by l.line_number)
                as discounts,
            string_agg(trim_scale(l.tax_amount)::text, '+' order by l.line_number) as taxes
        from public.order_items as l
        where l.order_id = o.id
    ) as i
    where o.id = tests.id(split_of.name)
$$;

-- Worked out by hand: the largest remainder gets the odd cent, the earlier line when they tie -----

create table tests.cases (
    place integer, country text, prices numeric [], quantities integer [],
    discount_percent numeric, discount_amount numeric, wanted text
);
insert into tests.cases values
(1, 'ZA', '{33.33, 33.33, 33.34}', '{1, 1, 1}', 10, null,
    'subtotal 100 discount 10 = 3.33+3.33+3.34 delivery 99 '
    'tax 24.65 = 3.92+3.91+3.91 + 12.91 total 189'),
(2, 'ZA', '{0.01, 0.01, 0.01}', '{1, 1, 1}', 50, null,
    'subtotal 0.03 discount 0.02 = 0.01+0.01+0 delivery 99 '
    'tax 12.91 = 0+0+0 + 12.91 total 99.01'),
(3, 'ZA', '{99.99, 0.07, 1234.56}', '{3, 7, 1}', 7, null,
    'subtotal 1535.02 discount 107.45 = 21+0.03+86.42 delivery 99 '
    'tax 199.12 = 36.39+0.06+149.76 + 12.91 total 1526.57'),
(4, 'ZA', '{19.99, 19.99, 19.99, 19.99}', '{1, 1, 1, 1}', null, 10.01,
    'subtotal 79.96 discount 10.01 = 2.51+2.5+2.5+2.5 delivery 99 '
    'tax 22.04 = 2.28+2.28+2.28+2.28 + 12.92 total 168.95'),
(5, 'ZA', '{149.95, 80.05}', '{2, 1}', null, null,
    'subtotal 379.95 discount 0 = 0+0 delivery 99 '
    'tax 62.47 = 39.12+10.44 + 12.91 total 478.95'),
(6, 'ZA', '{500}', '{3}', 33.33, null,
    'subtotal 1500 discount 499.95 = 499.95 delivery 99 '
    'tax 143.35 = 130.44 + 12.91 total 1099.05'),
(7, 'CM', '{333, 333, 335}', '{1, 1, 1}', 10, null,
    'subtotal 1001 discount 100 = 33+33+34 delivery 3500 '
    'tax 710 = 48+48+49 + 565 total 4401'),
(8, 'CM', '{1, 1, 1}', '{1, 1, 1}', 50, null,
    'subtotal 3 discount 2 = 1+1+0 delivery 3500 '
    'tax 565 = 0+0+0 + 565 total 3501'),
(9, 'CM', '{12505, 7335, 5}', '{3, 1, 7}', 7.5, null,
    'subtotal 44885 discount 3366 = 2813+550+3 delivery 3500 '
    'tax 7267 = 5602+1095+5 + 565 total 45019'),
(10, 'CM', '{9995, 9995, 9995}', '{1, 1, 1}', null, 1000,
    'subtotal 29985 discount 1000 = 334+333+333 delivery 3500 '
    'tax 5244 = 1559+1560+1560 + 565 total 32485'),
(11, 'CM', '{60000, 5}', '{1, 1}', null, 7,
    'subtotal 60005 discount 7 = 7+0 delivery 3500 '
    'tax 10250 = 9684+1 + 565 total 63498'),
(12, 'CM', '{60000, 5}', '{1, 2}', null, 10,
    'subtotal 60010 discount 10 = 10+0 delivery 0 tax 9686 = 9684+2 + 0 total 60000'),
(13, 'CM', '{2335}', '{7}', null, null,
    'subtotal 16345 discount 0 = 0 delivery 3500 tax 3203 = 2638 + 565 total 19845');

select tests.priced_order(
    'case-' || c.place, c.country, c.prices, c.quantities, c.discount_percent, c.discount_amount
)
from tests.cases as c
order by c.place;
select is(
    tests.split_of('case-' || c.place), c.wanted,
    format('%s: %s x %s less %s', c.country, c.prices, c.quantities,
        coalesce(c.discount_percent || ' percent', c.discount_amount::text, 'nothing'))
)
from tests.cases as c
order by c.place;

-- Whatever the amounts ----------------------------------------------------------------------------
-- when 120 orders are placed at odd prices, with discounts from 0.01 to 90 percent

select count(tests.priced_order(
    'odd-' || n,
    case when n % 2 = 0 then 'ZA' else 'CM' end,
    array[
        (n * 7919 % 100003 + 1) * c.unit, (n * 104729 % 9973 + 1) * c.unit,
        (n * 31 % 97 + 1) * c.unit
    ],
    array[n % 7 + 1, n % 3 + 1, n % 11 + 1],
    case when n % 5 <> 0 then (n * 613 % 9000 + 1) / 100.0 end,
    null
))
from generate_series(1, 120) as n
cross join lateral (select case when n % 2 = 0 then 0.01 else 1 end as unit) as c;

create view tests.odd_orders as
select
    o.*,
    case o.country when 'ZA' then 0.01 else 1 end as unit,
    case o.country when 'ZA' then 0.15 else 0.1925 end as tax_rate
from public.orders as o
inner join tests.names as n on o.id = n.id
where n.name like 'odd-%';

select is((select count(*) from tests.odd_orders), 120::bigint, 'there are 120 of them');
select is_empty(
    $$ select o.id from tests.odd_orders as o
       where o.subtotal_price <> (
           select sum(i.quantity * i.unit_price) from public.order_items as i
           where i.order_id = o.id
       ) $$,
    'the subtotal is the sum of the lines'
);
select is_empty(
    $$ select o.id from tests.odd_orders as o
       where o.discount_amount <> (
           select sum(i.discount_amount) from public.order_items as i where i.order_id = o.id
       ) $$,
    'the lines'' discounts sum to the discount'
);
select is_empty(
    $$ select o.id from tests.odd_orders as o
       where o.tax_amount <> o.shipping_tax_amount + (
           select sum(i.tax_amount) from public.order_items as i where i.order_id = o.id
       ) $$,
    'the lines'' tax and the delivery''s sum to the tax'
);
select is_empty(
    $$ select o.id from tests.odd_orders as o
       where o.total_price <> o.subtotal_price - o.discount_amount + o.shipping_amount
           or o.total_price <= 0 $$,
    'the total is subtotal less discount plus delivery'
);
select is_empty(
    $$ select o.id from tests.odd_orders as o
       where abs(o.tax_amount - o.total_price * o.tax_rate / (1 + o.tax_rate)) > o.unit / 2 $$,
    'the tax contained is within half a unit of the exact one'
);
select is_empty(
    $$ select o.id from tests.odd_orders as o
       inner join public.order_items as i on o.id = i.order_id
       where abs(i.discount_amount - o.discount_amount * i.subtotal / o.subtotal_price) >= o.unit
           or i.discount_amount > i.subtotal $$,
    'no line''s discount is a unit from its exact share, or more than the line'
);
select is_empty(
    $$ select o.id from tests.odd_orders as o
       inner join public.order_items as i on o.id = i.order_id
       where abs(i.tax_amount
           - o.tax_amount * (i.subtotal - i.discount_amount) / o.total_price) >= o.unit $$,
    'no line''s tax is a unit from its exact share'
);
select is_empty(
    $$ select o.id from tests.odd_orders as o
       inner join public.order_items as i on o.id = i.order_id
       where o.country = 'CM'
           and (o.subtotal_price, o.discount_amount, o.shipping_amount, o.tax_amount,
               o.shipping_tax_amount, o.total_price, i.unit_price, i.discount_amount, i.tax_amount)
           is distinct from
           (round(o.subtotal_price), round(o.discount_amount), round(o.shipping_amount),
               round(o.tax_amount), round(o.shipping_tax_amount), round(o.total_price),
               round(i.unit_price), round(i.discount_amount), round(i.tax_amount)) $$,
    'francs have no decimals anywhere'
);
select is(
    (select array[count(*) filter (where o.discount_amount > 0),
        count(*) filter (where o.shipping_amount > 0), count(*) filter (where o.country = 'ZA')]
     from tests.odd_orders as o),
    array[96, 64, 60]::bigint [],
    'discounts, paid delivery and both currencies are among them'
);

-- The splitter itself -----------------------------------------------------------------------------

select is(
    private.split_money(1, '{1, 1, 1}', 'XAF'), '{1, 0, 0}', 'one franc goes to the first of equals'
);
select is(
    private.split_money(0, '{5, 7}', 'ZAR'), '{0.00, 0.00}', 'nothing is split into nothings'
);
select is(
    private.split_money(0.05, '{1, 0, 2}', 'ZAR'), '{0.02, 0.00, 0.03}',
    'who weighs nothing gets nothing'
);
select is(private.split_money(7, '{3}', 'XAF'), '{7}', 'one part is the whole');

select * from finish();
rollback;
