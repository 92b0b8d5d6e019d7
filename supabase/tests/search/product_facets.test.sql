begin;
\ir ../_helpers.psql
select plan(46);

-- given a branch of two shelves
select tests.make_category('zorb', name => 'Zorb goods', name_fr => 'Articles zorb');
select tests.make_category('zorb-tea', 'zorb', 'Zorb tea', 'Thé zorb');
select tests.make_category('zorb-mugs', 'zorb', 'Zorb mugs', 'Tasses zorb');
select tests.make_category('zorb-gone', 'zorb', is_active => false);
select tests.make_product(
    'Zorblax kettle', category => 'zorb-tea', price_za => 100, price_cm => 4000,
    seller_rating => 4.6, stock => 3
);
select tests.make_product(
    'Zorblax teapot', category => 'zorb-tea', price_za => 80, price_cm => null,
    seller_rating => 3.5, stock => 0
);
select tests.make_product(
    'Zorblax mug', category => 'zorb-mugs', price_za => 40, price_cm => 1500, stock => 9
);
select tests.make_wholesale_product(
    'Zorblax mugs by the box', category => 'zorb-mugs', price_za => 20, price_cm => 900,
    seller_rating => 4.2, min_order_quantity => 10, stock => 9
);
select tests.make_product('Zorblax ghost', category => 'zorb-gone', price_za => 1);
select tests.make_product('Zorblax hidden', category => 'zorb-mugs', is_active => false);

create function tests.facet(
    part text, query text default 'zorblax', category text default null,
    country text default 'ZA', language text default 'en',
    channel public.product_channel default null, min_price numeric default null,
    max_price numeric default null, min_rating numeric default null,
    in_stock boolean default null
)
returns jsonb
language sql stable as $$
    select public.product_facets(
        facet.query, facet.category, facet.country, facet.language, facet.channel,
        facet.min_price, facet.max_price, facet.min_rating, facet.in_stock
    ) -> facet.part
$$;
create function tests.counts(categories jsonb) returns text
language sql immutable as $$
    select string_agg(c ->> 'category' || ' ' || (c ->> 'count'), ', ' order by n)
    from jsonb_array_elements(counts.categories) with ordinality as e (c, n)
$$;
create function tests.zorbs(categories jsonb) returns text
language sql immutable as $$
    select tests.counts(jsonb_path_query_array(
        zorbs.categories, '$[*] ? (@.category starts with "zorb")'
    ))
$$;

select tests.act_as_anon();
select is(tests.facet('total'), '4', 'a search counts what it finds and is on sale');
select is(tests.facet('is_sample'), 'false', 'all of it');
select is(
    tests.counts(tests.facet('categories')), 'zorb-mugs 2, zorb-tea 2', 'category by category'
);
select is(
    tests.facet('categories', language => 'fr') #>> '{0,name}', 'Tasses zorb',
    'named in the reader''s language'
);
select is(tests.facet('channels'), '{"retail": 3, "wholesale": 1}', 'channel by channel');
select is(
    tests.facet('ratings'),
    '[{"count": 1, "min_rating": 4.5}, {"count": 2, "min_rating": 4}, '
    '{"count": 3, "min_rating": 3}]',
    'by stars'
);
select is(
    tests.facet('price'),
    '{"min": 20.00, "max": 100.00, "currency": "ZAR", "quartiles": [20.00, 40.00, 80.00]}',
    'and between which prices'
);
select is(
    tests.facet('price', country => 'CM') - 'quartiles',
    '{"min": 900.00, "max": 4000.00, "currency": "XAF"}', 'in the money of the country'
);
select is(tests.facet('total', country => 'CM'), '3', 'where what has no price is not sold');

