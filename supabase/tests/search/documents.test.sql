-- What search knows of the shop follows it: at once for a change by hand, in batches for many.
begin;
\ir ../_helpers.psql
select plan(46);

delete from private.search_queue;
-- given two goods and a carton
select tests.make_category('zorb', name => 'Zorbware', name_fr => 'Zorberie');
select tests.make_category('zorb-pots', 'zorb', 'Potware', 'Poterie');
select tests.make_product(
    'Glimmox pan', category => 'zorb-pots', name_fr => 'Poêlon glimmox', seller_rating => 4.5,
    description => 'For slow stewings'
);
select tests.make_product('Glimmox quelid', category => 'zorb-pots', is_active => false);
select tests.make_wholesale_product('Glimmox pans by the box', category => 'zorb');

create function tests.known(word text) returns text []
language sql stable as $$
    select array_agg(n.name order by n.name)
    from private.search_documents as d
    inner join tests.names as n on d.listing_id = n.id
    where (d.search_en || d.search_fr) @@ private.read_query(known.word)
$$;
-- Rows written so far: a change that writes nothing new leaves them as they are.
create function tests.version(name text) returns text
language sql stable as $$
    select d.ctid::text from private.search_documents as d where d.listing_id = tests.id(version.name)
$$;

-- a row a listing on sale
select is(
    tests.known('glimmox'), '{Glimmox pan,Glimmox pans by the box}', 'what is on sale is known'
);
select results_eq(
    $$
    select d.channel, d.category_id, d.rating, d.popularity
    from private.search_documents as d
    where d.listing_id in (tests.id('Glimmox pan'), tests.id('Glimmox pans by the box'))
    order by d.channel
    $$,
    $$
    values
    ('retail'::public.product_channel, tests.id('zorb-pots'), 4.50, 3.1192),
    ('wholesale', tests.id('zorb'), 0.00, 2.0794)
    $$,
    'with its channel, category, stars and popularity'
);
select is(tests.known('stewings glimmox'), '{Glimmox pan}', 'by its description');
select is(tests.known('potware'), '{Glimmox pan}', 'by its category');
select is(
    tests.known('zorberie'), '{Glimmox pan,Glimmox pans by the box}',
    'and by the category above, in either language'
);
select is(
    array(
        select t.word from private.search_terms as t
        where t.word in ('glimmox', 'poelon', 'pan', 'quelid', 'stewings') order by t.word
    ),
    '{glimmox,pan,poelon}', 'the words of names on sale are kept, without accents'
);
select results_eq(
    $$
    select t.word, t.english, t.french from private.search_terms as t
    where t.word in ('glimmox', 'poelon') order by t.word
    $$,
    $$values ('glimmox', 'glimmox', 'glimmox'), ('poelon', null, 'poêlon')$$,
    'and as either language spells them'
);

-- changes by hand
update public.products set is_active = true where id = tests.id('Glimmox quelid');
select is(
    tests.known('glimmox'), '{Glimmox pan,Glimmox pans by the box,Glimmox quelid}',
    'what goes on sale is found at once'
);
update public.products set is_active = false where id = tests.id('Glimmox quelid');
select is(
    tests.known('glimmox'), '{Glimmox pan,Glimmox pans by the box}', 'and off sale no more'
);
update public.products set name_fr = 'Marmite glimmox' where id = tests.id('Glimmox pan');
select is(tests.known('marmite glimmox'), '{Glimmox pan}', 'a new name is found');
select is(tests.known('poelon glimmox'), null, 'the old one is not');
update public.products set category_id = tests.id('zorb') where id = tests.id('Glimmox pan');
select is(tests.known('potware'), null, 'a product that moves leaves its category''s words');
update public.products set seller_rating = 5, review_count = 98 where id = tests.id('Glimmox pan');
select is(
    (select d.popularity from private.search_documents as d
     where d.listing_id = tests.id('Glimmox pan')),
    23.0259, 'stars and reviews are its popularity'
);
update public.categories set name = 'Wobbleware' where id = tests.id('zorb');
select is(service.refresh_search(100) ->> 'refreshed', '2', 'a category''s goods are queued');
select is(
    tests.known('wobbleware'), '{Glimmox pan,Glimmox pans by the box}',
    'a category''s new name leads to its goods'
);
update public.products set category_id = tests.id('zorb-pots') where id = tests.id('Glimmox pan');
update public.categories set name_fr = 'Brimboire' where id = tests.id('zorb');
select service.refresh_search(100);
select is(
    tests.known('brimboire'), '{Glimmox pan,Glimmox pans by the box}',
    'and to those of the categories below it'
);
update public.categories set parent_id = null where id = tests.id('zorb-pots');
select service.refresh_search(100);
select is(tests.known('brimboire'), '{Glimmox pans by the box}', 'until they stand elsewhere');

-- what changes nothing writes nothing
create temp table before as
select tests.version('Glimmox pan') as pan, (select count(*) from private.search_queue) as queued;
update public.products set name = name, max_order_quantity = 7 where id = tests.id('Glimmox pan');
update public.categories set position = 9 where id = tests.id('zorb');
select private.refresh_search(array[tests.id('Glimmox pan')]);
select is(
    (select b.pan from before as b), tests.version('Glimmox pan'),
    'a change that search does not show writes no row of it'
);

