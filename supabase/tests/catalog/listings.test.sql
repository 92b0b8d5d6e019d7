begin;
\ir ../_helpers.psql
select plan(51);

-- given products without stock, prices or pictures
select tests.make_product('shoe', stock => null, price_za => null, price_cm => null);
select tests.make_wholesale_product('box', stock => null, price_za => null, price_cm => null);

-- rows that point at a product point at exactly one
create temp table pointers (table_name text, columns text, "values" text);
insert into pointers values
('product_stock', 'on_hand', '1'),
('product_prices', 'country, currency, amount', $$'CM', 'XAF', 500$$),
('product_media', 'position, storage_path', $$7, 'products/a.webp'$$);

select tests.remember();
select tests.violates(
    format(
        'insert into public.%I (product_id, retailer_product_id, %s) '
        'values (tests.id(''shoe''), tests.id(''box''), %s)', p.table_name, p.columns, p.values
    ),
    p.table_name || '_points_at_one_product', p.table_name || ' refuses two products'
)
from pointers as p;
-- No product at all fails first where listing_id may not be null: either way it is refused.
select throws_matching(
    format('insert into public.%I (%s) values (%s)', p.table_name, p.columns, p.values),
    'listing_id|points_at_one_product', p.table_name || ' refuses no product'
)
from pointers as p;
-- A price takes its category from its product: where there is none, that is missing first.
select tests.violates(
    format(
        'insert into public.%I (product_id, %s) values (tests.id(''box''), %s)',
        p.table_name, p.columns, p.values
    ),
    case p.table_name
        when 'product_prices' then 'not null' else p.table_name || '_product_id_fkey'
    end,
    p.table_name || ' refuses a wholesale product as retail'
)
from pointers as p;
select tests.violates(
    format(
        'insert into public.%I (retailer_product_id, %s) values (tests.id(''shoe''), %s)',
        p.table_name, p.columns, p.values
    ),
    case p.table_name
        when 'product_prices' then 'not null' else p.table_name || '_retailer_product_id_fkey'
    end,
    p.table_name || ' refuses a retail product as wholesale'
)
from pointers as p;
select tests.nothing_changed('no odd row was stored');

select lives_ok(
    format(
        'insert into public.%1$I (product_id, %2$s) values (tests.id(''shoe''), %3$s); '
        'insert into public.%1$I (retailer_product_id, %2$s) values (tests.id(''box''), %3$s)',
        p.table_name, p.columns, p.values
    ),
    p.table_name || ' takes one of each'
)
from pointers as p;
select results_eq(
    format(
        'select t.listing_id from public.%I as t '
        'where t.listing_id in (tests.id(''shoe''), tests.id(''box'')) '
        'order by t.product_id is null', p.table_name
    ),
    $$values (tests.id('shoe')), (tests.id('box'))$$,
    p.table_name || ' has the product''s id as its listing_id'
)
from pointers as p;
select throws_ok(
    $$update public.product_stock set listing_id = gen_random_uuid()$$, '428C9', null,
    'listing_id is not set by hand'
);

-- stock: free is on hand less reserved, never below nothing
select results_eq(
    $$
    update public.product_stock set on_hand = 10, reserved = 4
    where listing_id = tests.id('shoe') returning available
    $$,
    'values (6)', 'what is free is on hand less reserved'
);
select tests.violates(
    $$update public.product_stock set reserved = 11 where listing_id = tests.id('shoe')$$,
    'product_stock_never_oversold', 'no more is reserved than is there'
);
select tests.violates(
    $$update public.product_stock set on_hand = 3 where listing_id = tests.id('shoe')$$,
    'product_stock_never_oversold', 'what is reserved cannot leave the shelf'
);
select tests.violates(
    $$
    update public.product_stock set on_hand = -1, reserved = -1
    where listing_id = tests.id('shoe')
    $$,
    'product_stock_on_hand_not_negative', 'nothing below nothing is on hand'
);
select tests.violates(
    $$update public.product_stock set reserved = -1 where listing_id = tests.id('shoe')$$,
    'product_stock_reserved_not_negative', 'nothing below nothing is reserved'
);
select tests.violates(
    $$insert into public.product_stock (product_id) values (tests.id('shoe'))$$,
    'product_stock_pkey', 'a product has one stock row'
);

