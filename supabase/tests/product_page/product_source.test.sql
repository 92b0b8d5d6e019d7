-- Where goods come from: for admins, and for nobody else in any way.
begin;
\ir ../_helpers.psql
select plan(9);

-- given a shoe of a seller in two variants, and a box that nobody knows the source of
select tests.make_user('amina');
select tests.make_admin('ada');
insert into public.suppliers (id, platform, external_id, name, seller_rating)
values (tests.name_it('shenzhen', gen_random_uuid()), 'aliexpress', 'S-1', 'Shenzhen Test', 4.7);
select tests.make_product('shoe');
select tests.make_wholesale_product('box');
update public.products set supplier_id = tests.id('shenzhen'), external_id = '1005001'
where id = tests.id('shoe');
insert into private.product_costs (product_id, cost, currency)
values (tests.id('shoe'), 4.20, 'USD');
insert into public.product_variants (id, product_id, external_id, position, options, is_active)
values
(
    tests.name_it('red', gen_random_uuid()), tests.id('shoe'), '12-1', 0,
    '[{"name": "Colour", "value": "Red"}]', true
),
(tests.name_it('gone', gen_random_uuid()), tests.id('shoe'), '12-2', 1, '[]', false);
insert into private.product_variant_sources (variant_id, attributes, cost, currency)
values (tests.id('red'), '14:29#Red', 4.20, 'USD');

-- nobody else
select tests.act_as_anon();
select tests.denies(
    'select s.name from public.products as p '
    'inner join public.suppliers as s on p.supplier_id = s.id', 'a guest is not led to the seller'
);
select tests.denies('select public.product_source(tests.id(''shoe''))', 'nor asks for it');
select tests.act_as('amina');
select tests.refuses(
    'select public.product_source(tests.id(''shoe''))', 'PT403 admin_required',
    'a shopper is refused it'
);
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(
    'select public.product_source(tests.id(''shoe''))', 'PT401 authentication_required',
    'so is nobody'
);
select tests.act_as('ada');

-- an admin
select is(
    public.product_source(tests.id('shoe')),
    jsonb_build_object(
        'product_id', tests.id('shoe'), 'channel', 'retail', 'platform', 'aliexpress',
        'external_id', '1005001', 'cost', 4.20, 'currency', 'USD',
        'supplier', jsonb_build_object(
            'supplier_id', tests.id('shenzhen'), 'external_id', 'S-1', 'name', 'Shenzhen Test',
            'seller_rating', 4.70
        ),
        'variants', jsonb_build_array(
            jsonb_build_object(
                'variant_id', tests.id('red'), 'external_id', '12-1',
                'options', '[{"name": "Colour", "value": "Red"}]'::jsonb,
                'attributes', '14:29#Red', 'cost', 4.20, 'bulk_cost', null,
                'bulk_quantity', null, 'currency', 'USD', 'is_active', true
            ),
            jsonb_build_object(
                'variant_id', tests.id('gone'), 'external_id', '12-2', 'options', '[]'::jsonb,
                'attributes', null, 'cost', null, 'bulk_cost', null, 'bulk_quantity', null,
                'currency', null, 'is_active', false
            )
        )
    ),
    'an admin sees what a product is at its supplier, and how each variant is ordered there'
);
select is(
    public.product_source(tests.id('box')),
    jsonb_build_object(
        'product_id', tests.id('box'), 'channel', 'wholesale', 'platform', null,
        'external_id', null, 'supplier', null, 'cost', null, 'currency', null,
        'variants', '[]'::jsonb
    ),
    'or that nobody knows'
);
select tests.act_as_owner();
insert into private.supplier_listings (retailer_product_id, platform, external_id)
values (tests.id('box'), 'alibaba', '6200001');
select tests.act_as('ada');
select is(
    public.product_source(tests.id('box')) @> '{"platform": "alibaba", "external_id": "6200001"}',
    true, 'what a sync took it for is known'
);
select tests.refuses(
    'select public.product_source(''00000000-0000-4000-8000-000000000000'')',
    'PT404 product_not_found', 'a product that is not there has no source',
    '00000000-0000-4000-8000-000000000000'
);
select tests.refuses(
    'select public.product_source(null)', 'PT404 product_not_found', 'nor has none'
);

select * from finish();
rollback;
