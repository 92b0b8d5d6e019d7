-- A product's page in one call: retail or wholesale, in the reader's language, at the country's
-- prices, with what there is to choose.
begin;
\ir ../_helpers.psql
select plan(32);

-- given a shoe in three variants, a box in bulk, and goods that are not on sale
select tests.make_user('amina', 'fr', 'CM');
select tests.make_admin('chioma');
select tests.make_category('fashion', name => 'Fashion', name_fr => 'Mode');
select tests.make_category('shoes', 'fashion', name => 'Shoes', name_fr => 'Chaussures');
select tests.make_product(
    'shoe', stock => 8, price_za => 99.99, price_cm => 4999, category => 'shoes',
    name_fr => 'Chaussure', description => 'Of leather.', seller_rating => 4.6
);
select tests.make_product('old_shoe', is_active => false);
select tests.make_wholesale_product(
    'box', stock => 15, price_za => 50, price_cm => null, min_order_quantity => 10,
    order_increment => 5, max_order_quantity => 200, category => 'shoes'
);
insert into public.price_tiers (retailer_product_id, quantities, discount_percent)
values (tests.id('box'), '[50,100)', 5), (tests.id('box'), '[100,)', 12.5);
insert into public.product_media (
    id, product_id, position, storage_path, alt, alt_fr, width, height
)
select
    tests.name_it(m.path, gen_random_uuid()), tests.id('shoe'), m.position,
    'products/' || m.path || '.webp', m.alt, m.alt_fr, 800, 600
from (
    values
    (1, 'side', 'From the side', null), (0, 'front', 'In front', 'De face'),
    (100, 'red', null, null)
) as m (position, path, alt, alt_fr);
insert into public.product_variants (
    id, product_id, external_id, position, options, options_fr, price_ratio, on_hand, reserved,
    media_id, is_active
)
select
    tests.name_it(v.name, gen_random_uuid()), tests.id('shoe'), v.name, v.position,
    jsonb_build_array(
        jsonb_build_object('name', 'Colour', 'value', v.colour),
        jsonb_build_object('name', 'Size', 'value', v.size)
    ),
    jsonb_build_array(
        jsonb_build_object('name', 'Couleur', 'value', v.couleur),
        jsonb_build_object('name', 'Taille', 'value', v.size)
    ),
    v.price_ratio, v.on_hand, v.reserved, v.media_id, v.is_active
from (
    values
    ('red 38', 0, 'Red', 'Rouge', '38', 1, 3, 1, tests.id('red'), true),
    ('red 44', 1, 'Red', 'Rouge', '44', 1.25, 20, 0, tests.id('red'), true),
    ('black 38', 2, 'Black', 'Noir', '38', 1, null, 0, null, true),
    ('blue 38', 3, 'Blue', 'Bleu', '38', 1, 5, 0, null, false)
) as v (
    name, position, colour, couleur, size, price_ratio, on_hand, reserved, media_id, is_active
);
insert into public.product_ratings (product_id, stars_1, stars_4, stars_5)
values (tests.id('shoe'), 1, 2, 4);

create function tests.page(listing text, country text default 'CM', language text default 'fr')
returns jsonb
language sql stable as $$
    select public.product_page(tests.id(page.listing), page.country, page.language)
$$;

create function tests.tag() returns text
language sql stable as $$
    select substring(h.header ->> 'ETag' from '"[^"]*"')
    from jsonb_array_elements(current_setting('response.headers')::jsonb) as h (header)
    where h.header ? 'ETag'
$$;

-- Retail ------------------------------------------------------------------------------------------

