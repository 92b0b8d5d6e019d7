begin;
\ir ../_helpers.psql
select plan(28);

-- Rules over every table and policy of the shop's schemas. Each is a function that answers who
-- breaks it; each is shown to see a breach.

create function tests.without_row_level_security() returns setof text
language sql as $$
    select c.oid::regclass::text
    from pg_catalog.pg_class as c
    where c.relkind in ('r', 'p')
        and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
        and not c.relrowsecurity
        -- COPY refuses a table that has it; nobody has a right there but the service's INSERT
        and c.oid <> 'private.staged_products'::regclass
$$;
select tests.proves(
    'without_row_level_security',
    'create table public.test_open (id uuid primary key)',
    'public.test_open',
    'alter table public.test_open enable row level security',
    'every table has row level security'
);
select tests.proves(
    'without_row_level_security',
    'alter table private.outbox disable row level security',
    'private.outbox',
    'alter table private.outbox enable row level security',
    'the private ones as well'
);
select is(
    (
        select count(*) from pg_catalog.pg_class as c
        where c.relnamespace = 'service'::regnamespace
    ),
    0::bigint, 'service holds functions only'
);

create function tests.policies_on_private_tables() returns setof text
language sql as $$
    select p.tablename || ' ' || p.policyname
    from pg_catalog.pg_policies as p where p.schemaname = 'private'
$$;
select tests.proves(
    'policies_on_private_tables',
    'create policy test_all on private.outbox for select to anon using (true)',
    'outbox test_all',
    'drop policy test_all on private.outbox',
    'no private table lets anyone in'
);

create function tests.policies_of_everyone() returns setof text
language sql as $$
    select p.tablename || ' ' || p.policyname
    from pg_catalog.pg_policies as p
    where p.schemaname = 'public' and not p.roles <@ '{anon,authenticated}'::name []
$$;
select tests.proves(
    'policies_of_everyone',
    'create policy test_all on public.orders for delete using (false)',
    'orders test_all',
    'alter policy test_all on public.orders to authenticated',
    'every policy names its roles, which are anon and authenticated'
);
drop policy test_all on public.orders;

create function tests.policies_without_a_sentence() returns setof text
language sql as $$
    select format('%s %s', p.polrelid::regclass, p.polname)
    from pg_catalog.pg_policy as p
    inner join pg_catalog.pg_class as c on p.polrelid = c.oid
    where c.relnamespace = 'public'::regnamespace
        and coalesce(obj_description(p.oid, 'pg_policy'), '') !~ '^[A-Z].*[.]$'
$$;
select tests.proves(
    'policies_without_a_sentence',
    'create policy test_all on public.orders for delete to authenticated using (false)',
    'public.orders test_all',
    $$comment on policy test_all on public.orders is 'Nobody deletes an order.'$$,
    'every policy says what it means'
);
drop policy test_all on public.orders;

create function tests.policies_twice() returns setof text
language sql as $$
    select format('%s %s %s', p.tablename, p.cmd, r.role)
    from pg_catalog.pg_policies as p
    cross join unnest(p.roles) as r (role)
    where p.schemaname = 'public' and p.permissive = 'PERMISSIVE'
    group by p.tablename, p.cmd, r.role
    having count(*) > 1
    union all
    select format('%s %s', p.tablename, p.policyname)
    from pg_catalog.pg_policies as p
    where p.schemaname = 'public' and p.cmd = 'ALL'
$$;
select tests.proves(
    'policies_twice',
    'create policy test_more on public.orders for select to authenticated using (true)',
    'orders SELECT authenticated',
    'drop policy test_more on public.orders',
    'one policy a command and role, none for all commands at once'
);

create function tests.writes_without_a_check() returns setof text
language sql as $$
    select p.tablename || ' ' || p.policyname
    from pg_catalog.pg_policies as p
    where p.schemaname = 'public' and p.cmd in ('INSERT', 'UPDATE') and p.with_check is null
$$;
select tests.proves(
    'writes_without_a_check',
    'create policy test_write on public.orders for update to authenticated using (false)',
    'orders test_write',
    'drop policy test_write on public.orders',
    'every policy of a write checks the row as it becomes'
);

-- Functions in a policy stand in a sub-select, or they run once a row.
create function tests.policies_that_call_bare() returns setof text
language sql as $$
    select p.tablename || ' ' || p.policyname
    from pg_catalog.pg_policies as p
    where p.schemaname = 'public'
        and regexp_replace(
            concat_ws(' ', p.qual, p.with_check),
            'SELECT (auth\.|private\.)[a-z_]+\(\)', '', 'g'
        ) ~ '(auth|private)\.[a-z_]+\('
$$;
select tests.proves(
    'policies_that_call_bare',
    'create policy test_bare on public.orders for delete to authenticated '
    'using (user_id = auth.uid())',
    'orders test_bare',
    'alter policy test_bare on public.orders using (user_id = (select auth.uid()))',
    'policies call functions once a query, not once a row'
);
drop policy test_bare on public.orders;

-- A view runs as its owner unless told otherwise, and shows what row level security hides.
create function tests.views_of_their_owner() returns setof text
language sql as $$
    select c.oid::regclass::text
    from pg_catalog.pg_class as c
    where c.relkind in ('v', 'm', 'f')
        and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
        and not coalesce(c.reloptions @> '{security_invoker=true}', false)
$$;
select tests.proves(
    'views_of_their_owner',
    'create view public.test_leak as select o.total_price from public.orders as o',
    'public.test_leak',
    'alter view public.test_leak set (security_invoker = true)',
    'every view runs as its caller'
);

select * from finish();
rollback;
