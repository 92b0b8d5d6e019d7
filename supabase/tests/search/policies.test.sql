begin;
\ir ../_helpers.psql
select plan(4);

-- Search has no table of its own: its rows are those of the catalogue, under the catalogue's
-- policies, because its functions run as their caller.
select is(
    array(
        select format('%s %s %s', p.oid::regprocedure, p.prosecdef, p.provolatile)
        from pg_catalog.pg_proc as p
        where p.pronamespace = 'public'::regnamespace
            and p.proname in ('search_products', 'category_tree')
        order by 1
    ),
    array[
        'public.category_tree(text) f s',
        'public.search_products(text,text,text,text,public.product_channel,numeric,numeric,numeric,'
        'boolean,text,text,integer) f s'
    ],
    'search runs as its caller and is stable, so that GET works and caches hold it'
);
select is(
    array(
        select p.proname || ' ' || r
        from pg_catalog.pg_proc as p
        cross join unnest(array['anon', 'authenticated', 'mallgram_service', 'service_role']) as r
        where p.pronamespace in ('private'::regnamespace, 'public'::regnamespace)
            and p.proname in (
                'category_and_descendants', 'category_tree', 'find_products', 'read_cursor',
                'search_products'
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