select tests.act_as_anon();
select is(
    tests.page('shoe') - '{options,variants,images,created_at,updated_at}'::text [],
    jsonb_build_object(
        'product_id', tests.id('shoe'),
        'channel', 'retail',
        'name', 'Chaussure',
        'description', 'Of leather.',
        'category', '[{"slug": "fashion", "name": "Mode"}, {"slug": "shoes", "name": "Chaussures"}]'
            ::jsonb,
        'country', 'CM',
        'currency', 'XAF',
        'price', 4999.00,
        'price_breaks', '[{"min_quantity": 1, "max_quantity": 100, "unit_price": 4999.00}]'::jsonb,
        'min_order_quantity', 1,
        'order_increment', 1,
        'max_order_quantity', 100,
        'available', 8,
        'in_stock', true,
        'weight_grams', null,
        'seller_rating', 4.60,
        'seller_review_count', 0,
        'rating', 4.14,
        'review_count', 7,
        'stars', '[1, 0, 0, 2, 4]'::jsonb
    ),
    'a guest reads all of a page in one call'
);
select is(
    tests.page('shoe') -> 'images',
    '[
        {"path": "products/front.webp", "alt": "De face", "width": 800, "height": 600},
        {"path": "products/side.webp", "alt": "From the side", "width": 800, "height": 600}
    ]'::jsonb,
    'pictures in their order, without those of single variants'
);
select is(
    tests.page('shoe') -> 'options',
    '[
        {"name": "Couleur", "values": ["Rouge", "Noir"]},
        {"name": "Taille", "values": ["38", "44"]}
    ]',
    'what there is to choose, each value once, in the supplier''s order'
);
select results_eq(
    $$ select n.name, (v.variant ->> 'price')::numeric, (v.variant ->> 'available')::integer,
           (v.variant ->> 'in_stock')::boolean, v.variant ->> 'image',
           v.variant #>> '{options,0,value}'
       from jsonb_array_elements(tests.page('shoe') -> 'variants') with ordinality
           as v (variant, place)
       inner join tests.names as n on (v.variant ->> 'variant_id')::uuid = n.id
       order by v.place $$,
    $$ values
       ('red 38', 4999.00, 2, true, 'products/red.webp', 'Rouge'),
       ('red 44', 6250, 8, true, 'products/red.webp', 'Rouge'),
       ('black 38', 4999.00, 8, true, null, 'Noir') $$,
    'variants at their own prices, bounded by what there is, without what is gone'
);
select is(
    (
        select jsonb_agg(v.variant #> '{options,0}')
        from jsonb_array_elements(tests.page('shoe', 'ZA', 'en') -> 'variants') as v (variant)
    ),
    '[{"name": "Colour", "value": "Red"}, {"name": "Colour", "value": "Red"},
      {"name": "Colour", "value": "Black"}]',
    'in English as in French'
);
select is(
    (tests.page('shoe', 'ZA', 'en') ->> 'name') || (tests.page('shoe', 'ZA', 'en') ->> 'price'),
    'shoe99.99', 'at another country''s price'
);
select is(
    tests.page('shoe', null, null) ->> 'country', 'ZA', 'a guest who says nothing is at home'
);
select tests.act_as('amina');
select is(
    concat_ws(' ', public.product_page(tests.id('shoe')) ->> 'name',
        public.product_page(tests.id('shoe')) ->> 'price'),
    'Chaussure 4999.00', 'a shopper where she lives, in her language'
);

-- Shown and charged -------------------------------------------------------------------------------

select tests.act_as_owner();
select results_eq(
    $$ select (v.variant ->> 'price')::numeric
       from jsonb_array_elements(tests.page('shoe', 'ZA') -> 'variants') with ordinality
           as v (variant, place)
       order by v.place $$,
    $$ select p.unit_price
       from unnest(array['red 38', 'red 44', 'black 38']) with ordinality as n (name, place)
       cross join lateral private.price_lines(
           array[tests.id('shoe')], array['retail'::public.product_channel], array[1], 'ZA',
           array[tests.id(n.name)]) as p
       order by n.place $$,
    'what a variant is shown at is what it is charged at'
);
select is(
    (
        select count(*)
        from generate_series(10, 200, 5) as q (quantity)
        cross join lateral private.price_lines(
            array[tests.id('box')], array['wholesale'::public.product_channel],
            array[q.quantity], 'ZA'
        ) as p
        inner join jsonb_array_elements(tests.page('box', 'ZA') -> 'price_breaks') as b (step)
            on q.quantity between (b.step ->> 'min_quantity')::integer
                and (b.step ->> 'max_quantity')::integer
                and p.unit_price = (b.step ->> 'unit_price')::numeric
    ),
    39::bigint, 'so is every quantity in bulk'
);

-- Wholesale ---------------------------------------------------------------------------------------

