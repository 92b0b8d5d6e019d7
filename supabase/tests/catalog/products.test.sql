begin;
\ir ../_helpers.psql
select plan(62);

-- given a retail and a wholesale product
select tests.make_product('shoe');
select tests.make_wholesale_product('box');
insert into public.suppliers (id, platform, external_id, name)
values (tests.name_it('shenzhen', gen_random_uuid()), 'aliexpress', 'T-1', 'Shenzhen Test');

-- the seed's two tables stay two: a piece is retail, two or more are wholesale
select results_eq(
    $$
    select p.is_retailer, p.currency, p.review_count, p.max_order_quantity, p.is_active
    from public.products as p where p.id = tests.id('shoe')
    $$,
    $$values (false, 'USD', 0, 100, true)$$,
    'a retail product is retail, in dollars, without reviews, on sale'
);
insert into public.products_retailer (id, category_id, name, price_mallgram)
values (tests.name_it('crate', gen_random_uuid()), tests.id('test-goods'), 'Crate', 1);
select results_eq(
    $$
    select p.is_retailer, p.min_order_quantity, p.order_increment, p.max_order_quantity,
        p.bulk_discount_percent, p.bulk_min_quantity
    from public.products_retailer as p where p.id = tests.id('crate')
    $$,
    $$values (true, 2, 1, 10000, 0.00, 100)$$,
    'a wholesale product is sold from two pieces'
);

-- what a product may hold
create temp table broken (table_name text, change text, rule text);
insert into broken values
('products', $$is_retailer = true$$, 'products_is_not_retailer'),
('products', $$is_retailer = null$$, 'not null'),
('products', $$price_mallgram = 0$$, 'products_price_positive'),
('products', $$price_mallgram = -1$$, 'products_price_positive'),
('products', $$price_mallgram = null$$, 'not null'),
('products', $$currency = 'EUR'$$, 'products_currency_is_base'),
('products', $$currency = null$$, 'not null'),
('products', $$category_id = null$$, 'not null'),
('products', $$category_id = gen_random_uuid()$$, 'products_category_id_fkey'),
('products', $$supplier_id = gen_random_uuid()$$, 'products_supplier_id_fkey'),
('products', $$name = E'two\nlines'$$, 'products_names_are_one_line'),
('products', $$name_fr = E'deux\rlignes'$$, 'products_names_are_one_line'),
('products', $$name = ''$$, 'products_names_are_one_line'),
('products', $$name = '', name_fr = 'seul'$$, 'products_names_are_one_line'),
('products', $$name_fr = ''$$, 'products_names_are_one_line'),
('products', $$name = repeat('a', 301)$$, 'products_names_are_one_line'),
('products', $$name_fr = repeat('a', 301)$$, 'products_names_are_one_line'),
('products', $$name = null$$, 'not null'),
('products', $$seller_rating = 5.01$$, 'products_seller_rating_is_stars'),
('products', $$seller_rating = -0.01$$, 'products_seller_rating_is_stars'),
('products', $$review_count = -1$$, 'products_review_count_not_negative'),
('products', $$max_order_quantity = 0$$, 'products_max_order_quantity_positive'),
('products', $$max_order_quantity = 10001$$, 'products_max_order_quantity_positive'),
('products', $$weight_grams = 0$$, 'products_weight_positive'),
('products_retailer', $$is_retailer = false$$, 'products_retailer_is_retailer'),
('products_retailer', $$is_retailer = null$$, 'not null'),
('products_retailer', $$price_mallgram = 0$$, 'products_retailer_price_positive'),
('products_retailer', $$min_order_quantity = 1$$,
    'products_retailer_min_order_quantity_is_wholesale'),
('products_retailer', $$min_order_quantity = null$$, 'not null'),
('products_retailer', $$order_increment = 0$$, 'products_retailer_quantities_fit'),
('products_retailer', $$max_order_quantity = 9$$, 'products_retailer_quantities_fit'),
('products_retailer', $$max_order_quantity = 10001$$, 'products_retailer_quantities_fit'),
('products_retailer', $$bulk_min_quantity = 9$$, 'products_retailer_quantities_fit'),
('products_retailer', $$bulk_discount_percent = -1$$,
    'products_retailer_bulk_discount_is_percent'),
('products_retailer', $$bulk_discount_percent = 90.01$$,
    'products_retailer_bulk_discount_is_percent'),
