-- Approved reviews of a product for everybody, in three orders, page by page.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
\ir _delivered.psql
select plan(22);

-- given seven reviews of one shoe, five of them approved, and one of another
select tests.make_user('amina', 'fr', 'CM');
select tests.make_admin('chioma');
select tests.make_product('shoe');
select tests.make_product('lamp');
select tests.make_user('author-' || n, 'fr', 'CM') from generate_series(1, 8) as n;
select tests.place_order(
    'order-' || n, 'author-' || n,
    jsonb_build_array(tests.item(case when n = 8 then 'lamp' else 'shoe' end, 1))
)
from generate_series(1, 8) as n;
select tests.deliver('order-' || n) from generate_series(1, 8) as n;
insert into public.product_reviews (
    id, order_item_id, user_id, product_id, rating, title, language, status, note, moderated_by,
    moderated_at, created_at
)
select
    tests.name_it(r.name, gen_random_uuid()), tests.line('order-' || r.n),
    tests.id('author-' || r.n),
    tests.id(case when r.n = 8 then 'lamp' else 'shoe' end), r.rating, r.name, 'en', r.status,
    case when r.status = 'rejected' then 'No.' end,
    case when r.status <> 'pending' then tests.id('chioma') end,
    case when r.status <> 'pending' then now() end,
    timestamptz '2026-01-01' + r.n * interval '1.000001 day'
from (
    values
    (1, 'a', 3, 'approved'::public.review_status), (2, 'b', 5, 'approved'), (3, 'c', 1, 'approved'),
    (4, 'd', 5, 'approved'), (5, 'e', 3, 'approved'), (6, 'f', 2, 'pending'),
    (7, 'g', 4, 'rejected'), (8, 'h', 4, 'approved')
) as r (n, name, rating, status);

create function tests.listed(sort text) returns text
language sql stable as $$
    select string_agg(r.title, '' order by r.place)
    from public.list_reviews(tests.id('shoe'), listed.sort)
        with ordinality as r (
            review_id, product_id, channel, rating, title, body, language, author_name,
            created_at, updated_at, order_item_id, status, note, cursor, place
        )
$$;
-- Every page of so many, one after the other, with a stroke between them.
create function tests.paged(sort text, page_size integer) returns text
language plpgsql as $$
declare
    v_row record;
    v_cursor text;
    v_seen text := '';
    v_count integer;
begin
    loop
        v_count := 0;
        for v_row in
            select * from public.list_reviews(tests.id('shoe'), sort, v_cursor, page_size)
        loop
            v_seen := v_seen || v_row.title;
            v_cursor := v_row.cursor;
            v_count := v_count + 1;
        end loop;
        exit when v_count = 0;
        v_seen := v_seen || '|';
    end loop;
    return v_seen;
end
$$;

select tests.act_as_anon();
select is(tests.listed('newest'), 'edcba', 'a guest reads what is approved, the newest first');
select is(tests.listed(null), 'edcba', 'also when nothing is said');
select is(tests.listed('highest'), 'dbeac', 'or the highest first');
select is(tests.listed('lowest'), 'ceadb', 'or the lowest');
select is(tests.paged('newest', 2), 'ed|cb|a|', 'pages continue where they ended');
select is(tests.paged('highest', 2), 'db|ea|c|', 'by stars as well');
select is(tests.paged('lowest', 1), 'c|e|a|d|b|', 'one by one');
select is(tests.paged('lowest', 5), 'ceadb|', 'or all at once');
select results_eq(
    $$ select r.review_id, r.product_id, r.channel, r.order_item_id, r.status, r.note
       from public.list_reviews(tests.id('lamp')) as r $$,
    $$ values (tests.id('h'), tests.id('lamp'), 'retail'::public.product_channel, null::uuid,
           null::public.review_status, null::text) $$,
    'without what is only its author''s to know'
);
select is_empty('select public.list_reviews(gen_random_uuid())', 'no product has no reviews');
select tests.refuses(
    format('select public.list_reviews(tests.id(''shoe''), %s)', a.arguments), 'PT400 ' || a.code,
    a.title, a.detail
)
from (
    values
    ('''best''', 'sort_unknown', 'best', 'an odd order is refused'),
    ('page_size => 0', 'page_size_invalid', '0', 'a page of nothing is refused'),
    ('page_size => 101', 'page_size_invalid', '101', 'so is one of too much'),
    ('page_size => null', 'page_size_invalid', '', 'and one of no size'),
    ('cursor => ''x''', 'cursor_invalid', 'x', 'a cursor of one''s own making is refused')
) as a (arguments, code, detail, title);
select tests.refuses(
    format(
        'select public.list_reviews(tests.id(''shoe''), ''lowest'', %L)',
        (select r.cursor from public.list_reviews(tests.id('shoe'), 'newest', null, 1) as r)
    ),
    'PT400 cursor_invalid', 'and one of another order'
);

-- What a cache may keep
select set_config('request.method', 'GET', true);
select is(tests.listed('newest'), 'edcba', 'a guest''s GET is answered');
select matches(
    current_setting('response.headers', true), '"Cache-Control": "public, max-age=',
    'and may be kept'
);
select tests.act_as('amina');
select is(tests.listed('newest'), 'edcba', 'its author reads the same there');
select matches(
    current_setting('response.headers', true), 'no-store', 'which is for nobody else to keep'
);
select tests.act_as_service_role();
select is(tests.listed('newest'), 'edcba', 'the API key''s role as well');
select tests.act_as_owner();
select is(
    (select count(*) from public.product_reviews as r where r.listing_id = tests.id('shoe')),
    7::bigint, 'the others are there'
);

select * from finish();
rollback;
