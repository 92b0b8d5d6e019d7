-- Variants as suppliers give them: options, price and pieces of each, read by everyone.
begin;
\ir ../_helpers.psql
select plan(76);

-- given a shoe in two sizes and a box that comes as one
select tests.make_user('amina');
select tests.make_admin('ada');
select tests.make_product('shoe');
select tests.make_wholesale_product('box');
insert into public.product_media (id, product_id, position, storage_path)
values (tests.name_it('red', gen_random_uuid()), tests.id('shoe'), 100, 'products/red.webp');
insert into public.product_variants (
    id, product_id, external_id, position, options, options_fr, price_ratio, on_hand, media_id
)
values
(
    tests.name_it('small', gen_random_uuid()), tests.id('shoe'), '12000000000000001', 0,
    '[{"name": "Colour", "value": "Red"}, {"name": "Size", "value": "38"}]',
    '[{"name": "Couleur", "value": "Rouge"}, {"name": "Taille", "value": "38"}]',
    1, 5, tests.id('red')
),
(
    tests.name_it('large', gen_random_uuid()), tests.id('shoe'), '12000000000000002', 1,
    '[{"name": "Colour", "value": "Red"}, {"name": "Size", "value": "44"}]', null, 1.25, null,
    tests.id('red')
);
insert into public.product_variants (retailer_product_id, external_id)
values (tests.id('box'), '12000000000000001');
insert into private.product_variant_sources (variant_id, attributes, cost, currency)
values (tests.id('small'), '14:29#Red;200000124:38', 4.20, 'USD');

select is(
    (select count(*) from public.product_variants as v where v.listing_id = tests.id('box')),
    1::bigint, 'another product may have a variant of the same supplier''s id'
);
select is(
    (
        select row(v.price_ratio, v.is_active, v.options)::text
        from public.product_variants as v where v.listing_id = tests.id('box')
    ),
    '(1.0000,t,[])', 'a variant without a choice costs what its product costs'
);

-- Its price ---------------------------------------------------------------------------------------

select is(private.variant_amount(100.00, 1, 'ZAR'), 100.00, 'the cheapest costs the listed price');
select is(private.variant_amount(100.00, null, 'ZAR'), 100.00, 'so does a line without a variant');
select is(
    private.variant_amount(99.99, 1.25, 'ZAR'), 125.90, 'another its share, ending as prices do'
);
select is(private.variant_amount(4999, 1.25, 'XAF'), 6250::numeric, 'in francs as well');
select is(
    private.options_label(jsonb_build_array(
        jsonb_build_object('name', 'Model', 'value', repeat('a', 100)),
        jsonb_build_object('name', 'Colour', 'value', repeat('b', 100))
    )),
    repeat('a', 100) || ', ' || repeat('b', 18), 'a line of an order names 120 characters of it'
);

-- What cannot be ----------------------------------------------------------------------------------

create table tests.breaks (constraint_name text, assignment text, title text);
insert into tests.breaks values
('product_variants_pkey', 'id = tests.id(''large'')', 'two variants of one id'),
('product_variants_points_at_one_product', 'retailer_product_id = tests.id(''box'')',
    'a variant of two products'),
('product_variants_product_id_fkey', 'product_id = gen_random_uuid()', 'one of no product'),
('product_variants_retailer_product_id_fkey',
    'product_id = null, retailer_product_id = gen_random_uuid()',
    'one of no wholesale product'),
('product_variants_external_id_key', 'external_id = ''12000000000000002''', 'one id twice'),
('product_variants_external_id_is_one_line', 'external_id = ''''', 'one without an id'),
('product_variants_position_not_negative', 'position = -1', 'one before the first'),
('product_variants_options_are_named_values', 'options = ''{}'', options_fr = null',
    'options that are no list'),
('product_variants_options_are_named_values', 'options = ''["Red"]'', options_fr = null',
    'an option without a name'),
('product_variants_options_are_named_values',
    'options = ''[{"name": "Size"}]'', options_fr = null', 'an option without a value'),
('product_variants_options_are_named_values',
    'options = ''[{"name": "Size", "value": 38}]'', options_fr = null',
    'an option that is a number'),
('product_variants_options_are_named_values',
    'options = ''[[{"name": "Size", "value": "38"}]]'', options_fr = null', 'a list in the list'),
('product_variants_options_are_named_values',
    'options_fr = null, options = (select jsonb_agg(''{"name": "a", "value": "b"}''::jsonb) '
    'from generate_series(1, 11))',
    'eleven options'),
('product_variants_options_are_named_values',
    'options_fr = null, options = jsonb_build_array(jsonb_build_object('
    '''name'', ''a'', ''value'', repeat(''b'', 4000)))',
    'an option of many pages'),
