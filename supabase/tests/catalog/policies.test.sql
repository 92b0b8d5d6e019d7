begin;
\ir ../_helpers.psql
select plan(91);

-- given goods on sale and goods that are not, of a supplier
select tests.make_user('amina');
select tests.make_admin('ada');
select tests.make_category('test-hidden', is_active => false);
select tests.make_product('shoe');
select tests.make_product('old_shoe', is_active => false);
select tests.make_wholesale_product('box');
select tests.make_wholesale_product('old_box', is_active => false);
insert into public.price_tiers (retailer_product_id, quantities, discount_percent)
values (tests.id('box'), '[20,50)', 5), (tests.id('old_box'), '[20,50)', 5);
insert into public.product_media (product_id, storage_path)
values (tests.id('shoe'), 'products/a.webp'), (tests.id('old_shoe'), 'products/b.webp');
insert into public.suppliers (id, platform, external_id, name)
values (tests.name_it('shenzhen', gen_random_uuid()), 'aliexpress', 'T-1', 'Shenzhen Test');

create function tests.catalog_tables() returns setof text
language sql immutable as $$
    values ('public.categories'), ('public.price_tiers'), ('public.product_media'),
    ('public.product_prices'), ('public.product_stock'), ('public.products'),
    ('public.products_retailer'), ('public.suppliers')
$$;
-- Which of the named goods the actor sees.
create function tests.seen_goods() returns text []
language sql stable as $$
    select array_agg(n.name order by n.name)
    from tests.names as n
    where n.id in (select p.id from public.products as p)
        or n.id in (select p.id from public.products_retailer as p)
        or n.id in (select c.id from public.categories as c)
$$;
-- Whether the actor sees the rows that stand beside the goods.
create function tests.seen_beside() returns bigint []
language sql stable as $$
    select array[
        (
            select count(*) from public.product_stock as s
            where s.listing_id in (tests.id('shoe'), tests.id('old_shoe'))
        ),
        (
            select count(*) from public.product_prices as p
            where p.listing_id in (tests.id('shoe'), tests.id('old_shoe'))
        ),
        (
            select count(*) from public.product_media as m
            where m.listing_id in (tests.id('shoe'), tests.id('old_shoe'))
        ),
        (
            select count(*) from public.price_tiers as t
            where t.retailer_product_id in (tests.id('box'), tests.id('old_box'))
        )
    ]
$$;

-- What stands beside goods that have left the shop, or variants that have: by actor.
insert into public.product_variants (product_id, external_id, is_active)
select tests.id(v.name), v.external_id, v.is_active
from (
    values ('shoe', 'small', true), ('shoe', 'gone', false), ('old_shoe', 'old', true)
) as v (name, external_id, is_active);
insert into public.product_ratings (product_id)
values (tests.id('shoe')), (tests.id('old_shoe'));
create function tests.seen_past() returns text
language sql stable as $$
    select concat_ws(
        ' ',
        (select string_agg(v.position || ':' || n.name, ',' order by n.name, v.is_active)
            from public.product_variants as v
            inner join tests.names as n on v.listing_id = n.id),
        (select string_agg(distinct n.name, ',') from public.price_history as h
            inner join tests.names as n on h.listing_id = n.id),
        (select string_agg(n.name, ',' order by n.name) from public.product_ratings as r
            inner join tests.names as n on r.listing_id = n.id)
    )
$$;

-- the exact policies
select tests.has_policies(
    t,
    case
        when t = 'public.suppliers' then 'select_admin: select to authenticated'
        when t in ('public.categories', 'public.products', 'public.products_retailer')
            then 'select_active_or_admin: select to anon, authenticated'
        when t = 'public.product_prices'
            then 'select_listed_or_admin: select to anon, authenticated'
        else 'select_listed: select to anon, authenticated'
    end
)
from tests.catalog_tables() as t;

-- a guest
select tests.act_as_anon();
select is(tests.seen_goods(), '{box,shoe,test-goods}', 'a guest sees what is on sale');
select is(tests.seen_beside(), '{1,2,1,1}', 'with stock, prices, pictures and tiers');
select is(
    tests.seen_past(), '0:shoe box,shoe shoe', 'and the variants, past prices and stars of these'
);
select tests.closed('public.suppliers', 'select');
select tests.closed(t, 'insert', 'update', 'delete') from tests.catalog_tables() as t;

-- a shopper
select tests.act_as('amina');
select is(tests.seen_goods(), '{box,shoe,test-goods}', 'a shopper sees what is on sale');
select is(tests.seen_beside(), '{1,2,1,1}', 'with stock, prices, pictures and tiers');
select is(
    tests.seen_past(), '0:shoe box,shoe shoe', 'and the variants, past prices and stars of these'
);
select is(
    (select count(*) from public.suppliers), 0::bigint, 'a shopper sees no supplier'
);
select tests.closed(t, 'insert', 'update', 'delete') from tests.catalog_tables() as t;

-- an admin
select tests.act_as('ada');
select is(
    tests.seen_goods(), '{box,old_box,old_shoe,shoe,test-goods,test-hidden}',
    'an admin sees everything'
);
select is(
    tests.seen_past(), '0:old_shoe,0:shoe,0:shoe box,old_box,old_shoe,shoe old_shoe,shoe',
    'with what stood beside it'
);
select results_eq(
    $$select s.name from public.suppliers as s where s.external_id = 'T-1'$$,
    $$values ('Shenzhen Test')$$, 'an admin sees the suppliers'
);
select tests.closed('public.product_prices', 'insert', 'update', 'delete');
select tests.closed('public.product_stock', 'insert', 'update', 'delete');

-- the API key's role fills the catalogue, by the same rules
select tests.act_as_service_role();
select is(
    tests.seen_goods(), '{box,old_box,old_shoe,shoe,test-goods,test-hidden}',
    'service_role sees everything'
);
select lives_ok(
    $$
    insert into public.products (id, category_id, name, price_mallgram)
    values (gen_random_uuid(), tests.id('test-goods'), 'By the sync', 3)
    $$,
    'service_role adds goods'
);
select tests.affects(
    $$update public.product_stock set on_hand = 7 where listing_id = tests.id('shoe')$$,
    1, 'service_role counts stock'
);
select tests.affects(
    $$
    update public.product_prices set amount = 700
    where listing_id = tests.id('shoe') and country = 'CM'
    $$,
    1, 'service_role sets a price'
);
select tests.refuses(
    $$
    update public.product_prices set amount = 0.5
    where listing_id = tests.id('shoe') and country = 'CM'
    $$,
    'PT400 price_not_rounded', 'which the rules of prices hold for as well'
);
select tests.affects(
    $$delete from public.price_tiers where retailer_product_id = tests.id('box')$$,
    1, 'service_role takes a tier away'
);

-- the service
select tests.act_as_service();
select tests.closed('public.products');
select tests.closed('public.product_prices');
select tests.closed('public.product_stock');

select * from finish();
rollback;
