begin;
\ir ../_helpers.psql
select plan(17);

-- the roles that come in from outside
create function tests.role_flags(role_name text) returns text
language sql as $$
    select concat_ws(
        ' ',
        case when r.rolcanlogin then 'login' end,
        case when r.rolinherit then 'inherit' end,
        case when r.rolsuper then 'superuser' end,
        case when r.rolcreaterole then 'createrole' end,
        case when r.rolcreatedb then 'createdb' end,
        case when r.rolreplication then 'replication' end,
        case when r.rolbypassrls then 'bypassrls' end
    )
    from pg_catalog.pg_roles as r
    where r.rolname = role_flags.role_name
$$;
select is(tests.role_flags('mallgram_service'), 'login', 'the service logs in and is nothing more');
select is(tests.role_flags('anon'), '', 'a guest''s role is nothing');
select is(tests.role_flags('authenticated'), '', 'a shopper''s role is nothing');
select is(
    tests.role_flags('service_role'), 'bypassrls',
    'the API key''s role reads past policies, no more'
);
select is(
    (
        select count(*)
        from pg_catalog.pg_proc as p
        inner join pg_catalog.pg_roles as r on p.proowner = r.oid
        where p.pronamespace in (
            'public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace
        )
        and r.rolsuper
    ),
    0::bigint, 'nothing of the shop belongs to a superuser'
);

-- who may become whom
select set_eq(
    $$
    select m.member::regrole || ' in ' || m.roleid::regrole
    from pg_catalog.pg_auth_members as m
    where m.member::regrole::text in ('anon', 'authenticated', 'service_role', 'mallgram_service',
        'authenticator')
        or m.roleid = 'mallgram_service'::regrole
    $$,
    $$
    values
    ('authenticator in anon'), ('authenticator in authenticated'), ('authenticator in service_role')
    $$,
    'PostgREST''s login becomes the three API roles, the service nobody'
);

-- which schemas they enter, and that they make nothing there
select results_eq(
    $$
    select r.role || ' ' || s.name
    from unnest(array['anon', 'authenticated', 'mallgram_service', 'service_role']) as r (role)
    cross join unnest(array['private', 'service']) as s (name)
    where has_schema_privilege(r.role, s.name, 'usage')
    order by 1
    $$,
    $$
    values
    ('anon private'), ('authenticated private'), ('mallgram_service private'),
    ('mallgram_service service'), ('service_role private')
    $$,
    'only the service enters service, and private for the staging table alone'
);
select is_empty(
    $$
    select r.role, n.nspname
    from unnest(array[
        'anon', 'authenticated', 'mallgram_service', 'service_role', 'authenticator'
    ]) as r (role)
    cross join pg_catalog.pg_namespace as n
    where n.nspname in ('public', 'private', 'service')
        and has_schema_privilege(r.role, n.oid, 'create')
    $$,
    'nobody from outside makes anything in a schema of the shop'
);

-- how long they may take
create function tests.role_settings(role_name text) returns text []
language sql as $$
    select array(
        select c from pg_catalog.pg_roles as r cross join unnest(r.rolconfig) as c
        where r.rolname = role_settings.role_name
        order by c
    )
$$;
select is(
    tests.role_settings('anon'), '{jit=off,statement_timeout=3s}',
    'a guest''s statement is cut at 3 s and never compiled'
);
select is(
    tests.role_settings('authenticated'), '{jit=off,statement_timeout=8s}',
    'a shopper''s statement is cut at 8 s'
);
select is(
    tests.role_settings('mallgram_service'),
    '{idle_in_transaction_session_timeout=15s,jit=off,lock_timeout=5s,statement_timeout=15s}',
    'the service waits 5 s for a lock and 15 s in all'
);

-- Supabase Auth's table wakes exactly two functions of the shop
select results_eq(
    $$
    select t.tgname::text collate "default", t.tgfoid::regprocedure::text collate "default"
    from pg_catalog.pg_trigger as t
    where t.tgrelid = 'auth.users'::regclass and not t.tgisinternal and t.tgname like 'users\_%'
    order by t.tgname
    $$,
    $$
    values
    (
        'users_10_leave_out_card_numbers', 'private.tg_auth_users__leave_out_card_numbers()'
    ),
    ('users_90_forget_auth_user', 'private.tg_users__forget_auth_user()'),
    ('users_90_mirror_auth_user', 'private.tg_users__mirror_auth_user()')
    $$,
    'a login is cleaned, mirrored and forgotten, nothing else hangs on it'
);

-- default privileges: nothing of public for the API roles, functions for nobody
select is_empty(
    $$
    select d.defaclobjtype, a.grantee::regrole
    from pg_catalog.pg_default_acl as d
    cross join aclexplode(d.defaclacl) as a
    where d.defaclrole = 'postgres'::regrole
        and d.defaclnamespace in (
            0, 'public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace
        )
        and a.grantee <> 'postgres'::regrole
    $$,
    'what a migration makes is nobody''s by default'
);
select is(
    (
        select array_agg(a.grantee::regrole::text)
        from pg_catalog.pg_default_acl as d
        cross join aclexplode(d.defaclacl) as a
        where d.defaclrole = 'postgres'::regrole and d.defaclnamespace = 0 and d.defaclobjtype = 'f'
    ),
    '{postgres}', 'EXECUTE is taken from everyone in every schema, which only the global form does'
);

-- what the service can do at all, tried
select tests.act_as_service();
select tests.denies('create table public.mine (id integer)', 'the service makes no table');
select tests.denies('select * from private.outbox', 'the service reads no table');
select is(
    service.ping() ->> 'now', to_jsonb(now()) #>> '{}', 'the service calls its functions'
);

select * from finish();
rollback;
