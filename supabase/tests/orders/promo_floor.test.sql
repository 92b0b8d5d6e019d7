-- A promo code ends where discounts do: above what goods may be sold for.
begin;
\ir ../_helpers.psql
\ir ../pricing/_prices.psql
select plan(11);

-- given goods with a floor, in two colours of two prices, goods without one, and three codes
select tests.make_user('amina', 'fr', 'CM');
select tests.make_affiliate('pat');
select tests.make_promo_code('HUGE', 'pat', discount_percent => 90);
select tests.make_promo_code('SUM', 'pat', discount_amount => 50000, currency => 'XAF');
select tests.make_promo_code('SMALL', 'pat', discount_percent => 10);
insert into public.products_retailer (
    id, category_id, name, price_mallgram, min_order_quantity, order_increment,
    max_order_quantity, bulk_discount_percent, bulk_min_quantity, weight_grams
)
values (
    tests.name_it('box', gen_random_uuid(), 'wholesale'), tests.make_category('goods'), 'box', 15,
    10, 5, 1000, 60, 500, 500
);
insert into public.product_stock (retailer_product_id, on_hand) values (tests.id('box'), 20000);
select tests.costs('box', 72, 'CNY');
select tests.set_prices('box');
insert into public.product_variants (
    id, retailer_product_id, external_id, position, options, price_ratio
)
select
    tests.name_it(v.name, gen_random_uuid()), tests.id('box'), v.name, v.position,
    jsonb_build_array(jsonb_build_object('name', 'Colour', 'value', v.name)), v.price_ratio
from (values ('blue', 0, 1), ('gold', 1, 1.5)) as v (name, position, price_ratio);
select tests.make_product('gift', price_cm => 5000);

create function tests.box(variant text, quantity integer) returns jsonb
language sql stable as $$
    select tests.item('box', box.quantity)
        || jsonb_build_object('variant_id', tests.id(box.variant))
$$;
create function tests.quoted(code text, variadic items jsonb []) returns text
language plpgsql as $$
declare
    v_quote jsonb;
begin
    perform public.remove_from_cart(
        coalesce(c.product_id, c.retailer_product_id),
        case when c.product_id is null then 'wholesale' else 'retail' end::public.product_channel,
        c.variant_id
    )
    from public.cart_items as c;
    perform public.merge_cart(to_jsonb(quoted.items));
    v_quote := public.quote_cart('CM', quoted.code);
    return format(
        '%s less %s', trim_scale((v_quote ->> 'subtotal')::numeric),
        trim_scale((v_quote ->> 'discount')::numeric)
    );
end
$$;
select is(
    (
        select concat_ws(' of ', f.amount, pp.amount)
        from public.product_prices as pp
        inner join private.price_floors as f
            on pp.listing_id = f.listing_id and pp.country = f.country
        where pp.listing_id = tests.id('box') and pp.country = 'CM'
    ),
    '11976.00 of 16400.00', 'given a floor and a price'
);

select tests.act_as('amina');
select is(
    tests.quoted('SMALL', tests.box('blue', 10)), '164000 less 16400',
    'a code that stays above the floor takes what it says'
);
select is(
    tests.quoted('HUGE', tests.box('blue', 10)), '164000 less 44000',
    'one that does not ends at 12000 a piece, which does not tell the floor'
);
select is(
    tests.quoted('HUGE', tests.box('gold', 10)), '246000 less 66000',
    'a dearer variant ends at 18000, above its own floor'
);
select is(
    tests.quoted('SMALL', tests.box('blue', 500)), '6000000 less 0',
    'where a discount has ended there already, a code takes nothing more'
);
select is(
    tests.quoted('HUGE', tests.item('gift', 2)), '10000 less 9000',
    'goods whose cost nobody knows have no floor'
);
select is(
    tests.quoted('HUGE', tests.item('gift', 2), tests.box('blue', 10)), '174000 less 53000',
    'of several lines it takes its percent of each, as far as there is room'
);
select is(
    tests.quoted('SUM', tests.item('gift', 2), tests.box('blue', 10)), '174000 less 50000',
    'a sum is taken where there is room for it'
);

-- and what is ordered is what was quoted
select tests.act_as_owner();
select tests.place_order(
    'order', 'amina', jsonb_build_array(tests.item('gift', 2), tests.box('blue', 10)), 'CM', 'HUGE'
);
select results_eq(
    $$ select o.subtotal_price, o.discount_amount from public.orders as o
       where o.id = tests.id('order') $$,
    $$ values (174000.00, 53000.00) $$, 'an order takes the same'
);
create function tests.discounts(name text) returns text
language sql stable as $$
    select string_agg(trim_scale(i.discount_amount)::text, ' ' order by i.line_number)
    from public.order_items as i where i.order_id = tests.id(discounts.name)
$$;
select is(tests.discounts('order'), '9000 44000', 'line by line, none below its floor');
select tests.place_order(
    'other-order', 'amina', jsonb_build_array(tests.item('gift', 2), tests.box('blue', 10)),
    'CM', 'SUM'
);
select is(
    tests.discounts('other-order'), '6000 44000',
    'what one line has no room for goes to another'
);

select * from finish();
rollback;
