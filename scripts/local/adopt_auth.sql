-- Run once, as supabase_admin, when the local auth and storage server has made its tables and
-- before any migration: makes them as hosted Supabase has them.
select format('alter table %s owner to supabase_storage_admin', oid::regclass)
from pg_catalog.pg_class
where relnamespace = 'storage'::regnamespace and relkind in ('r', 'p', 'v')
\gexec

grant all on all tables in schema storage
    to supabase_auth_admin, postgres, anon, authenticated, service_role;

-- At its first request after each start this server grants everything in every schema with row
-- level security to anon, authenticated and service_role. It owns nothing outside its two schemas,
-- so it would only fail, and the request with it. This view, first on its search path, shows it
-- the storage schema alone.
create schema auth_server authorization supabase_admin;
grant usage on schema auth_server to supabase_auth_admin;
create view auth_server.pg_class as
select c.*
from pg_catalog.pg_class as c
where c.relnamespace = 'storage'::regnamespace;
grant select on auth_server.pg_class to supabase_auth_admin;
