-- Wishlists: set by their owner, shown with today's price, one row a product.
begin;
\ir ../_helpers.psql
select plan(30);

-- given goods on sale here and there, and goods that are not
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_product('shoe', name_fr => 'Chaussure');
select tests.make_product('lamp', stock => 0, price_za => null);
select tests.make_product('old_shoe', is_active => false);
select tests.make_wholesale_product('box', stock => 9, min_order_quantity => 10);

create function tests.wishes(name text) returns text
language sql stable security definer as $$
    select string_agg(n.name || ' ' || w.channel, ', ' order by n.name)
    from public.wishlist_items as w
    inner join tests.names as n on w.listing_id = n.id
    where w.user_id = tests.id(wishes.name)
$$;

-- What cannot be wished for -----------------------------------------------------------------------

select tests.remember();
select tests.act_as('amina');
select tests.refuses(
    format('select public.add_to_wishlist(%s)', a.arguments), 'PT404 product_not_found', a.title
)
from (
    values
    ('gen_random_uuid(), ''retail''', 'what is not there'),
    ('tests.id(''old_shoe''), ''retail''', 'what is no longer sold'),
    ('tests.id(''shoe''), ''wholesale''', 'a retail product in bulk'),
    ('tests.id(''box''), ''retail''', 'a wholesale product by the piece'),
    ('tests.id(''shoe''), null', 'a product of no channel'),
    ('null, ''retail''', 'nothing')
) as a (arguments, title);
select tests.refuses(
    'select public.wishlist(''FR'')', 'PT400 country_unknown', 'a country that is not ours', 'FR'
);
select tests.refuses(
    'select public.wishlist(''CM'', ''de'')', 'PT400 language_unknown', 'an odd language', 'de'
);
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(
    'select public.' || a.call, 'PT401 authentication_required', 'nobody ' || a.title
)
from (
    values
    ('add_to_wishlist(tests.id(''shoe''), ''retail'')', 'wishes'),
    ('remove_from_wishlist(tests.id(''shoe''), ''retail'')', 'unwishes'),
    ('wishlist()', 'has a wishlist')
) as a (call, title);
select tests.act_as_owner();
select tests.nothing_changed('none of it left a row');

-- Wishing -----------------------------------------------------------------------------------------

select tests.act_as('amina');
select results_eq(
    $$ select w.user_id, w.listing_id, w.channel, w.notified_at
       from public.add_to_wishlist(tests.id('shoe'), 'retail') as w $$,
    $$ values (tests.id('amina'), tests.id('shoe'), 'retail'::public.product_channel,
           null::timestamptz) $$,
    'she wishes for a shoe'
);
select is((select count(*) from public.add_to_wishlist(tests.id('shoe'), 'retail')), 1::bigint,
    'twice is once');
select is((select count(*) from public.add_to_wishlist(tests.id('lamp'), 'retail')), 2::bigint,
    'for a lamp that has run out');
select is((select count(*) from public.add_to_wishlist(tests.id('box'), 'wholesale')), 3::bigint,
    'and for a box in bulk');
select is(tests.wishes('amina'), 'box wholesale, lamp retail, shoe retail', 'that is her list');
select is(tests.wishes('bongani'), null, 'not his');

-- Looking at it -----------------------------------------------------------------------------------

select tests.act_as_owner();
update public.wishlist_items set created_at = now() - interval '1 hour'
where listing_id = tests.id('lamp');
update public.wishlist_items set created_at = now() - interval '2 hours'
where listing_id = tests.id('shoe');
select tests.act_as('amina');
select results_eq(
    $$ select w.product_id, w.channel, w.name, w.price, w.currency, w.in_stock
       from public.wishlist() as w $$,
    $$ values
       (tests.id('box'), 'wholesale'::public.product_channel, 'box', 2500.00, 'XAF', false),
       (tests.id('lamp'), 'retail', 'lamp', 5000.00, 'XAF', false),
       (tests.id('shoe'), 'retail', 'Chaussure', 5000.00, 'XAF', true) $$,
    'she sees it newest first, in her language, at her country''s prices, and what has run out'
);
select results_eq(
    $$ select w.name, w.price, w.currency from public.wishlist('ZA', 'en') as w $$,
    $$ values ('box', 50.00, 'ZAR'), ('shoe', 100.00, 'ZAR') $$,
    'elsewhere what is sold there'
);
select tests.act_as('bongani');
select is_empty('select public.wishlist()', 'a list without wishes is empty');

-- No longer ---------------------------------------------------------------------------------------

select is_empty(
    $$ select public.remove_from_wishlist(tests.id('shoe'), 'retail') $$,
    'what was never wished for is not there'
);
select is(tests.wishes('amina'), 'box wholesale, lamp retail, shoe retail', 'nor taken from hers');
select tests.act_as('amina');
select is(
    (select count(*) from public.remove_from_wishlist(tests.id('shoe'), 'wholesale')), 3::bigint,
    'another channel is another product'
);
select results_eq(
    $$ select w.listing_id from public.remove_from_wishlist(tests.id('shoe'), 'retail') as w $$,
    $$ values (tests.id('box')), (tests.id('lamp')) $$,
    'she takes one away and has the others'
);
select tests.act_as_owner();
update public.products set is_active = false where id = tests.id('lamp');
select tests.act_as('amina');
select is(
    (select string_agg(w.name, ' ') from public.wishlist() as w), 'box',
    'what left the shop is not shown'
);
select is(tests.wishes('amina'), 'box wholesale, lamp retail', 'and not forgotten');

-- How many ----------------------------------------------------------------------------------------

select tests.act_as_owner();
with made as (
    insert into public.products (category_id, name, price_mallgram)
    select tests.id('test-goods'), 'Thing ' || n, 1 from generate_series(1, 198) as n
    returning id
)

insert into public.wishlist_items (user_id, product_id)
select tests.id('amina'), m.id from made as m;
select tests.act_as('amina');
select tests.refuses(
    $$ select public.add_to_wishlist(tests.id('shoe'), 'retail') $$, 'PT409 wishlist_full',
    'two hundred are enough', '200'
);
select is(
    (select count(*) from public.wishlist_items), 200::bigint, 'and the next one is not there'
);
select tests.act_as_owner();
delete from public.products where name like 'Thing %';
select is(tests.wishes('amina'), 'box wholesale, lamp retail', 'what is deleted is wished no more');

select * from finish();
rollback;
