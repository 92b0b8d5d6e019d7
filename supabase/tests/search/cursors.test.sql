begin;
\ir ../_helpers.psql
select plan(42);

-- given 23 goods of both channels, with equal prices, equal stars, no stars, equal times, and some
-- in a category that is off sale: what is hidden may not shorten a page
select tests.make_category('walk');
select tests.make_category('walk-gone', 'walk', is_active => false);
select tests.make_product(
    'Walkable thing ' || n, price_za => 10 + n % 4, category => 'walk',
    seller_rating => case when n % 3 > 0 then 3 + n % 3 end,
    created_at => now() - (n % 5) * interval '1 hour'
)
from generate_series(1, 15) as n;
select tests.make_wholesale_product(
    'Walkable box ' || n, price_za => 10 + n % 3, category => 'walk', min_order_quantity => 2,
    seller_rating => case when n % 2 > 0 then 4 end,
    created_at => now() - (n % 2) * interval '1 hour'
)
from generate_series(1, 8) as n;
select tests.make_product(
    'Walkable ghost ' || n, price_za => 10 + n % 4, category => 'walk-gone',
    created_at => now() - (n % 5) * interval '1 hour', seller_rating => 4
)
from generate_series(1, 9) as n;

-- Walks a list page by page by the last row's cursor, to the first page that is not full, and
-- answers the ids in the order in which they came.
create function tests.walk(
    sort text, page_size integer, query text default 'walkable', category text default null
)
returns uuid []
language plpgsql as $$
declare
    v_ids uuid [] := '{}';
    v_page uuid [];
    v_cursor text;
begin
    loop
        select
            array_agg(r.product_id order by r.place), (array_agg(r.cursor order by r.place desc))[1]
        into v_page, v_cursor
        from (
            select s.product_id, s.cursor, row_number() over () as place
            from public.search_products(
                walk.query, walk.category, 'ZA', 'en', sort => walk.sort, cursor => v_cursor,
                page_size => walk.page_size
            ) as s
        ) as r;
        v_ids := v_ids || coalesce(v_page, '{}');
        -- a walk that turns in a circle ends too, and then differs
        exit when coalesce(cardinality(v_page), 0) < walk.page_size or cardinality(v_ids) > 200;
    end loop;
    return v_ids;
end
$$;

create temp table orders_of_sort (sort text);
grant select on orders_of_sort to public;
insert into orders_of_sort values
('relevance'), ('price_asc'), ('price_desc'), ('newest'), ('rating');

select tests.act_as_anon();

-- every sort order, walked, gives each row once and in the order of one large page
select is(
    cardinality(tests.walk(s.sort, 100)), 23, 'one page by ' || s.sort || ' has all 23'
)
from orders_of_sort as s;
select is(
    tests.walk(s.sort, 4), tests.walk(s.sort, 100), 'pages of 4 by ' || s.sort || ' are the same'
)
from orders_of_sort as s;
select is(
    (select count(distinct i) from unnest(tests.walk(s.sort, 5)) as i), 23::bigint,
    'pages of 5 by ' || s.sort || ' give each row once'
)
from orders_of_sort as s;
select is(
    tests.walk('newest', 7, null, 'walk'), tests.walk('newest', 100),
    'a category without words is walked as well'
);
select is(
    tests.walk('newest', 1), tests.walk('newest', 100), 'pages of one are walked'
);

-- and each order is what it says
select is(
    array(
        select s.price from public.search_products(
            category => 'walk', country => 'ZA', sort => 'price_asc', page_size => 100
        ) as s
    ),
    array(
        select s.price from public.search_products(
            category => 'walk', country => 'ZA', sort => 'price_asc', page_size => 100
        ) as s order by s.price
    ),
    'price_asc rises'
);
select is(
    array(
        select s.created_at from public.search_products(
            category => 'walk', country => 'ZA', sort => 'newest', page_size => 100
        ) as s
    ),
    array(
        select s.created_at from public.search_products(
            category => 'walk', country => 'ZA', sort => 'newest', page_size => 100
        ) as s order by s.created_at desc
    ),
    'newest goes back in time'
);

