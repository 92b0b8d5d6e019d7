begin;
\ir ../_helpers.psql
select plan(6);

-- given a cart of 500 products
select tests.make_user('amina');
select tests.make_product('thing ' || n) from generate_series(1, 501) as n;
select tests.act_as('amina');
select is(
    (
        select count(*)
        from public.merge_cart((
            select jsonb_agg(tests.item('thing ' || n, 1)) from generate_series(1, 500) as n
        ))
    ),
    500::bigint, 'a cart holds 500 products'
);

-- then there is no room for another, but for more of the same
select tests.remember();
select tests.refuses(
    $$select public.add_to_cart(tests.id('thing 501'), 'retail', 1)$$,
    'PT400 order_items_invalid', 'a 501st product is refused', 'more than 500 items'
);
select tests.nothing_changed('and not added');
select is(
    (
        select c.quantity
        from public.add_to_cart(tests.id('thing 7'), 'retail', 9) as c
        where c.listing_id = tests.id('thing 7')
    ),
    9, 'more of the same is taken'
);
select is(
    (select count(*) from public.remove_from_cart(tests.id('thing 7'), 'retail')), 499::bigint,
    'one goes'
);
select is(
    (select count(*) from public.add_to_cart(tests.id('thing 501'), 'retail', 1)), 500::bigint,
    'and there is room again'
);

select * from finish();
rollback;
