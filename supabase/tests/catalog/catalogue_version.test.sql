begin;
\ir ../_helpers.psql
select plan(40);

-- A change counts once a transaction, and a test is one: each question begins with a fresh mark.
create function tests.raises_version(statement text) returns bigint
language plpgsql as $$
declare
    v_before bigint;
begin
    perform set_config('mallgram.catalogue_changed', '', true);
    v_before := private.catalogue_version();
    execute raises_version.statement;
    return private.catalogue_version() - v_before;
end
$$;

-- given goods on the shelf
select tests.make_category('shelf');
select tests.make_category('empty-shelf');
select tests.make_product('lamp', stock => 5);
select tests.make_product('shoe', stock => 3);
select tests.make_wholesale_product('box', stock => 30);

-- what anonymous pages show
create temp table changes (title text, statement text);
insert into changes values
('a new category', $$select tests.make_category('other-shelf')$$),
(
    'a renamed category',
    $$update public.categories set name = 'Shelf' where id = tests.id('shelf')$$
),
(
    'a removed category',
    $$delete from public.categories where id = tests.id('empty-shelf')$$
),
('a new product', $$select tests.make_product('kettle')$$),
('a renamed product', $$update public.products set name = 'Lamp' where id = tests.id('lamp')$$),
(
    'a withdrawn wholesale product',
    $$update public.products_retailer set is_active = false where id = tests.id('box')$$
),
(
    'another price',
    $$update public.product_prices set amount = amount + 1 where listing_id = tests.id('shoe')$$
),
(
    'a picture',
    $$insert into public.product_media (product_id, position, storage_path)
    values (tests.id('shoe'), 9, 'products/shoe.webp')$$
),
(
    'another text beside a picture',
    $$update public.product_media set alt = 'A shoe' where listing_id = tests.id('shoe')$$
),
(
    'a picture taken away',
    $$delete from public.product_media where listing_id = tests.id('shoe')$$
),
(
    'a wholesale break',
    $$insert into public.price_tiers (retailer_product_id, quantities, discount_percent)
    values (tests.id('box'), '[1000,)', 10)$$
),
(
    'another wholesale break',
    $$update public.price_tiers set discount_percent = 11
    where retailer_product_id = tests.id('box')$$
),
(
    'a wholesale break taken away',
    $$delete from public.price_tiers where retailer_product_id = tests.id('box')$$
),
(
    'stock that runs out',
    $$update public.product_stock set reserved = on_hand where listing_id = tests.id('shoe')$$
),
(
    'stock that comes back',
    $$update public.product_stock set reserved = 0 where listing_id = tests.id('shoe')$$
),
(
    'wholesale stock below the smallest order',
    $$update public.product_stock set reserved = on_hand - 1 where listing_id = tests.id('box')$$
),
('a product taken away', $$delete from public.products where id = tests.id('lamp')$$);

select is(tests.raises_version(c.statement), 1::bigint, c.title || ' raises the version')
from changes as c;

-- what they do not show
create temp table idle (title text, statement text);
insert into idle values
(
    'a statement that finds nothing',
    $$update public.products set name = 'Nobody' where id = gen_random_uuid()$$
),
(
    'an upsert that differs in nothing',
    $$insert into public.product_prices as pp (product_id, country, currency, amount)
    select x.product_id, x.country, x.currency, x.amount
    from public.product_prices as x
    where x.listing_id = tests.id('shoe')
    on conflict on constraint product_prices_pkey do update
    set amount = excluded.amount
    where pp.amount is distinct from excluded.amount$$
),
(
    'one piece fewer of three',
    $$update public.product_stock set reserved = 1 where listing_id = tests.id('shoe')$$
),
(
    'one piece more of a box that is short all the same',
    $$update public.product_stock set reserved = reserved - 1 where listing_id = tests.id('box')$$
);
select is(tests.raises_version(i.statement), 0::bigint, i.title || ' does not')
from idle as i;

-- a transaction counts once
select set_config('mallgram.catalogue_changed', '', true);
create temp table before as select private.catalogue_version() as version;
grant select on before to public;
update public.products set name = 'Boot' where id = tests.id('shoe');
update public.products set name = 'Slipper' where id = tests.id('shoe');
select is(
    private.catalogue_version() - (select b.version from before as b), 1::bigint,
    'two changes of one transaction are one'
);
select tests.act_as_service();
select is(
    service.catalogue_version(),
    jsonb_build_object('version', (select b.version + 1 from before as b)),
    'the edge is told the same number'
);
select tests.act_as_owner();

-- what a GET answers ------------------------------------------------------------------------------

create function tests.asks(method text, headers jsonb default '{}') returns void
language sql as $$
    select set_config('request.method', asks.method, true),
        set_config('request.headers', asks.headers::text, true),
        set_config('response.headers', '', true),
        set_config('response.status', '', true)
$$;
create function tests.told(header text) returns text
language sql as $$
    select h.value ->> told.header
    from jsonb_array_elements(nullif(current_setting('response.headers'), '')::jsonb) as h
    where h.value ? told.header
$$;

-- given a guest who asks for the first time
select tests.asks('GET');
select tests.act_as_anon();
select is(private.is_not_modified(), false, 'who holds nothing is answered in full');
select is(
    tests.told('Cache-Control'),
    'public, max-age=30, s-maxage=5, stale-while-revalidate=10, stale-if-error=600',
    'and told how long it is good'
);
select is(
    tests.told('Vary'), 'Accept, Accept-Language, Authorization, Prefer, Range',
    'and what it depends on'
);
select matches(tests.told('ETag'), '^W/"\d+-\d{7}-none"$', 'and its version');
select is(current_setting('response.status'), '', 'with the status that it has anyway');

-- when the guest asks again with that
create temp table held as select tests.told('ETag') as tag;
grant select on held to public;
select tests.asks('GET', (select jsonb_build_object('if-none-match', h.tag) from held as h));
select is(private.is_not_modified(), true, 'who holds this version needs no answer');
select is(current_setting('response.status'), '304', 'and is told so');
select is(tests.told('ETag'), (select h.tag from held as h), 'with the same version');
select is(
    (select count(*) from public.category_counts('CM')), 0::bigint, 'the work is not done'
);
select tests.asks(
    'GET',
    (select jsonb_build_object('if-none-match', '"other", ' || substr(h.tag, 3)) from held as h)
);
select is(private.is_not_modified(), true, 'one of several will do, strong or weak');

-- when something else was asked or has changed
select tests.asks(
    'GET',
    (select jsonb_build_object('if-none-match', h.tag, 'accept-language', 'fr') from held as h)
);
select is(private.is_not_modified(), false, 'another language is another answer');
select tests.act_as_owner();
select tests.raises_version($$update public.products set name = 'x' where id = tests.id('shoe')$$);
select tests.act_as_anon();
select tests.asks('GET', (select jsonb_build_object('if-none-match', h.tag) from held as h));
select is(private.is_not_modified(), false, 'after a change the old version is of no use');

-- when a person asks, or nobody caches
select tests.act_as_owner();
select tests.make_user('amina');
select tests.asks('GET', (select jsonb_build_object('if-none-match', h.tag) from held as h));
select tests.act_as('amina');
select is(private.is_not_modified(), false, 'a person is always answered');
select is(tests.told('Cache-Control'), 'private, no-store', 'and nobody keeps it');
select is(tests.told('ETag'), null, 'nor asks about it');
select tests.act_as_anon();
select tests.asks('POST');
select is(private.is_not_modified(), false, 'a POST is answered');
select is(current_setting('response.headers'), '', 'and nothing is said about keeping it');

select * from finish();
rollback;