-- when goods come and go between two pages, the rest is still walked once
select tests.act_as_owner();
create temp table first_page (product_id uuid, cursor text, place bigint);
grant select, insert on first_page to public;
select tests.act_as_anon();
insert into first_page
select s.product_id, s.cursor, row_number() over ()
from public.search_products(
    category => 'walk', country => 'ZA', sort => 'price_asc', page_size => 6
) as s;
select tests.act_as_owner();
select tests.make_product('Walkable late', price_za => 1, category => 'walk');
update public.products set is_active = false
where id = (select f.product_id from first_page as f where f.place = 6);
select tests.act_as_anon();
select is(
    (
        select count(*)
        from public.search_products(
            category => 'walk', country => 'ZA', sort => 'price_asc', page_size => 100,
            cursor => (select f.cursor from first_page as f where f.place = 6)
        ) as s
        where s.product_id not in (select f.product_id from first_page as f)
    ),
    17::bigint, 'what came before the cursor and what went do not disturb what follows'
);

-- a cursor is its list's own, and nobody forges one
select tests.act_as_owner();
create function tests.cursor_of(content text) returns text
language sql immutable as $$
    select encode(convert_to(cursor_of.content, 'utf8'), 'base64')
$$;
create temp table forged (cursor text, title text);
insert into forged values
('', 'an empty cursor'),
('not base64!', 'a cursor that is not base64'),
('AAAA', 'a cursor of zero bytes'),
('//79', 'a cursor that is not UTF-8'),
(tests.cursor_of('no json'), 'a cursor that is not JSON'),
(tests.cursor_of('[1]'), 'a cursor that is a list'),
(tests.cursor_of('"text"'), 'a cursor that is a text'),
(tests.cursor_of('{}'), 'a cursor without fields'),
(tests.cursor_of('{"s": "price_asc", "k": 1}'), 'a cursor without an id'),
(tests.cursor_of(
    '{"s": "price_asc", "k": "x", "i": "00000000-0000-4000-8000-000000000000"}'
), 'a cursor whose key is no number'),
(tests.cursor_of('{"s": "price_asc", "k": 1, "i": "x"}'), 'a cursor whose id is none'),
(tests.cursor_of(
    '{"s": "price_desc", "k": 1, "i": "00000000-0000-4000-8000-000000000000"}'
), 'a cursor of another sort order'),
(tests.cursor_of(
    '{"s": "price_asc", "k": null, "i": "00000000-0000-4000-8000-000000000000"}'
), 'a cursor without a key'),
(tests.cursor_of(
    '{"s": "price_asc", "k": "NaN", "i": "00000000-0000-4000-8000-000000000000"}'
), 'a cursor whose key is not a number'),
(tests.cursor_of(
    '{"s": "price_asc", "k": "1e300", "i": "00000000-0000-4000-8000-000000000000"}'
), 'a cursor beyond everything'),
(tests.cursor_of(
    '{"s": "price_asc", "k": "-Infinity", "i": "00000000-0000-4000-8000-000000000000"}'
), 'a cursor before everything');
grant select on forged to public;
select tests.act_as_anon();
select tests.refuses(
    format(
        'select * from public.search_products(sort => ''price_asc'', cursor => %L)', f.cursor
    ),
    'PT400 cursor_invalid', f.title || ' is refused', f.cursor
)
from forged as f;
select tests.refuses(
    format(
        'select * from public.search_products(sort => ''newest'', cursor => %L)',
        tests.cursor_of(
            format('{"s": "newest", "k": "%s", "i": "%s"}', k.key, gen_random_uuid())
        )
    ),
    'PT400 cursor_invalid', 'no list begins at ' || k.key
)
from (values ('NaN'), ('2e11'), ('-1e300')) as k (key);
select is(
    (
        select count(*)
        from public.search_products(
            category => 'walk', country => 'ZA', sort => 'newest',
            cursor => tests.cursor_of(
                '{"s": "newest", "k": 1e11, "i": "00000000-0000-4000-8000-000000000000"}'
            )
        )
    ),
    0::bigint, 'as far as one goes there is nothing'
);
select tests.refuses(
    format(
        'select * from public.search_products(sort => ''newest'', cursor => %L)',
        translate(tests.cursor_of(repeat('[', 100000)), E'\n', '')
    ),
    'PT400 cursor_invalid', 'a book is no cursor'
);
select is(
    (
        select count(*)
        from public.search_products(
            category => 'walk', country => 'ZA', sort => 'price_asc',
            cursor => tests.cursor_of(
                '{"s": "price_asc", "k": 1e9, "i": "00000000-0000-4000-8000-000000000000"}'
            )
        )
    ),
    0::bigint, 'a cursor behind the end has nothing after it'
);

select * from finish();
rollback;
