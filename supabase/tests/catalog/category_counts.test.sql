begin;
\ir ../_helpers.psql
select plan(23);

-- given a shelf with two boards, goods on both, some of them out of sight
select tests.make_category('shelf');
select tests.make_category('board', 'shelf');
select tests.make_category('other-board', 'shelf');
select tests.make_category('hidden-board', 'shelf', is_active => false);
select tests.make_product(
    'shoe', category => 'board', price_za => 100, price_cm => 5000, seller_rating => 4.6
);
select tests.make_product(
    'boot', category => 'board', price_za => 300, price_cm => null, seller_rating => 3.1
);
select tests.make_product('lamp', category => 'other-board', price_za => 50, price_cm => 900);
select tests.make_product('gone', category => 'board', is_active => false);
select tests.make_product('unseen', category => 'hidden-board');
select tests.make_wholesale_product('box', category => 'board', price_za => 20, price_cm => 400);

create function tests.counted(country text, channel public.product_channel default null)
returns table (category text, products integer)
language sql security definer as $$
    select n.category, n.products
    from private.category_counts(counted.country, counted.channel) as n
    where n.category in ('shelf', 'board', 'other-board', 'hidden-board')
    order by n.category
$$;

-- before anything was counted
delete from private.listing_counts;
delete from private.counted_catalogue;
select tests.act_as_anon();
select results_eq(
    $$select * from tests.counted('ZA')$$,
    $$values ('board', 0), ('other-board', 0), ('shelf', 0)$$,
    'active categories are there from the start, with nothing in them'
);

-- when they are counted
select tests.act_as_service();
select results_eq(
    $$select service.count_catalogue() - 'changed'$$, $$values ('{"is_counted": true}'::jsonb)$$,
    'a catalogue that was never counted is'
);
select tests.act_as_owner();
select results_eq(
    $$
    select l.country, l.channel, l.listings, l.rated_3, l.rated_4, l.rated_45
    from private.listing_counts as l
    where l.category_id = tests.id('board')
    order by l.country, l.channel
    $$,
    $$
    values
    ('CM', 'retail'::public.product_channel, 1, 1, 1, 1),
    ('CM', 'wholesale', 1, 0, 0, 0),
    ('ZA', 'retail', 2, 2, 1, 1),
    ('ZA', 'wholesale', 1, 0, 0, 0)
    $$,
    'each country and channel has its number, and how many of those have stars'
);
select is_empty(
    'select * from private.invariant_category_counts', 'and they are those of the listings'
);
select tests.act_as_anon();
select results_eq(
    $$select * from tests.counted('ZA')$$,
    $$values ('board', 3), ('other-board', 1), ('shelf', 4)$$,
    'a category counts what is below it, and nothing that is hidden'
);
select results_eq(
    $$select * from tests.counted('CM', 'retail')$$,
    $$values ('board', 1), ('other-board', 1), ('shelf', 2)$$,
    'of one channel, where it is sold'
);
select results_eq(
    $$
    select n.category, n.products from public.category_counts('ZA', 'wholesale') as n
    where n.category in ('board', 'other-board')
    $$,
    $$values ('board', 1), ('other-board', 0)$$,
    'a guest is told so'
);
select tests.refuses(
    $$select * from public.category_counts('XX')$$, 'PT400 country_unknown',
    'a country that there is not is refused', 'XX'
);
select tests.closed('private.listing_counts');
select tests.closed('private.counted_catalogue');
select tests.denies('select service.count_catalogue()', 'a guest does not count');

-- when nothing has changed since
select tests.act_as_service();
select service.count_catalogue();
select is(
    service.count_catalogue(), '{"changed": 0, "is_counted": false}'::jsonb,
    'a catalogue that has not changed is not counted'
);

-- when a product is withdrawn, and another is the last of its kind
select tests.act_as_owner();
select set_config('mallgram.catalogue_changed', '', true);
update public.products set is_active = false where id in (tests.id('shoe'), tests.id('lamp'));
select tests.act_as_service();
-- board and the other board, in two countries each
select is(
    service.count_catalogue(), '{"changed": 4, "is_counted": true}'::jsonb,
    'what has changed is counted, and no more is written than differs'
);
select tests.act_as_anon();
select results_eq(
    $$select * from tests.counted('ZA')$$,
    $$values ('board', 2), ('other-board', 0), ('shelf', 2)$$,
    'and what is gone is gone'
);

-- a count that is wrong is seen
select tests.act_as_owner();
create function tests.wrong_counts() returns setof text
language sql as $$
    select i.detail from private.invariant_category_counts as i
$$;
select tests.proves(
    'wrong_counts',
    $$
    update private.listing_counts set listings = 9
    where category_id = tests.id('board') and country = 'ZA' and channel = 'retail'
    $$,
    'ZA retail: counted 9, on sale 1',
    $$
    update private.listing_counts set listings = 1
    where category_id = tests.id('board') and country = 'ZA' and channel = 'retail'
    $$,
    'the counts of an unchanged catalogue are its listings'
);

select * from finish();
rollback;