select tests.act_as_anon();
select is(
    tests.page('box', 'ZA', 'fr') - '{category,images,created_at,updated_at}'::text [],
    jsonb_build_object(
        'product_id', tests.id('box'),
        'channel', 'wholesale',
        'name', 'box',
        'description', null,
        'country', 'ZA',
        'currency', 'ZAR',
        'price', 50.00,
        'price_breaks', '[
            {"min_quantity": 10, "max_quantity": 45, "unit_price": 50.00},
            {"min_quantity": 50, "max_quantity": 95, "unit_price": 47.50},
            {"min_quantity": 100, "max_quantity": 200, "unit_price": 43.75}
        ]'::jsonb,
        'min_order_quantity', 10,
        'order_increment', 5,
        'max_order_quantity', 200,
        'available', 15,
        'in_stock', true,
        'weight_grams', null,
        'seller_rating', null,
        'seller_review_count', 0,
        'rating', null,
        'review_count', 0,
        'stars', '[0, 0, 0, 0, 0]'::jsonb,
        'options', '[]'::jsonb,
        'variants', '[]'::jsonb
    ),
    'goods in bulk have the same page'
);
select is(
    (select array_agg(p.value order by p.key)
     from jsonb_each(tests.page('box', 'CM')) as p
     where p.key in ('price', 'currency', 'price_breaks')),
    array['null', 'null', '[]']::jsonb [], 'where it is not sold it has no price'
);
select tests.act_as_owner();
update public.product_stock set on_hand = 9 where listing_id = tests.id('box');
delete from public.product_stock where listing_id = tests.id('shoe');
select tests.act_as_anon();
select is(
    (tests.page('box', 'ZA') ->> 'available') || ' ' || (tests.page('box', 'ZA') ->> 'in_stock'),
    '9 false', 'less than the smallest order is not in stock'
);
select is(
    (tests.page('shoe') ->> 'available') || ' ' || (tests.page('shoe') ->> 'in_stock')
    || ' ' || (tests.page('shoe') #>> '{variants,0,in_stock}'),
    '0 false false', 'what was never counted neither'
);

-- What has no page --------------------------------------------------------------------------------

select tests.refuses(
    format('select public.product_page(%s)', a.arguments), 'PT' || a.refusal, a.title, a.detail
)
from (
    values
    ('tests.id(''old_shoe'')', '404 product_not_found', 'what is not on sale has none', null),
    ('gen_random_uuid()', '404 product_not_found', 'nor what is not there', null),
    ('null', '404 product_not_found', 'nor nothing', ''),
    ('tests.id(''shoe''), ''FR''', '400 country_unknown', 'nor is there one for any country', 'FR'),
    ('tests.id(''shoe''), ''CM'', ''de''', '400 language_unknown', 'or in any language', 'de')
) as a (arguments, refusal, title, detail);
select tests.act_as('chioma');
select tests.refuses(
    'select public.product_page(tests.id(''old_shoe''))', 'PT404 product_not_found',
    'an admin''s page is the same'
);

-- What a cache may keep ---------------------------------------------------------------------------

select tests.act_as_anon();
select set_config('request.method', 'GET', true);
select is(tests.page('shoe') ->> 'name', 'Chaussure', 'a guest''s GET is answered');
select matches(
    current_setting('response.headers', true), '"Cache-Control": "public, max-age=',
    'and may be kept'
);
select set_config(
    'request.headers', jsonb_build_object('if-none-match', tests.tag())::text, true
);
select is(tests.page('shoe'), null, 'what was not changed is not sent again');
select is(current_setting('response.status', true), '304', 'and says so');

-- each change is seen by whoever holds a page
select tests.act_as_owner();
create function tests.version() returns bigint
language sql security definer as $$
    select set_config('mallgram.catalogue_changed', '', true);
    select private.catalogue_version()
$$;
create table tests.changes (change text, is_seen boolean, title text);
insert into tests.changes values
('update public.product_variants set price_ratio = 1.5 where id = tests.id(''red 44'')', true,
    'another price of a variant'),
('update public.product_variants set is_active = true where id = tests.id(''blue 38'')', true,
    'a variant that is back'),
('update public.product_variants set media_id = null where id = tests.id(''red 38'')', true,
    'another picture of it'),
('update public.product_variants set on_hand = 7, reserved = 2 where id = tests.id(''red 38'')',
    false, 'pieces of it'),
('update public.product_variants set options = options where id = tests.id(''red 38'')', false,
    'nothing new'),
('insert into public.product_variants (retailer_product_id, external_id) '
    'values (tests.id(''box''), ''1'')', true, 'a new variant'),
('delete from public.product_variants where external_id = ''1''', true, 'one that is deleted'),
('update public.product_ratings set stars_5 = 5', true, 'another star')
;
create function tests.sees(change text) returns boolean
language plpgsql as $$
declare
    v_version bigint := tests.version();
begin
    execute sees.change;
    return tests.version() > v_version;
end
$$;
select is(
    tests.sees(c.change), c.is_seen,
    c.title || case when c.is_seen then ' changes the page' else ' does not' end
)
from tests.changes as c;

select * from finish();
rollback;
