-- Where texts have become vectors, what means the same is fused with what has the words. Without
-- them search is as it was.
begin;
\ir ../_helpers.psql
select plan(38);

-- given a shelf, and vectors that point along one axis each
select tests.make_category('zorb', name => 'Zorb', name_fr => 'Zorb');
select tests.make_product('Zorblax kettle', category => 'zorb', description => 'Boils');
select tests.make_product('Brewing jug', category => 'zorb', name_fr => 'Cruche');
select tests.make_product('Iron rake', category => 'zorb');
select tests.make_wholesale_product('Brewing jugs by the box', category => 'zorb');
select tests.make_product('Hidden brewing jug', category => 'zorb', is_active => false);

-- A vector of the plane between axis 1 (0) and axis 2 (1).
create function tests.vector(share double precision) returns text
language sql immutable as $$
    select format('[%s,%s%s]', 1 - vector.share, vector.share, repeat(',0', 382))
$$;
create function tests.found(query text, sort text default 'relevance') returns text []
language sql stable as $$
    select array_agg(s.name order by s.place)
    from (
        select s.*, row_number() over () as place
        from public.search_products(found.query, 'zorb', 'ZA', 'en', sort => found.sort) as s
    ) as s
$$;
create function tests.embed(model text, products jsonb, queries jsonb default '[]') returns jsonb
language plpgsql as $$
declare
    v_answer jsonb;
begin
    perform tests.act_as_service();
    v_answer := service.record_embeddings(
        embed.model, jsonb_build_object('products', embed.products, 'queries', embed.queries)
    );
    perform tests.act_as_owner();
    return v_answer;
end
$$;

select is(tests.found('zorblax'), '{Zorblax kettle}', 'without vectors a search is its words');

-- what a provider is asked for
delete from private.searches;
select public.record_search('Zorblax', 'en', 1);
select tests.act_as_service();
create temp table claimed as select service.claim_embeddings(100000, 'm1') as due;
select tests.act_as_owner();
select is(
    (
        select count(*)
        from claimed as c
        cross join jsonb_array_elements(c.due -> 'products') as p (item)
        where (p.item ->> 'listing_id')::uuid in (
            tests.id('Zorblax kettle'), tests.id('Brewing jug'), tests.id('Iron rake'),
            tests.id('Brewing jugs by the box'), tests.id('Hidden brewing jug')
        )
    ),
    4::bigint, 'every listing on sale, once'
);
select is(
    private.embedding_text(tests.id('Zorblax kettle')), 'Zorblax kettle. Zorb. Zorb. Boils',
    'its text is its names, category and description'
);
select is((select c.due -> 'queries' from claimed as c), '[]', 'a query asked once is not embedded');
select public.record_search('zorblax ', 'en', 1);
select is(
    service.claim_embeddings(10, 'm1') -> 'queries', '["zorblax"]', 'one asked twice is'
);
update private.searches set created_at = now() - interval '8 days';
select is(service.claim_embeddings(10, 'm1') -> 'queries', '[]', 'unless that was long ago');
update private.searches set created_at = now();

-- what it answers is kept
select is(
    tests.embed(
        'm1',
        jsonb_build_array(
            jsonb_build_object(
                'listing_id', tests.id('Zorblax kettle'), 'embedding', tests.vector(0.1),
                'text', private.embedding_text(tests.id('Zorblax kettle'))
            ),
            jsonb_build_object(
                'listing_id', tests.id('Brewing jug'), 'embedding', tests.vector(0.2),
                'text', private.embedding_text(tests.id('Brewing jug'))
            ),
            jsonb_build_object(
                'listing_id', tests.id('Brewing jugs by the box'), 'embedding', tests.vector(0.3),
                'text', private.embedding_text(tests.id('Brewing jugs by the box'))
            ),
            jsonb_build_object(
                'listing_id', tests.id('Iron rake'), 'embedding', tests.vector(1),
                'text', private.embedding_text(tests.id('Iron rake'))
            ),
            jsonb_build_object(
                'listing_id', tests.id('Hidden brewing jug'), 'embedding', tests.vector(0),
                'text', private.embedding_text(tests.id('Hidden brewing jug'))
            )
        ),
        jsonb_build_array(jsonb_build_object('query', 'zorblax', 'embedding', tests.vector(0)))
    ),
    '{"queries": 1, "products": 4}', 'vectors of listings on sale and of queries are kept'
);
select is(
    service.claim_embeddings(10, 'm1') -> 'queries', '[]', 'and not asked for again'
);