('products_retailer', $$currency = 'EUR'$$, 'products_retailer_currency_is_base'),
('products_retailer', $$category_id = gen_random_uuid()$$, 'products_retailer_category_id_fkey'),
('products_retailer', $$supplier_id = gen_random_uuid()$$, 'products_retailer_supplier_id_fkey'),
('products_retailer', $$name = E'two\nlines'$$, 'products_retailer_names_are_one_line'),
('products_retailer', $$name = '', name_fr = 'seul'$$, 'products_retailer_names_are_one_line'),
('products_retailer', $$name = repeat('a', 301)$$, 'products_retailer_names_are_one_line'),
('products_retailer', $$seller_rating = 6$$, 'products_retailer_seller_rating_is_stars'),
('products_retailer', $$review_count = -1$$, 'products_retailer_review_count_not_negative'),
('products_retailer', $$weight_grams = -1$$, 'products_retailer_weight_positive');

select tests.remember();
select tests.violates(
    format(
        'update public.%I set %s where id = tests.id(%L)',
        b.table_name, b.change, case b.table_name when 'products' then 'shoe' else 'box' end
    ),
    b.rule, format('%s refuses %s', b.table_name, left(b.change, 60))
)
from broken as b;
select tests.nothing_changed('nothing of it was stored');

-- a supplier's article is known once in each table
update public.products set supplier_id = tests.id('shenzhen'), external_id = 'A-1'
where id = tests.id('shoe');
update public.products_retailer set supplier_id = tests.id('shenzhen'), external_id = 'A-1'
where id = tests.id('box');
select tests.violates(
    $$
    insert into public.products (category_id, name, price_mallgram, supplier_id, external_id)
    values (tests.id('test-goods'), 'Twin', 1, tests.id('shenzhen'), 'A-1')
    $$,
    'products_supplier_id_external_id_key', 'a supplier''s article is one retail product'
);
select tests.violates(
    $$
    insert into public.products_retailer (
        category_id, name, price_mallgram, supplier_id, external_id
    )
    values (tests.id('test-goods'), 'Twin', 1, tests.id('shenzhen'), 'A-1')
    $$,
    'products_retailer_supplier_id_external_id_key',
    'a supplier''s article is one wholesale product'
);
select tests.violates(
    $$delete from public.suppliers where id = tests.id('shenzhen')$$,
    'products_supplier_id_fkey', 'a supplier of goods cannot be taken away'
);
select tests.violates(
    $$insert into public.suppliers (platform, external_id, name) values ('amazon', '1', 'A')$$,
    'suppliers_platform_is_known', 'suppliers are on Alibaba or AliExpress'
);
select tests.violates(
    $$
    insert into public.suppliers (platform, external_id, name)
    values ('aliexpress', 'T-1', 'B')
    $$,
    'suppliers_platform_external_id_key', 'a supplier is known once'
);
select tests.violates(
    $$update public.suppliers set seller_rating = 5.5 where id = tests.id('shenzhen')$$,
    'suppliers_seller_rating_is_stars', 'a supplier has up to five stars'
);

-- the tree of categories
select tests.make_category('test-shoes', 'test-goods');
select tests.violates(
    $$insert into public.categories (slug, name, name_fr) values ('Test Goods', 'a', 'b')$$,
    'categories_slug_is_kebab_case', 'a slug is kebab case'
);
select tests.violates(
    $$insert into public.categories (slug, name, name_fr) values ('test-goods', 'a', 'b')$$,
    'categories_slug_key', 'a slug is one category''s'
);
select tests.violates(
    $$update public.categories set name = E'a\nb' where id = tests.id('test-goods')$$,
    'categories_names_are_one_line', 'a category''s name is one line'
);
select tests.violates(
    $$update public.categories set name = '' where id = tests.id('test-goods')$$,
    'categories_names_are_one_line', 'a category has a name in both languages'
);
select tests.violates(
    $$update public.categories set parent_id = id where id = tests.id('test-goods')$$,
    'categories_is_not_own_parent', 'a category is not its own parent'
);
select tests.violates(
    $$
    delete from public.categories
    where id in (tests.id('test-shoes'), tests.id('test-goods'))
    $$,
    'products_category_id_fkey', 'a category of goods cannot be taken away'
);
select set_eq(
    $$select unnest(private.category_and_descendants(tests.id('test-goods')))$$,
    array[tests.id('test-goods'), tests.id('test-shoes')], 'a subtree is itself and what is below'
);
select is(
    private.category_and_descendants(gen_random_uuid()), '{}',
    'the subtree of no category is empty'
);
-- A circle of two is not forbidden by a CHECK: the walk ends nevertheless.
update public.categories set parent_id = tests.id('test-shoes') where id = tests.id('test-goods');
select set_eq(
    $$select distinct unnest(private.category_and_descendants(tests.id('test-goods')))$$,
    array[tests.id('test-goods'), tests.id('test-shoes')], 'a circle does not walk for ever'
);

select * from finish();
rollback;
