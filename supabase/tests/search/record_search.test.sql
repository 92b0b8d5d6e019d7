-- What people search for is kept, without who, so that misses are learnt.
begin;
\ir ../_helpers.psql
select plan(19);

select tests.make_user('amina');
delete from private.searches;
create function tests.kept() returns text
language sql stable security definer as $$
    select string_agg(
        format('%s %s %s', s.language, s.results, s.query), '; ' order by s.language, s.query
    )
    from private.searches as s
$$;
create function tests.from_address(address text) returns void
language sql as $$
    select set_config(
        'request.headers', jsonb_build_object('x-forwarded-for', from_address.address)::text, true
    )
$$;

select tests.act_as_anon();
select public.record_search(E'  Wireless\tHEADSET\n ', 'en', 12);
select is(tests.kept(), 'en 12 wireless headset', 'one line, in lower case');
select public.record_search('chaussure', 'fr', 0);
select tests.act_as('amina');
select public.record_search('chaussure', 'fr', 0);
select is(
    tests.kept(), 'en 12 wireless headset; fr 0 chaussure; fr 0 chaussure',
    'each search once, a guest''s and a shopper''s alike'
);
select results_eq(
    $$
    select (a.attname::text collate "default") from pg_catalog.pg_attribute as a
    where a.attrelid = 'private.searches'::regclass and a.attnum > 0 and not a.attisdropped
    order by a.attnum
    $$,
    $$values ('id'::text), ('query'), ('language'), ('results'), ('created_at')$$,
    'nothing says who it was'
);
select tests.act_as_owner();
delete from private.searches;
select tests.act_as_anon();
select public.record_search(q.query, 'en', q.results)
from (
    values ('+237 650000001', 0), ('4111111111111111', 0), ('amina@example.test', 0), ('', 0),
        ('   ', 0), (null, 0), ('shoe', -1), ('shoe', null)
) as q (query, results);
select is(tests.kept(), null, 'numbers, addresses, blanks and odd counts are nobody''s search');
select public.record_search(repeat('x', 500), 'en', 0);
select is(tests.kept(), 'en 0 ' || repeat('x', 80), 'a long one is cut');
select tests.refuses(
    $$select public.record_search('shoe', 'de', 1)$$, 'PT400 language_unknown',
    'a language that is neither is refused', 'de'
);
select tests.refuses(
    $$select public.record_search('shoe', null, 1)$$, 'PT400 language_unknown', 'so is none'
);

-- a flood is not kept, and disturbs nobody else
select tests.act_as_owner();
delete from private.searches;
delete from private.rate_limits;
select tests.act_as_anon();
select tests.from_address('203.0.113.9, 198.51.100.7');
select public.record_search('flood ' || n, 'en', 0) from generate_series(1, 70) as n;
select tests.act_as_owner();
select is((select count(*) from private.searches), 60::bigint, 'sixty a minute from one address');
select is(
    (select l.subject from private.rate_limits as l where l.action = 'record_search'),
    '198.51.100.7', 'namely the last one named, which our own gateway wrote'
);
select tests.act_as_anon();
select tests.from_address('198.51.100.8');
select public.record_search('another', 'en', 0);
select is(tests.kept() like '%another%', true, 'another address is not held up');
select tests.act_as('amina');
select tests.from_address('198.51.100.7');
select public.record_search('shopper', 'en', 0);
select is(tests.kept() like '%shopper%', true, 'nor is a shopper of the same address');
select tests.act_as_anon();
select set_config('request.headers', '', true);
select lives_ok($$select public.record_search('nowhere', 'en', 0)$$, 'an address need not be told');

-- closed
select tests.closed('private.searches');
select tests.act_as('amina');
select tests.denies('select * from private.searches', 'a shopper reads nobody''s searches');
select tests.act_as_service();
select tests.denies(
    $$select public.record_search('x', 'en', 0)$$, 'the service does not search'
);

-- what was not found, for people to read
select tests.act_as_owner();
delete from private.searches;
insert into private.searches (query, language, results)
values ('zorblaxx', 'en', 0), ('zorblaxx', 'en', 0), ('shoe', 'en', 4);
select tests.make_product('Zorblax kettle');
select is(
    private.mend_query('zorblaxx'), ' zorblax', 'a miss is shown with what it may have meant'
);

select * from finish();
rollback;