('product_variants_options_are_named_values',
    'options_fr = null, options = jsonb_build_array(jsonb_build_object('
    '''name'', ''Size'', ''value'', E''38\nsecond line''))', 'an option of two lines'),
('product_variants_options_are_named_values',
    'options_fr = null, options = jsonb_build_array(jsonb_build_object('
    '''name'', E''Size\u0007'', ''value'', ''38''))', 'a name that rings'),
('product_variants_options_fr_match_options',
    'options_fr = jsonb_set(options_fr, ''{0,value}'', ''"Rouge\n"'')', 'two lines in French'),
('product_variants_options_fr_match_options', 'options_fr = ''[]''', 'half a translation'),
('product_variants_options_fr_match_options', 'options_fr = ''{}''', 'no list in French'),
('product_variants_options_fr_match_options', 'options_fr = ''["Rouge", "38"]''',
    'options without names in French'),
('product_variants_price_ratio_in_range', 'price_ratio = 0.99', 'one below the listed price'),
('product_variants_price_ratio_in_range', 'price_ratio = 1000.1', 'one beyond all measure'),
('product_variants_on_hand_not_negative', 'on_hand = -1', 'less than none'),
('product_variants_reserved_not_negative', 'reserved = -1', 'less than none held'),
('product_variants_media_id_fkey', 'media_id = gen_random_uuid()', 'a picture that is not there');
select tests.violates(
    format('update public.product_variants set %s where id = tests.id(''small'')', b.assignment),
    b.constraint_name, b.title || ' cannot be'
)
from tests.breaks as b;
select set_eq(
    $$ select c.conname::text from pg_catalog.pg_constraint as c
       where c.conrelid = 'public.product_variants'::regclass $$,
    $$ select b.constraint_name from tests.breaks as b $$,
    'these are all its constraints'
);
select tests.violates(
    'update private.product_variant_sources set ' || b.assignment,
    b.constraint_name, 'what the shop knows has no ' || b.title
)
from (
    values
    ('product_variant_sources_cost_has_currency', 'currency = null', 'cost without a currency'),
    ('product_variant_sources_costs_positive', 'cost = 0', 'cost of nothing'),
    ('product_variant_sources_bulk_is_whole', 'bulk_cost = 3', 'cost in bulk from no quantity'),
    ('product_variant_sources_currency_fkey', 'currency = ''XXX''', 'cost in no money')
) as b (constraint_name, assignment, title);

-- Who reads and writes ----------------------------------------------------------------------------

select tests.has_policies(
    'public.product_variants', 'select_listed_or_admin: select to anon, authenticated'
);
select tests.has_policies('private.product_variant_sources');
select tests.act_as_anon();
select is(
    (select count(*) from public.product_variants as v where v.listing_id = tests.id('shoe')),
    2::bigint, 'a guest sees what there is to choose'
);
select tests.closed('public.product_variants', 'insert', 'update', 'delete');
select tests.closed('private.product_variant_sources');
select tests.act_as('amina');
select tests.closed('public.product_variants', 'insert', 'update', 'delete');
select tests.closed('private.product_variant_sources');
select tests.act_as('ada');
select tests.closed('public.product_variants', 'insert', 'update', 'delete');
select tests.closed('private.product_variant_sources');
select tests.act_as_service_role();
select tests.affects(
    'update public.product_variants set on_hand = 4 where id = tests.id(''small'')', 1,
    'service_role counts them'
);
select tests.closed('private.product_variant_sources');
select tests.act_as_service();
select tests.closed('public.product_variants');
select tests.closed('private.product_variant_sources');

-- What goes along ---------------------------------------------------------------------------------

select tests.act_as_owner();
delete from public.product_media where id = tests.id('red');
select is(
    (select count(*) from public.product_variants as v
     where v.listing_id = tests.id('shoe') and v.media_id is null),
    2::bigint, 'a picture that goes leaves its variants'
);
delete from public.products where id = tests.id('shoe');
select is(
    (select count(*) from public.product_variants as v where v.listing_id = tests.id('shoe'))
    + (select count(*) from private.product_variant_sources),
    0::bigint, 'a product that is deleted takes its variants along'
);

select * from finish();
rollback;
