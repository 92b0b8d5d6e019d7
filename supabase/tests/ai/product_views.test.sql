-- What a person looked at: one row a product, the newest two hundred, theirs alone.
begin;
\ir ../_helpers.psql
select plan(30);

-- given goods on sale here and there, and goods that are not
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_product('shoe', name_fr => 'Chaussure');
select tests.make_product('lamp', price_za => null);
select tests.make_product('old_shoe', is_active => false);
select tests.make_wholesale_product('box');

create function tests.views(name text) returns text
language sql stable security definer as $$
    select string_agg(format('%s %s', n.name, v.view_count), ', ' order by n.name)
    from public.product_views as v
    inner join tests.names as n on v.listing_id = n.id
    where v.user_id = tests.id(views.name)
$$;
create function tests.age(listing text, age interval) returns void
language sql security definer as $$
    update public.product_views as v
    set viewed_at = now() - age.age, created_at = now() - interval '1 year'
    where v.listing_id = tests.id(age.listing)
$$;

-- What cannot be looked at ------------------------------------------------------------------------

select tests.remember();
select tests.act_as('amina');
select tests.refuses(
    format('select public.record_product_view(%s)', a.arguments), 'PT404 product_not_found',
    a.title
)
from (
    values
    ('gen_random_uuid(), ''retail''', 'what is not there'),
    ('tests.id(''old_shoe''), ''retail''', 'what is no longer sold'),
    ('tests.id(''shoe''), ''wholesale''', 'a retail product in bulk'),
    ('tests.id(''box''), ''retail''', 'a wholesale product by the piece'),
    ('tests.id(''shoe''), null', 'a product of no channel')
) as a (arguments, title);
select tests.refuses(
    format('select public.recently_viewed(%s)', a.arguments), 'PT400 ' || a.code, a.title
)
from (
    values
    ('''FR''', 'country_unknown', 'a country that is not ours'),
    ('''CM'', ''de''', 'language_unknown', 'an odd language'),
    ('page_size => 0', 'page_size_invalid', 'a page of nothing'),
    ('page_size => 101', 'page_size_invalid', 'a page of too much')
) as a (arguments, code, title);
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(
    'select public.record_product_view(tests.id(''shoe''), ''retail'')',
    'PT401 authentication_required', 'nobody looks at nothing'
);
select tests.refuses(
    'select public.recently_viewed()', 'PT401 authentication_required', 'and has seen nothing'
);
select tests.act_as_owner();
select tests.nothing_changed('none of it left a row');

-- Looking -----------------------------------------------------------------------------------------

select tests.act_as('amina');
select lives_ok($$ select public.record_product_view(tests.id('shoe'), 'retail') $$, 'a shoe');
select lives_ok($$ select public.record_product_view(tests.id('box'), 'wholesale') $$, 'a box');
select lives_ok($$ select public.record_product_view(tests.id('lamp'), 'retail') $$, 'a lamp');
select lives_ok($$ select public.record_product_view(tests.id('shoe'), 'retail') $$, 'and again');
select is(tests.views('amina'), 'box 1, lamp 1, shoe 1', 'looking again is the same visit');
select tests.age('shoe', '31 minutes');
select lives_ok($$ select public.record_product_view(tests.id('shoe'), 'retail') $$, 'and later');
select is(tests.views('amina'), 'box 1, lamp 1, shoe 2', 'half an hour later another one');
select is(tests.views('bongani'), null, 'he has looked at nothing');

-- What was looked at ------------------------------------------------------------------------------

select tests.age('lamp', '1 hour');
select tests.age('box', '2 hours');
select results_eq(
    $$ select v.product_id, v.channel, v.name, v.price from public.recently_viewed() as v $$,
    $$ values
       (tests.id('shoe'), 'retail'::public.product_channel, 'Chaussure', 5000.00),
       (tests.id('lamp'), 'retail', 'lamp', 5000.00),
       (tests.id('box'), 'wholesale', 'box', 2500.00) $$,
    'the last first, in her language, at her country''s prices'
);
select is(
    (select string_agg(v.name, ' ') from public.recently_viewed('ZA', 'en') as v), 'shoe box',
    'elsewhere what is sold there'
);
select is(
    (select string_agg(v.name, ' ') from public.recently_viewed(page_size => 1) as v), 'Chaussure',
    'as many as asked for'
);
select tests.act_as('bongani');
select is_empty('select public.recently_viewed()', 'his is empty');

-- How many ----------------------------------------------------------------------------------------

select tests.act_as_owner();
with made as (
    insert into public.products (category_id, name, price_mallgram)
    select tests.id('test-goods'), 'Thing ' || n, 1 from generate_series(1, 198) as n
    returning id
)

insert into public.product_views (user_id, product_id, created_at, viewed_at)
select tests.id('amina'), m.id, now() - interval '1 minute', now() - interval '1 minute'
from made as m;
select tests.make_product('kettle');
select tests.act_as('amina');
select public.record_product_view(tests.id('kettle'), 'retail');
select is(
    (select count(*) from public.product_views), 200::bigint, 'two hundred are kept'
);
select is(tests.views('amina'), 'kettle 1, shoe 2', 'those that were looked at last');
select tests.act_as_owner();
delete from public.products where name like 'Thing %';
select is(tests.views('amina'), 'kettle 1, shoe 2', 'what is deleted goes with its product');

-- What cannot be ----------------------------------------------------------------------------------

select tests.violates(
    'update public.product_views set view_count = 0', 'product_views_view_count_positive',
    'no visit is no row'
);
select tests.violates(
    'update public.product_views set created_at = viewed_at + interval ''1 second''',
    'product_views_ends_after_start', 'the last visit is not before the first'
);
select tests.violates(
    'update public.product_views set retailer_product_id = tests.id(''box'')',
    'product_views_points_at_one_product', 'a view of two products cannot be'
);

select * from finish();
rollback;