-- many at once wait for their batches
delete from private.outbox where job = 'refresh_search';
create temp table outbox_before as select o.id from private.outbox as o;
insert into public.products (category_id, name, price_mallgram)
select tests.id('zorb'), 'Fnordium number ' || n, 5
from generate_series(1, 201) as n;
select is(tests.known('fnordium'), null, 'more than 200 are not found within the change itself');
select is((select count(*) from private.search_queue), 201::bigint, 'they are queued');
select results_eq(
    $$
    select o.job, o.args from private.outbox as o
    where o.id not in (select b.id from outbox_before as b)
    $$,
    $$values ('refresh_search', '{}'::jsonb)$$, 'and one job is to come'
);
update public.products set name = name || ' blue' where name like 'Fnordium number%';
select is(
    (select count(*) from private.search_queue), 402::bigint, 'again with each change of theirs'
);
select tests.act_as_service();
select is(
    service.refresh_search(150), '{"refreshed": 150, "is_done": false}'::jsonb,
    'a batch of them is found'
);
select is(
    service.refresh_search(150), '{"refreshed": 51, "is_done": true}'::jsonb,
    'then the rest, each once'
);
select is(
    service.refresh_search(150), '{"refreshed": 0, "is_done": true}'::jsonb, 'then none is left'
);
select tests.act_as_owner();
select is(
    (
        select count(*) from private.search_documents as d
        where (d.search_en || d.search_fr) @@ private.read_query('fnordium blue')
    ),
    201::bigint, 'all of them as they are now'
);
update public.products set name = name where name like 'Fnordium number%';
select is((select count(*) from private.search_queue), 0::bigint, 'no change queues nothing');

-- what is popular, and how many have a word
delete from private.search_documents as d
where not exists (select from tests.names as n where n.id = d.listing_id)
    and not (d.search_en || d.search_fr) @@ private.read_query('fnordium');
update private.search_terms set counted_at = now();
update private.search_terms set counted_at = null, listings = 1
where word in ('fnordium', 'glimmox', 'poelon');
insert into private.search_terms (word) values ('brontolith');
select tests.act_as_service();
select is(
    service.count_search(1000),
    '{"moved": 0, "counted": 4, "popular_from": 0}'::jsonb,
    'twenty thousand are popular, and so all of a smaller shop'
);
select tests.act_as_owner();
select results_eq(
    $$
    select t.word, t.listings from private.search_terms as t
    where t.word in ('fnordium', 'glimmox', 'poelon', 'brontolith') order by t.word
    $$,
    $$values ('brontolith', 0), ('fnordium', 201), ('glimmox', 2), ('poelon', 0)$$,
    'words are counted'
);
update private.search_terms set counted_at = null where word = 'brontolith';
update public.products set name_fr = 'Poêlon glimmox' where id = tests.id('Glimmox pan');
select results_eq(
    $$select t.listings, t.counted_at from private.search_terms as t where t.word = 'poelon'$$,
    $$values (1, null::timestamptz)$$, 'one that comes back counts anew'
);
select tests.act_as_service();
select is(service.count_search(1000) ->> 'counted', '2', 'who was missed is looked for again');
select tests.act_as_owner();
select results_eq(
    $$
    select t.word, t.listings from private.search_terms as t
    where t.word in ('poelon', 'brontolith')
    $$,
    $$values ('poelon', 1)$$, 'and forgotten when no listing has it then either'
);
update private.search_documents set popularity = 1, is_popular = true
where (search_en || search_fr) @@ private.read_query('fnordium');
insert into private.search_documents (
    listing_id, channel, category_id, rating, popularity, is_popular, search_en, search_fr
)
select gen_random_uuid(), 'retail', tests.id('zorb'), 0, 2, false, '', ''
from generate_series(1, 20000);
select is(
    service.count_search(100), '{"moved": 200, "counted": 0, "popular_from": 2.0000}'::jsonb,
    'who falls behind and who comes up is moved, so many at a time'
);
select is(
    (select s.popular_from from private.search_settings as s), 2.0000,
    'what comes next is measured by it'
);
select is(
    service.count_search(100000) ->> 'moved', '20001', 'in the end all'
);
select is(
    (
        select count(*) from private.search_documents as d
        where d.is_popular <> (d.popularity >= 2)
    ),
    0::bigint, 'are where they belong'
);
select is(service.count_search(100000) ->> 'moved', '0', 'and stay there');
update public.products set review_count = 0, seller_rating = 0.1
where id = tests.id('Glimmox pan');
select is(
    (select d.is_popular from private.search_documents as d
     where d.listing_id = tests.id('Glimmox pan')),
    false, 'a listing that loses its stars is not popular'
);

-- what is gone
delete from public.products where id = tests.id('Glimmox pan');
select is(tests.known('glimmox'), '{Glimmox pans by the box}', 'what is deleted is not found');
delete from public.products where name like 'Fnordium number%';
select is(tests.known('fnordium'), null, 'however many they were');
delete from private.search_documents as d
where not exists (select from tests.names as n where n.id = d.listing_id);

-- an empty shop
select is(
    (select count(*) from private.search_documents),
    1::bigint, 'one is left'
);
delete from public.products_retailer where id = tests.id('Glimmox pans by the box');
select is(
    (service.count_search(10) ->> 'popular_from')::numeric, 0::numeric, 'an empty shop is counted'
);
select lives_ok('select private.refresh_search(''{}'')', 'no listing is no work');
select is(
    service.refresh_search(10), '{"refreshed": 0, "is_done": true}'::jsonb, 'no queue is no work'
);
select tests.act_as_service_role();
select tests.denies('select service.count_search(1)', 'the API key''s role does not count');
select tests.denies('select service.refresh_search(1)', 'nor refresh');

select * from finish();
rollback;
