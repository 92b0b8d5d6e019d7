-- Three doors: public for frontends under RLS, service for the edge and the workers, private for
-- nobody's tables. Nothing privileged is implicit: what hosted Supabase grants by default on new
-- objects is taken back here, once, before the first object is made.

create schema if not exists extensions;
create schema if not exists service;
create schema if not exists private;

comment on schema service is
'Functions for the edge and the workers: each answers one jsonb value. Executable by '
'mallgram_service alone; holds no tables.';
comment on schema private is
'Cores of RPCs, predicates of policies, transition tables, inbox, outbox, schedules. No table '
'right for anyone; EXECUTE only where a grant below says so.';

-- The form without a schema is the only one that takes EXECUTE from public.
alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke all on tables
from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences
from anon, authenticated, service_role;
alter default privileges in schema public revoke all on functions
from anon, authenticated, service_role;

create extension if not exists pgcrypto with schema extensions;
create extension if not exists pg_trgm with schema extensions;
create extension if not exists unaccent with schema extensions;
create extension if not exists btree_gist with schema extensions;
create extension if not exists vector with schema extensions;