-- what means the same is found, behind what has the words too
select tests.act_as_anon();
select is(
    tests.found('zorblax'), '{Zorblax kettle,Brewing jug,Brewing jugs by the box}',
    'what is near in meaning follows, nearest first; what is far does not'
);
select is(tests.found(' ZORBLAX'), tests.found('zorblax'), 'however it is written');
select is(
    (
        select array_agg(round(s.relevance::numeric, 6) order by s.relevance desc)
        from public.search_products('zorblax', 'zorb', 'ZA', 'en') as s
    ),
    array[round(1 / 61.0 + 1 / 61.0, 6), round(1 / 62.0, 6), round(1 / 63.0, 6)],
    'relevance is the sum of reciprocal ranks'
);
select is(
    tests.found('zorblax', 'price_asc'), '{Zorblax kettle}',
    'another sort shows what has the words alone'
);
select is(tests.found('"zorblax"'), '{Zorblax kettle}', 'and so does who uses quotes');
select is(
    array(
        select s.name from public.search_products(
            'zorblax', 'zorb', 'ZA', 'en', channel => 'wholesale'
        ) as s
    ),
    '{Brewing jugs by the box}', 'filters hold for meanings as well'
);
select is(
    array(
        select s.name from public.search_products('zorblax', 'zorb', 'ZA', page_size => 1) as s
    ) || array(
        select s.name from public.search_products(
            'zorblax', 'zorb', 'ZA', page_size => 2, cursor => (
                select f.cursor from public.search_products(
                    'zorblax', 'zorb', 'ZA', page_size => 1
                ) as f
            )
        ) as s
    ),
    tests.found('zorblax'), 'pages follow each other'
);

-- a list that goes by words to its end, though the meaning becomes known between two pages
select tests.act_as_owner();
create temp table known as select q.* from private.query_embeddings as q where q.query = 'zorblax';
delete from private.query_embeddings where query = 'zorblax';
create temp table page as
select s.* from public.search_products('zorblax', 'zorb', 'ZA', page_size => 1) as s;
insert into private.query_embeddings select k.* from known as k;
select is(
    array(
        select s.name from page as f
        cross join lateral public.search_products(
            'zorblax', 'zorb', 'ZA', cursor => f.cursor
        ) as s
    ),
    '{}', 'meaning that becomes known between two pages waits for the next search'
);
select tests.act_as_anon();
select is(
    (
        select array_agg(s.name order by s.place)
        from (
            select s.*, row_number() over () as place
            from public.similar_products(tests.id('Zorblax kettle'), 'ZA', 'en') as s
        ) as s
    ),
    '{Brewing jug}', 'what is like a product in meaning alone is similar to it'
);
select tests.act_as_owner();
update private.search_settings set farthest_meaning = 0.01;
select is(
    tests.found('zorblax'), '{Zorblax kettle}', 'how near is near is a setting'
);
update private.search_settings set farthest_meaning = 2;
select is(
    tests.found('zorblax'), '{Zorblax kettle,Brewing jug,Brewing jugs by the box,Iron rake}',
    'to the end of the shelf'
);
update private.search_settings set farthest_meaning = 0.7;

-- vectors follow their listings
select tests.act_as_owner();
update public.products set seller_rating = 5 where id = tests.id('Brewing jug');
select is(
    (select e.is_stale from private.product_embeddings as e
     where e.listing_id = tests.id('Brewing jug')),
    true, 'a listing that changed is looked at again'
);
create function tests.due(name text) returns boolean
language sql as $$
    select exists (
        select
        from jsonb_array_elements(service.claim_embeddings(100000, 'm1') -> 'products') as p (item)
        where p.item ->> 'listing_id' = tests.id(due.name)::text
    )