-- each facet counts with all filters but its own
select is(tests.facet('total', min_rating => 4), '2', 'a filter narrows');
select is(
    tests.facet('ratings', min_rating => 4), tests.facet('ratings'),
    'but not its own facet: that shows what another choice would bring'
);
select is(
    tests.counts(tests.facet('categories', min_rating => 4)), 'zorb-mugs 1, zorb-tea 1',
    'the others are narrowed'
);
select is(
    tests.counts(tests.facet('categories', category => 'zorb-tea')), 'zorb-mugs 2, zorb-tea 2',
    'another category can still be chosen'
);
select is(tests.facet('total', category => 'zorb-tea'), '2', 'while the total is the category''s');
select is(
    tests.facet('channels', channel => 'wholesale'), '{"retail": 3, "wholesale": 1}',
    'so can another channel'
);
select is(
    tests.facet('price', max_price => 50) ->> 'max', '100.00', 'and another price'
);
select is(
    tests.facet('total', max_price => 50, in_stock => true), '1',
    'what is in stock covers the smallest order'
);
select is(tests.facet('total', query => 'zorblxa ketle'), '1', 'a slip of the finger is mended');
select is(
    tests.facet('total', query => E'\x01 \n', category => 'zorb'), '4', 'signs alone are no words'
);
select is(tests.facet('total', query => 'zorblax kettle'), '1', 'all words are asked for');
select is(
    tests.facet('total', query => 'zorblax kettle', category => 'zorb-mugs')::integer,
    (
        select count(*)::integer
        from public.search_products(
            'zorblax kettle', country => 'ZA', category => 'zorb-mugs', sort => 'price_asc'
        )
    ),
    'where a filter leaves none with all words, what a list falls back on is counted'
);
select is(
    tests.facet('total', query => 'zorblax kettle', category => 'zorb-mugs'), '2',
    'and that is something'
);
select is(
    tests.facet('total', query => null, category => 'zorb'), '4',
    'a category without words is counted as well'
);
select is(
    tests.zorbs(tests.facet('categories', query => null, category => 'zorb-tea')),
    'zorb-mugs 2, zorb-tea 2', 'and others can be chosen there too'
);
select is(
    tests.zorbs(
        tests.facet('categories', query => null, category => 'zorb-tea', max_price => 50)
    ),
    'zorb-mugs 2', 'with the filters that are not their own'
);

-- what is too much to be counted while somebody waits is counted every few minutes
select tests.act_as_owner();
insert into public.products (category_id, name, price_mallgram, seller_rating)
select tests.id('zorb-tea'), 'Zorbmass ' || n, 10, 4 from generate_series(1, 5100) as n;
insert into public.product_prices (product_id, country, currency, amount)
select p.id, 'ZA', 'ZAR', 50 from public.products as p where p.name like 'Zorbmass %';
delete from private.listing_counts;
select is(
    public.product_facets(category => 'zorb-tea', country => 'ZA')
    - 'price' - 'categories' - 'channels',
    '{
        "total": 5102, "country": "ZA", "is_sample": false,
        "ratings": [
            {"min_rating": 4.5, "count": 1}, {"min_rating": 4, "count": 5101},
            {"min_rating": 3, "count": 5102}
        ]
    }',
    'before the first count a branch is counted one by one'
);
insert into private.listing_counts (
    country, category_id, channel, listings, rated_3, rated_4, rated_45
)
values
('ZA', tests.id('zorb-tea'), 'retail', 5102, 5102, 5101, 1),
('ZA', tests.id('zorb-mugs'), 'retail', 1, 0, 0, 0),
('ZA', tests.id('zorb-mugs'), 'wholesale', 1, 1, 1, 0);
select is(
    public.product_facets(category => 'zorb', country => 'ZA', language => 'en') - 'price',
    '{
        "total": 5104, "country": "ZA", "is_sample": false,
        "categories": [
            {"category": "zorb-tea", "name": "Zorb tea", "count": 5102},
            {"category": "zorb-mugs", "name": "Zorb mugs", "count": 2}
        ],
        "channels": {"retail": 5103, "wholesale": 1},
        "ratings": [
            {"min_rating": 4.5, "count": 1}, {"min_rating": 4, "count": 5102},
            {"min_rating": 3, "count": 5103}
        ]
    }',
    'afterwards all of it is counted'
);
select is(
    public.product_facets(
        category => 'zorb', country => 'ZA', channel => 'retail', min_rating => 4
    ) - 'price' - 'categories',
    '{
        "total": 5101, "country": "ZA", "is_sample": false,
        "channels": {"retail": 5101, "wholesale": 1},
        "ratings": [
            {"min_rating": 4.5, "count": 1}, {"min_rating": 4, "count": 5101},
            {"min_rating": 3, "count": 5102}
        ]
    }',
    'each facet with all filters but its own'
);
select is(
    tests.counts(tests.facet('categories', query => null, category => 'zorb-tea')),
    'zorb-tea 5102, zorb-mugs 2', 'the category''s too'
);
select is(
    public.product_facets(category => 'zorb-tea', country => 'ZA', max_price => 60)
    - 'price' - 'categories' - 'channels',
    '{
        "total": 5100, "country": "ZA", "is_sample": false,
        "ratings": [
            {"min_rating": 4.5, "count": 0}, {"min_rating": 4, "count": 5100},
            {"min_rating": 3, "count": 5100}
        ]
    }',
    'what no count knows is still counted one by one'
);
select is(
    tests.facet('total', query => null, category => 'zorb-tea', in_stock => true), '1',
    'however few are left'
);
select is(
    public.product_facets(
        category => 'zorb-tea', country => 'ZA', channel => 'wholesale'
    ) - 'price' - 'categories' - 'channels',
    '{
        "total": 0, "country": "ZA", "is_sample": false,
        "ratings": [
            {"min_rating": 4.5, "count": 0}, {"min_rating": 4, "count": 0},
            {"min_rating": 3, "count": 0}
        ]
    }',
    'nothing is counted as none'
);

