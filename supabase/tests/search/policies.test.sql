begin;
\ir ../_helpers.psql
select plan(6);

-- The RPCs run as their caller; their cores know more than a caller may and show what is on sale.
select is(
    array(
        select format('%s %s %s', p.oid::regprocedure, p.prosecdef, p.provolatile)
        from pg_catalog.pg_proc as p
        where p.pronamespace = 'public'::regnamespace
            and p.proname in (
                'category_tree', 'product_facets', 'record_search', 'search_products',
                'similar_products', 'suggest_products'
            )
        order by 1
    ),
    array[
        'public.category_tree(text) f s',
        'public.product_facets(text,text,text,text,public.product_channel,numeric,numeric,numeric,'
        'boolean) f s',
        'public.record_search(text,text,integer) f v',
        'public.search_products(text,text,text,text,public.product_channel,numeric,numeric,numeric,'
        'boolean,text,text,integer) f s',
        'public.similar_products(uuid,text,text,integer) f s',
        'public.suggest_products(text,text) f s'
    ],
    'search runs as its caller and is stable, so that GET works; only the note of it writes'
);
select is(
    array(
        select p.proname || ' ' || r
        from pg_catalog.pg_proc as p
        cross join unnest(array['anon', 'authenticated', 'mallgram_service', 'service_role']) as r
        where p.pronamespace in ('private'::regnamespace, 'public'::regnamespace)
            and p.proname in (
                'category_and_descendants', 'category_tree', 'find_products', 'fuse_matches',
                'gather_listings', 'match_listings', 'mend_query', 'near_listings', 'page_matches',
                'read_cursor', 'read_query', 'refresh_search', 'search_products', 'show_listings',
                'walk_listings'
            )
            and has_function_privilege(r, p.oid, 'execute')
        order by 1
    ),
    array[
        'category_tree anon',
        'category_tree authenticated',
        'category_tree service_role',
        'find_products anon',
        'find_products authenticated',
        'find_products service_role',
        'search_products anon',
        'search_products authenticated',
        'search_products service_role'
    ],
    'everyone but the service searches, with all that search needs'
);

select is(
    array(
        select format('%s %s', c.relname, r)
        from pg_catalog.pg_class as c
        cross join unnest(array['anon', 'authenticated', 'mallgram_service', 'service_role']) as r
        where c.relnamespace = 'private'::regnamespace
            and c.relname ~ '^(search|product_embeddings|query_embeddings)'
            and c.relkind = 'r'
            and has_table_privilege(r, c.oid, 'select, insert, update, delete')
    ),
    '{}', 'nobody reads or writes what search knows but through its functions'
);
select is(
    array(
        select c.relname::text
        from pg_catalog.pg_class as c
        where c.relnamespace = 'private'::regnamespace
            and c.relname ~ '^(search|product_embeddings|query_embeddings)'
            and c.relkind = 'r'
            and c.relrowsecurity
        order by 1
    ),
    '{product_embeddings,query_embeddings,search_documents,search_queue,search_rewrites,'
    'search_settings,search_synonyms,search_terms,searches}',
    'which row level security says once more'
);

-- inside a read-only transaction, as PostgREST runs a GET
select tests.make_product('Zorblax kettle', category => 'zorb');
select tests.act_as_anon();
set transaction read only;
select results_eq(
    $$select s.name from public.search_products('zorblaxx ketle', 'zorb', 'ZA') as s$$,
    $$values ('Zorblax kettle')$$, 'a GET searches, typing slips included'
);
select isnt_empty('select * from public.category_tree()', 'a GET reads the tree');

select * from finish();
rollback;
