begin;
\ir ../_helpers.psql
select plan(68);

-- given goods with words that nobody else has
select tests.make_user('thandi', 'en', 'ZA');
select tests.make_user('amina', 'fr', 'CM');
select tests.make_admin('ada');
select tests.make_category('zorb', name => 'Zorb goods', name_fr => 'Articles zorb');
select tests.make_category('zorb-kitchen', 'zorb', 'Zorb kitchen', 'Cuisine zorb');
select tests.make_category('zorb-tea', 'zorb-kitchen', 'Zorb tea', 'Thé zorb');
select tests.make_category('zorb-gone', 'zorb', 'Zorb gone', 'Zorb parti', is_active => false);
select tests.make_product(
    'Zorblax running kettle', price_za => 120.50, price_cm => 4000, category => 'zorb-tea',
    name_fr => 'Bouilloire zorblax rapide', seller_rating => 4.5, stock => 3,
    description => 'Boils fast on a campfire', description_fr => 'Chauffe vite sur un feu de camp'
);
select tests.make_product(
    'Zorblax teapot', price_za => 80, price_cm => null, category => 'zorb-tea',
    name_fr => 'Théière zorblax', seller_rating => 3.9, stock => 0
);
select tests.make_product(
    'Zorblax mug', price_za => 40, price_cm => 1500, category => 'zorb-kitchen', stock => null
);
select tests.make_product('Zorblax hidden mug', category => 'zorb-kitchen', is_active => false);
select tests.make_product('Zorblax lost mug', category => 'zorb-gone');
select tests.make_wholesale_product(
    'Zorblax mugs by the box', price_za => 20, price_cm => 900, category => 'zorb-kitchen',
    name_fr => 'Tasses zorblax en gros', min_order_quantity => 10, stock => 9, seller_rating => 5
);
insert into public.product_media (product_id, position, storage_path)
values
(tests.id('Zorblax mug'), 1, 'products/side.webp'),
(tests.id('Zorblax mug'), 0, 'products/front.webp');

-- Names of what is found, in order.
create function tests.found(
    query text default null, category text default 'zorb', country text default 'ZA',
    language text default 'en', channel public.product_channel default null,
    min_price numeric default null, max_price numeric default null,
    min_rating numeric default null, in_stock boolean default null, sort text default 'price_asc'
)
returns text []
language sql as $$
    select array_agg(s.name order by s.place)
    from public.search_products(
        found.query, found.category, found.country, found.language, found.channel,
        found.min_price, found.max_price, found.min_rating, found.in_stock, found.sort
    ) with ordinality as s (
        product_id, channel, name, category, price, currency, country, rating, review_count,
        min_order_quantity, in_stock, image, created_at, relevance, cursor, place
    )
$$;

select tests.act_as_anon();

-- words, in both languages, stemmed, without accents
select is(tests.found('zorblax kettle'), '{Zorblax running kettle}', 'English words are found');
select is(tests.found('ZORBLAX KETTLES'), '{Zorblax running kettle}', 'in any case and number');
select is(tests.found('run zorblax'), '{Zorblax running kettle}', 'and any form');
select is(
    tests.found('bouilloires zorblax', language => 'fr'), '{Bouilloire zorblax rapide}',
    'French words are found, named in French'
);
select is(
    tests.found('bouilloire zorblax'), '{Zorblax running kettle}',
    'French words are found by an English reader, named in English'
);
select is(
    tests.found('kettle zorblax', language => 'fr'), '{Bouilloire zorblax rapide}',
    'and English words by a French one'
);
select is(
    tests.found('theiere zorblax', language => 'fr'), '{Théière zorblax}',
    'accents may be left out'
);
select is(
    tests.found('théière zorbláx', language => 'fr'), '{Théière zorblax}', 'or be too many'
);
select is(
    tests.found('mug zorblax', language => 'fr'), '{Tasses zorblax en gros,Zorblax mug}',
    'what has no French name keeps its English one'
);
select is(
    tests.found('campfire zorblax'), '{Zorblax running kettle}', 'descriptions are searched'
);
select is(
    tests.found('zorblax -kettle'),
    '{Zorblax mugs by the box,Zorblax mug,Zorblax teapot}',
    'words with a minus are left out, in both languages'
);
select is(
    tests.found('zorblax -kettle'), tests.found('zorblax -bouilloire'), 'whichever it is said in'
);
select is(
    tests.found('zorblax kettle', max_price => 90, sort => s.sort), null,
    'where prices leave nothing, no other words are looked for by ' || s.sort
)
from (values ('relevance'), ('price_asc'), ('newest')) as s (sort);
select is(
    tests.found('zorblax teapot', in_stock => true, sort => 'relevance'), null,
    'nor where stock does'
);
select is(
    tests.found('"running kettle"'), '{Zorblax running kettle}', 'quoted words stay together'
);