-- prices: in the country's currency, at the currency's decimals
select tests.remember();
select tests.refuses(
    $$
    insert into public.product_prices (product_id, country, currency, amount)
    values (tests.id('shoe'), 'ZA', 'XAF', 100)
    $$,
    'PT400 price_currency_mismatch', 'a price in another country''s currency is refused', 'ZA XAF'
);
select tests.refuses(
    $$update public.product_prices set currency = 'ZAR' where listing_id = tests.id('shoe')$$,
    'PT400 price_currency_mismatch', 'so is a change to it', 'CM ZAR'
);
select tests.refuses(
    $$update public.product_prices set amount = 500.50 where listing_id = tests.id('shoe')$$,
    'PT400 price_not_rounded', 'a price in francs has no decimals', '500.50 XAF'
);
select tests.refuses(
    $$
    insert into public.product_prices (product_id, country, currency, amount)
    values (tests.id('shoe'), 'FR', 'EUR', 100)
    $$,
    'PT400 price_currency_mismatch', 'a price in a country that is not ours is refused', 'FR EUR'
);
select tests.violates(
    $$update public.product_prices set amount = 0 where listing_id = tests.id('shoe')$$,
    'product_prices_amount_positive', 'a price is more than nothing'
);
select tests.violates(
    $$update public.product_prices set source = 'guess' where listing_id = tests.id('shoe')$$,
    'product_prices_source_is_known', 'a price is by rule or by hand'
);
select tests.violates(
    $$
    insert into public.product_prices (product_id, country, currency, amount)
    values (tests.id('shoe'), 'CM', 'XAF', 600)
    $$,
    'product_prices_pkey', 'a product has one price in a country'
);
select tests.nothing_changed('no odd price was stored');
select lives_ok(
    $$
    insert into public.product_prices (product_id, country, currency, amount)
    values (tests.id('shoe'), 'ZA', 'ZAR', 349.99)
    $$,
    'a price in rand has cents'
);
select is(
    (
        select p.source from public.product_prices as p
        where p.listing_id = tests.id('shoe') and p.country = 'ZA'
    ),
    'manual', 'a price that is written is one by hand'
);

-- tiers of a wholesale product do not overlap
insert into public.price_tiers (retailer_product_id, quantities, discount_percent)
values (tests.id('box'), '[10,50)', 5), (tests.id('box'), '[50,)', 10);
create temp table tiers (quantities text, percent numeric, rule text, title text);
insert into tiers values
('[49,60)', 5, 'price_tiers_no_overlap', 'a tier over two others is refused'),
('[10,10]', 5, 'price_tiers_no_overlap', 'a tier inside another is refused'),
('[1,5)', 5, 'price_tiers_quantities_are_wholesale', 'a tier of one piece is refused'),
('(,5)', 5, 'price_tiers_quantities_are_wholesale', 'a tier without a beginning is refused'),
('empty', 5, 'price_tiers_quantities_are_wholesale', 'a tier of nothing is refused'),
('[2,5)', 0, 'price_tiers_discount_is_percent', 'a tier that gives nothing is refused'),
('[2,5)', 90.5, 'price_tiers_discount_is_percent', 'a tier that gives all away is refused');
select tests.violates(
    format(
        'insert into public.price_tiers (retailer_product_id, quantities, discount_percent) '
        'values (tests.id(''box''), %L, %s)', t.quantities, t.percent
    ),
    t.rule, t.title
)
from tiers as t;
select lives_ok(
    $$
    insert into public.price_tiers (retailer_product_id, quantities, discount_percent)
    values (tests.id('box'), '[2,10)', 1)
    $$,
    'a tier beside another is taken'
);
select tests.violates(
    $$
    insert into public.price_tiers (retailer_product_id, quantities, discount_percent)
    values (tests.id('shoe'), '[2,10)', 1)
    $$,
    'price_tiers_retailer_product_id_fkey', 'a retail product has no tiers'
);

-- pictures
select tests.violates(
    $$
    insert into public.product_media (product_id, position, storage_path)
    values (tests.id('shoe'), 7, 'products/b.webp')
    $$,
    'product_media_position_key', 'two pictures do not share a place'
);
select tests.violates(
    $$
    update public.product_media set storage_path = 'https://evil.test/a.png'
    where listing_id = tests.id('shoe')
    $$,
    'product_media_storage_path_is_relative', 'a picture is in our own Storage'
);
select tests.violates(
    $$update public.product_media set alt_fr = E'a\nb' where listing_id = tests.id('shoe')$$,
    'product_media_texts_are_one_line', 'a picture''s text is one line'
);
select tests.violates(
    $$update public.product_media set width = 0, height = 10 where listing_id = tests.id('shoe')$$,
    'product_media_size_positive', 'a picture has a size'
);

-- a product takes its stock, prices, pictures along; one that was ordered stays
delete from public.products where id = tests.id('shoe');
select is(
    (
        select count(*) from (
            select s.listing_id from public.product_stock as s
            union all
            select p.listing_id from public.product_prices as p
            union all
            select m.listing_id from public.product_media as m
        ) as t
        where t.listing_id = tests.id('shoe')
    ),
    0::bigint, 'a product that is deleted leaves nothing behind'
);
select tests.make_user('amina');
select tests.make_product('ordered');
select tests.place_order('o1', 'amina', jsonb_build_array(tests.item('ordered', 1)));
select tests.violates(
    $$delete from public.products where id = tests.id('ordered')$$,
    'order_items_product_id_fkey', 'a product that was ordered is not deleted'
);

select * from finish();
rollback;
