begin;
\ir ../_helpers.psql
select plan(13);

-- given a shelf of its own
select tests.make_category('zorb-tea');
select tests.make_category('zorb-mugs');
select tests.make_product('Zorblax red kettle', category => 'zorb-tea', price_za => 90);
select tests.make_product('Zorblax red kettle large', category => 'zorb-tea', price_za => 120);
select tests.make_product('Red teapot', category => 'zorb-tea', name_fr => 'Théière rouge');
select tests.make_product('Green spoon', category => 'zorb-tea');
select tests.make_product('Zorblax red hidden', category => 'zorb-tea', is_active => false);
select tests.make_product('Red tin', category => 'zorb-tea', price_za => null);
select tests.make_product('Zorblax red kettle mug', category => 'zorb-mugs');
select tests.make_wholesale_product('Zorblax red kettles by the box', category => 'zorb-tea');

create function tests.akin(
    name text, country text default 'ZA', language text default 'en', page_size integer default 12
)
returns text []
language sql stable as $$
    select array_agg(s.name order by s.place)
    from (
        select s.*, row_number() over () as place
        from public.similar_products(
            tests.id(akin.name), akin.country, akin.language, akin.page_size
        ) as s
    ) as s
$$;

select tests.act_as_anon();
select is(
    tests.akin('Zorblax red kettle'), '{Zorblax red kettle large,Red teapot}',
    'what shares words, category and channel, the likest first, itself left out'
);
select is(
    (tests.akin('Zorblax red kettle', language => 'fr'))[2], 'Théière rouge',
    'named in the reader''s language'
);
select is(
    tests.akin('Zorblax red kettle', page_size => 1), '{Zorblax red kettle large}',
    'as many as are asked for'
);
select is(tests.akin('Green spoon'), null, 'what is like nothing has nothing like it');
select is(
    (
        select s.price from public.similar_products(tests.id('Zorblax red kettle'), 'ZA') as s
        limit 1
    ),
    120.00, 'at the price of the country'
);
select is(
    tests.akin('Zorblax red kettles by the box'), null, 'cartons are compared with cartons'
);

-- refusals
select tests.refuses(
    $$select * from public.similar_products(tests.id('Zorblax red hidden'))$$,
    'PT404 product_not_found', 'what is off sale is unknown', tests.id('Zorblax red hidden')::text
);
select tests.refuses(
    $$select * from public.similar_products(null)$$, 'PT404 product_not_found', 'so is nothing'
);
select tests.refuses(
    $$select * from public.similar_products(tests.id('Red teapot'), page_size => 101)$$,
    'PT400 page_size_invalid', 'a page of 101 is refused', '101'
);
select tests.refuses(
    $$select * from public.similar_products(tests.id('Red teapot'), page_size => null)$$,
    'PT400 page_size_invalid', 'and one of no size'
);
select tests.refuses(
    $$select * from public.similar_products(tests.id('Red teapot'), 'FR')$$,
    'PT400 country_unknown', 'a country that is not ours is refused', 'FR'
);
select tests.refuses(
    $$select * from public.similar_products(tests.id('Red teapot'), 'ZA', 'de')$$,
    'PT400 language_unknown', 'and a language that is neither', 'de'
);
select tests.act_as_service();
select tests.denies(
    'select * from public.similar_products(gen_random_uuid())', 'the service does not look'
);

select * from finish();
rollback;