-- nothing is spelt so: what is spelt nearly so
select is(
    (tests.found('zorblaxx runing ketle', sort => 'relevance'))[1], 'Zorblax running kettle',
    'a slip of the finger finds, the likest first'
);
select is(
    (tests.found('bouiloire zorblaks', language => 'fr', sort => 'relevance'))[1],
    'Bouilloire zorblax rapide', 'in French as well'
);
select is(tests.found('qqqqxyzzy'), null, 'what is like nothing finds nothing');
select is(
    tests.found(E'zorblax\nkettle\t'), '{Zorblax running kettle}', 'line breaks are blanks'
);
select is(
    tests.found($$zorblax & | ! ( ) : * ' " \ kettle$$), '{Zorblax running kettle}',
    'signs are no syntax error'
);
select is(
    tests.found('   '), tests.found(), 'a query of blanks is no query'
);
select is(
    tests.found('zorblax kettle ' || repeat('x', 200000)), '{Zorblax running kettle}',
    'a query of a book is read to its first 200 characters'
);

-- relevance: a name counts more than a description, the reader's own language double
select is(
    (
        select s.relevance > t.relevance
        from public.search_products('rapide', 'zorb', 'ZA', 'fr') as s
        inner join public.search_products('rapide', 'zorb', 'ZA', 'en') as t
            on s.product_id = t.product_id
    ),
    true, 'a French word counts more to a French reader'
);
select is(
    (
        select s.relevance > t.relevance
        from public.search_products('running', 'zorb', 'ZA', 'en') as s
        inner join public.search_products('running', 'zorb', 'ZA', 'fr') as t
            on s.product_id = t.product_id
    ),
    true, 'an English word to an English one'
);
select is(
    (
        select s.relevance > t.relevance
        from public.search_products('kettle', 'zorb', 'ZA', 'en') as s
        inner join public.search_products('campfire', 'zorb', 'ZA', 'en') as t
            on s.product_id = t.product_id
    ),
    true, 'a name counts more than a description'
);
select is(
    (select s.relevance from public.search_products(null, 'zorb-tea', 'ZA', 'en') as s limit 1),
    0::real, 'without a query there is none'
);

-- what each row says
select results_eq(
    $$
    select s.product_id, s.channel, s.name, s.category, s.price, s.currency, s.country, s.rating,
        s.review_count, s.min_order_quantity, s.in_stock, s.image, s.created_at
    from public.search_products('zorblax mug', 'zorb', 'ZA', 'en', sort => 'price_desc') as s
    $$,
    $$
    values
    (
        tests.id('Zorblax mug'), 'retail'::public.product_channel, 'Zorblax mug', 'zorb-kitchen',
        40.00, 'ZAR', 'ZA', null::numeric(3, 2), 0, 1, false, 'products/front.webp', now()
    ),
    (
        tests.id('Zorblax mugs by the box'), 'wholesale', 'Zorblax mugs by the box',
        'zorb-kitchen', 20.00, 'ZAR', 'ZA', 5.00, 0, 10, false, null, now()
    )
    $$,
    'a row has the price and place of its country, its stock and its first picture'
);

-- filters
select is(
    tests.found(),
    '{Zorblax mugs by the box,Zorblax mug,Zorblax teapot,Zorblax running kettle}',
    'no filter but the category: all of its subtree that is on sale'
);
select is(
    tests.found(category => 'zorb-tea'), '{Zorblax teapot,Zorblax running kettle}',
    'a leaf of the tree has its own'
);
select is(
    tests.found(country => 'CM'), '{Zorblax mugs by the box,Zorblax mug,Zorblax running kettle}',
    'what has no price in a country is not sold there'
);
select is(
    tests.found(channel => 'retail'), '{Zorblax mug,Zorblax teapot,Zorblax running kettle}',
    'one channel: by the piece'
);
select is(tests.found(channel => 'wholesale'), '{Zorblax mugs by the box}', 'or by the box');
select is(
    tests.found(min_price => 40, max_price => 80), '{Zorblax mug,Zorblax teapot}',
    'prices are between both ends, ends included'
);
select is(
    tests.found(min_price => 1500, max_price => 4000, country => 'CM'),
    '{Zorblax mug,Zorblax running kettle}', 'in the money of the country'
);
select is(tests.found(min_price => 81, max_price => 80), null, 'an empty range finds nothing');
select is(
    tests.found(min_rating => 4.5), '{Zorblax mugs by the box,Zorblax running kettle}',
    'stars from so many, unrated left out'
);
select is(
    tests.found(in_stock => true), '{Zorblax running kettle}',
    'in stock: at least the smallest quantity that is sold'
);
select is(
    tests.found(in_stock => false), '{Zorblax mugs by the box,Zorblax mug,Zorblax teapot}',
    'or not in stock'
);
select is(
    tests.found('zorblax', min_rating => 3, in_stock => false, channel => 'retail'),
    '{Zorblax teapot}', 'filters and words work together'
);

-- sort orders
select is(
    tests.found(sort => 'price_desc'),
    '{Zorblax running kettle,Zorblax teapot,Zorblax mug,Zorblax mugs by the box}',
    'dearest first'
);
select is(
    tests.found(sort => 'rating'),
    '{Zorblax mugs by the box,Zorblax running kettle,Zorblax teapot,Zorblax mug}',
    'best first, unrated last'
);

-- defaults: the person's country and language, else South Africa and English
select results_eq(
    $$
    select s.name, s.currency from public.search_products('zorblax kettle', 'zorb') as s limit 1
    $$,
    $$values ('Zorblax running kettle', 'ZAR')$$, 'a guest is shown South Africa in English'
);
select tests.act_as('amina');
select results_eq(
    $$
    select s.name, s.currency from public.search_products('zorblax kettle', 'zorb') as s limit 1
    $$,
    $$values ('Bouilloire zorblax rapide', 'XAF')$$,
    'a person is shown their own country and language'
);
select tests.speaks('en');
select results_eq(
    $$
    select s.name, s.currency from public.search_products('zorblax kettle', 'zorb') as s limit 1
    $$,
    $$values ('Zorblax running kettle', 'XAF')$$, 'in the language that the request asks for'
);
select tests.speaks(null);

-- what is not on sale is not found by a shopper
select is(
    (
        select count(*)
        from public.search_products('zorblax', country => 'ZA', page_size => 100) as s
        where s.product_id in (tests.id('Zorblax hidden mug'), tests.id('Zorblax lost mug'))
    ),
    0::bigint, 'neither what is off sale nor what is in a category that is'
);

-- refusals
select tests.act_as_owner();
create temp table refused (arguments text, refusal text, detail text, title text);
insert into refused values
($$language => 'de'$$, 'PT400 language_unknown', 'de', 'a language that is neither is refused'),
($$language => ''$$, 'PT400 language_unknown', '', 'an empty language is refused'),
($$sort => 'random'$$, 'PT400 sort_unknown', 'random', 'a sort order that is none is refused'),
($$sort => 'price_asc; drop table'$$, 'PT400 sort_unknown', 'price_asc; drop table',
    'SQL is no sort order'),
($$page_size => 0$$, 'PT400 page_size_invalid', '0', 'an empty page is refused'),
($$page_size => 101$$, 'PT400 page_size_invalid', '101', 'a page of 101 is refused'),
($$page_size => -1$$, 'PT400 page_size_invalid', '-1', 'a negative page is refused'),
($$page_size => null$$, 'PT400 page_size_invalid', '', 'a page of no size is refused'),
($$country => 'FR'$$, 'PT400 country_unknown', 'FR', 'a country that is not ours is refused'),
($$country => 'za'$$, 'PT400 country_unknown', 'za', 'a country is in capitals'),
($$category => 'no-such'$$, 'PT404 category_not_found', 'no-such',
    'an unknown category is refused'),
($$category => 'zorb-gone'$$, 'PT404 category_not_found', 'zorb-gone',
    'a category that is off sale is unknown');
grant select on refused to public;
select tests.remember();
select tests.act_as_anon();
select tests.refuses(
    'select * from public.search_products(' || r.arguments || ')', r.refusal, r.title, r.detail
)
from refused as r;
select throws_ok(
    $$select * from public.search_products(channel => 'auction')$$, '22P02', null,
    'a channel that is none is malformed'
);
select tests.nothing_changed('a refusal changes nothing');

-- an admin and the API key's role search as well
select tests.act_as('ada');
select is(
    'Zorblax hidden mug' = any(tests.found('zorblax mug')), false,
    'an admin finds what a shopper finds'
);
select tests.act_as_service_role();
select is(
    tests.found('zorblax kettle', 'zorb-kitchen'), '{Zorblax running kettle}',
    'service_role searches below a category'
);
select tests.act_as_service();
select tests.denies('select * from public.search_products()', 'the service does not search');

-- prices that few have are looked up first, however common the words
select tests.act_as_owner();
create function tests.narrowed(min_price numeric, max_price numeric) returns uuid []
language sql stable as $$
    select (private.narrow_by_price(
        row(
            null, null, null, 'ZA', narrowed.min_price, narrowed.max_price, null, null
        )::private.search_filters
    )).listing_ids
$$;
update public.product_prices set amount = 3.07
where listing_id = tests.id('Zorblax mug') and country = 'ZA';
select is(tests.narrowed(3.07, 3.07), array[tests.id('Zorblax mug')], 'those of a price');
select is(tests.narrowed(3.08, 3.07), '{}', 'none, where nothing can be');
select is(tests.narrowed(null, null), null, 'all, where no price is asked for');
insert into public.products (category_id, name, price_mallgram)
select tests.id('zorb-tea'), 'Zorbmass ' || n, 10 from generate_series(1, 5001) as n;
insert into public.product_prices (product_id, country, currency, amount)
select p.id, 'ZA', 'ZAR', 3.07 from public.products as p where p.name like 'Zorbmass %';
select is(tests.narrowed(3.07, null), null, 'and where it is the price of thousands');

select * from finish();
rollback;