$$;
select is(tests.due('Brewing jug'), false, 'and not embedded again when its text is the same');
select is(
    (select e.is_stale from private.product_embeddings as e
     where e.listing_id = tests.id('Brewing jug')),
    false, 'it is fresh then'
);
update public.products set name = 'Iron spade' where id = tests.id('Iron rake');
select is(tests.due('Iron rake'), true, 'one with another text is');
select is(
    (
        select count(*) from private.product_embeddings as e
        where e.listing_id = tests.id('Iron rake') and e.is_stale
    ),
    1::bigint, 'until it has been'
);
select tests.embed(
    'm1',
    jsonb_build_array(
        jsonb_build_object(
            'listing_id', tests.id('Iron rake'), 'embedding', tests.vector(0.15),
            'text', private.embedding_text(tests.id('Iron rake'))
        )
    )
);
select is(tests.due('Iron rake'), false, 'then it is not due');
select is(
    (tests.found('zorblax'))[1:2], '{Zorblax kettle,Iron spade}', 'and found by its new meaning'
);
update public.products set is_active = false where id = tests.id('Iron rake');
select is(
    'Iron spade' = any(tests.found('zorblax')), false, 'what goes off sale is not found by meaning'
);
delete from public.products where id = tests.id('Iron rake');
select is(
    (select count(*) from private.product_embeddings as e
     where e.listing_id = tests.id('Iron rake')),
    0::bigint, 'what is deleted loses its vector'
);

-- another model's vectors are not compared with this one's
select is(
    (
        select count(*)
        from jsonb_array_elements(service.claim_embeddings(100000, 'm2') -> 'products') as p (item)
        where p.item ->> 'listing_id' in (
            tests.id('Zorblax kettle')::text, tests.id('Brewing jug')::text,
            tests.id('Brewing jugs by the box')::text
        )
    ),
    3::bigint, 'another model embeds everything anew'
);
select is(
    service.claim_embeddings(10, 'm2') -> 'queries', '["zorblax"]', 'queries as well'
);
select tests.embed(
    'm2', '[]',
    jsonb_build_array(jsonb_build_object('query', 'zorblax', 'embedding', tests.vector(0)))
);
select is(
    tests.found('zorblax'), '{Zorblax kettle}',
    'until the listings have theirs, a query''s new vector meets none'
);

-- the index is used: a limit first, numbers after
select tests.act_as_owner();
create temp table plan (line text);
do $$
declare
    v_line text;
begin
    perform set_config('enable_seqscan', 'off', true);
    perform set_config('enable_sort', 'off', true);
    for v_line in execute
        'explain select e.listing_id from private.product_embeddings as e '
        'inner join private.search_documents as d on e.listing_id = d.listing_id '
        'where e.model = ''m1'' order by e.embedding operator(extensions.<=>) '
        || quote_literal(tests.vector(0)) || '::extensions.halfvec(384) limit 100'
    loop
        insert into plan values (v_line);
    end loop;
end
$$;
select is(
    (select count(*) from plan as p where p.line like '%Index Scan using product_embeddings_emb%'),
    1::bigint, 'neighbours are read off the index'
);

-- what is no vector is refused whole
select throws_ok(
    $$
    select service.record_embeddings(
        'm1', jsonb_build_object('products', jsonb_build_array(jsonb_build_object(
            'listing_id', tests.id('Brewing jug'), 'text', 'x', 'embedding', '[1,2,3]'
        )))
    )
    $$,
    '22000', null, 'a vector of another length is refused'
);
select tests.violates(
    $$
    select service.record_embeddings(
        '', jsonb_build_object('queries', jsonb_build_array(
            jsonb_build_object('query', 'x', 'embedding', tests.vector(0))
        ))
    )
    $$,
    'query_embeddings_model_is_one_line', 'a model has a name'
);
select tests.act_as_anon();
select tests.denies('select * from private.product_embeddings', 'a guest reads no vectors');
select tests.denies('select * from private.query_embeddings', 'nor what others search for');
select tests.act_as_service_role();
select tests.denies(
    $$select service.claim_embeddings(1, 'm1')$$, 'the API key''s role claims nothing'
);
select tests.denies(
    $$select service.record_embeddings('m1', '{}')$$, 'nor does it write'
);

select * from finish();
rollback;