-- and where that would be too much, some of the table's pages are
select tests.make_category('zorb-heap');
select tests.make_category('zorb-low', 'zorb-heap');
select set_config('session_replication_role', 'replica', true);
insert into public.product_prices (
    product_id, country, currency, amount, category_id, rating
)
select
    gen_random_uuid(), 'ZA', 'ZAR',
    case n when 36000 then 9999.99 when 35999 then 0.05 else 10 + n % 6 * 200 end,
    tests.id(case n when 20000 then 'zorb-low' else 'zorb-heap' end),
    case when n <= 7000 then 4.4 else 3 end
from generate_series(1, 36000) as n;
select set_config('session_replication_role', 'origin', true);
delete from private.listing_counts;
insert into private.listing_counts (
    country, category_id, channel, listings, rated_3, rated_4, rated_45
)
values
('ZA', tests.id('zorb-heap'), 'retail', 35999, 35999, 7000, 0),
('ZA', tests.id('zorb-low'), 'retail', 1, 1, 0, 0);
create function tests.heap(
    channel public.product_channel default null, min_price numeric default null,
    min_rating numeric default null, in_stock boolean default null
)
returns text
language sql stable as $$
    select concat_ws(
        ' ', f ->> 'total', f ->> 'is_sample', f #>> '{price,min}', f #>> '{price,max}'
    )
    from public.product_facets(
        category => 'zorb-heap', country => 'ZA', channel => heap.channel,
        min_price => heap.min_price, min_rating => heap.min_rating, in_stock => heap.in_stock
    ) as f
$$;
select is(tests.heap(), '36000 false 0.05 9999.99', 'prices are from the lowest to the highest');
select is(
    tests.heap(min_rating => 4), '7000 false 10.00 1010.00', 'those of what has so many stars too'
);
select is(
    tests.heap(min_price => 1000), '6000 false 0.05 9999.99',
    'few of many are counted one by one: those of a price'
);
select is(
    tests.heap(min_rating => 4.2), '7000 false 10.00 1010.00', 'or of stars that no count knows'
);
select is(
    tests.heap(min_price => 1000, min_rating => 4.2), '1166 false 10.00 1010.00', 'those of both'
);
select is(tests.heap(channel => 'wholesale'), '0 false', 'those of a channel');
select is(
    tests.heap(min_price => 5000, in_stock => false), '1 false 0.05 9999.99',
    'and beside them the prices of many'
);
select is(
    tests.heap(min_price => 0.01), '36000 true 0.05 9999.99',
    'many are estimated, by the numbers of their shelf: that is a sample'
);
select is(
    tests.heap(in_stock => false), '36000 true 0.05 9999.99', 'so is what is in stock, or is not'
);
select is(
    tests.heap(in_stock => true), '0 true', 'and a price that was looked for not far enough'
);
delete from private.listing_counts;
select is(
    tests.facet('is_sample', query => null, category => 'zorb-heap'), 'true',
    'before the first count a large branch is a sample'
);
select tests.act_as_anon();

-- refusals
select tests.refuses(
    $$select public.product_facets(language => 'de')$$, 'PT400 language_unknown',
    'a language that is neither is refused', 'de'
);
select tests.refuses(
    $$select public.product_facets(country => 'FR')$$, 'PT400 country_unknown',
    'so is a country that is not ours', 'FR'
);
select tests.refuses(
    $$select public.product_facets(category => 'zorb-gone')$$, 'PT404 category_not_found',
    'and a category that is off sale', 'zorb-gone'
);

select * from finish();
rollback;
