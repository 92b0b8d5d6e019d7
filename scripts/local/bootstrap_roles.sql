-- What a hosted Supabase project has before its first migration, part one: the cluster's roles.
-- Local and throw-away clusters only; run once, as supabase_admin, after initdb.
-- psql variables: the passwords of the login roles.
set log_statement = none;

alter role supabase_admin set search_path = "$user", public, auth, extensions;

-- The role migrations run as: no superuser, here as on hosted Supabase.
create role postgres login createrole createdb replication bypassrls password :'postgres';
alter role postgres set search_path = "$user", public, extensions;

create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';

-- PostgREST's login: may become any of the three, is none of them by itself.
create role authenticator login noinherit password :'authenticator';
grant anon, authenticated, service_role to authenticator;
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
-- Errors quote input; PostgREST tells them to whom they concern. Lock waits are still logged.
alter role authenticator set log_min_messages = 'log';

-- The login of the auth and storage server.
create role supabase_storage_admin nologin noinherit createrole;
create role supabase_auth_admin login inherit createrole password :'supabase_auth_admin';
-- The catalogue comes last for it: see adopt_auth.sql.
alter role supabase_auth_admin set search_path = auth_server, auth, pg_catalog;
alter role supabase_auth_admin set idle_in_transaction_session_timeout = '60s';
grant anon, authenticated, service_role, supabase_storage_admin to supabase_auth_admin;

grant anon, authenticated, service_role to postgres with admin option;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;
-- Hosted lets postgres write policies on storage's tables through an extension of its own
-- (supautils); membership in their owner has the same effect here.
grant supabase_storage_admin to postgres;
