begin;
\ir ../_helpers.psql
select plan(16);

-- Everything says what it is: PostgREST and type generation publish it.
create function tests.tables_without_comment() returns setof text
language sql as $$
    select c.oid::regclass::text
    from pg_catalog.pg_class as c
    where c.relkind in ('r', 'p', 'v', 'm', 'S')
        and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
        and coalesce(obj_description(c.oid, 'pg_class'), '') !~ '^\S.*[.]$'
$$;
select tests.proves(
    'tables_without_comment',
    'comment on table public.orders is null', 'public.orders',
    'comment on table public.orders is ''Orders.''',
    'every table, view and sequence has a comment'
);

create function tests.functions_without_comment() returns setof text
language sql as $$
    select p.oid::regprocedure::text
    from pg_catalog.pg_proc as p
    where p.pronamespace in (
        'public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace
    )
    and coalesce(obj_description(p.oid, 'pg_proc'), '') !~ '^\S.*[.]$'
$$;
select tests.proves(
    'functions_without_comment',
    'comment on function private.is_admin(uuid) is null', 'private.is_admin(uuid)',
    'comment on function private.is_admin(uuid) is ''Whether.''',
    'every function has a comment'
);

create function tests.types_without_comment() returns setof text
language sql as $$
    select t.oid::regtype::text
    from pg_catalog.pg_type as t
    left join pg_catalog.pg_class as c on t.typrelid = c.oid
    where t.typnamespace in ('public'::regnamespace, 'private'::regnamespace)
        and (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and c.relkind = 'c')
        and coalesce(obj_description(t.oid, 'pg_type'), '') !~ '^\S.*[.]$'
$$;
select tests.proves(
    'types_without_comment',
    'comment on type public.order_status is null', 'public.order_status',
    'comment on type public.order_status is ''Moves.''',
    'every type has a comment'
);

-- The comment of an RPC names the errors that its core raises by name.
create function tests.errors_unnamed() returns setof text
language sql as $$
    select format('%s %s', p.oid::regprocedure, e.code)
    from pg_catalog.pg_proc as p
    cross join private.error_codes as e
    where p.pronamespace in ('public'::regnamespace, 'service'::regnamespace)
        and p.prosrc like '%private.fail(''' || e.code || '''%'
        and position(e.code in obj_description(p.oid, 'pg_proc')) = 0
$$;
select tests.proves(
    'errors_unnamed',
    'comment on function service.payment_status(uuid, uuid) is ''A payment.''',
    'service.payment_status(uuid,uuid) payment_not_found',
    'comment on function service.payment_status(uuid, uuid) is ''Error: payment_not_found.''',
    'an RPC''s comment names the errors that it raises'
);

-- Schemas, and every column that has a unit or a rule of its own.
select is_empty(
    $$
    select n.nspname from pg_catalog.pg_namespace as n
    where n.nspname in ('private', 'service') and obj_description(n.oid, 'pg_namespace') is null
    $$,
    'each schema says who may enter'
);
select is_empty(
    $$
    select a.attrelid::regclass, a.attname
    from pg_catalog.pg_attribute as a
    inner join pg_catalog.pg_class as c on a.attrelid = c.oid
    where c.relkind = 'r'
        and c.relnamespace = 'public'::regnamespace
        and (a.attname, c.relname) in (
            ('minor_unit', 'currencies'), ('cash_step', 'currencies'),
            ('free_from', 'shipping_rates'),
            ('price_mallgram', 'products'), ('price_mallgram', 'products_retailer'),
            ('source', 'product_prices'), ('latitude', 'addresses'), ('width', 'product_media'),
            ('expires_at', 'orders'), ('tax_amount', 'orders'),
            ('payout_amount', 'affiliate_payouts')
        )
        and col_description(c.oid, a.attnum) is null
    $$,
    'columns with a unit say which'
);
select is_empty(
    $$
    select c.oid::regclass, a.attname
    from pg_catalog.pg_class as c
    inner join pg_catalog.pg_attribute as a on c.oid = a.attrelid
    where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
        and coalesce(col_description(c.oid, a.attnum), 'x.') !~ '[.]$'
    $$,
    'every comment of a column is a sentence'
);
select is_empty(
    $$
    select p.oid::regprocedure
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
        and p.prorettype = 'trigger'::regtype
        and obj_description(p.oid, 'pg_proc') not like 'Trigger: %'
    $$,
    'a trigger function says that it is one'
);

select * from finish();
rollback;
