create table public.admins (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete restrict,
    created_at timestamptz not null default now(),
    constraint admins_user_id_key unique (user_id)
);

alter table public.admins enable row level security;

comment on table public.admins is
'Who is admin. users.is_admin follows it; nothing else decides.';

create or replace function private.tg_admins__mirror_is_admin()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op in ('UPDATE', 'DELETE') then
        update public.users as u set is_admin = false where u.id = old.user_id;
    end if;
    if tg_op in ('INSERT', 'UPDATE') then
        update public.users as u set is_admin = true where u.id = new.user_id;
    end if;
    return null;
end
$$;

revoke all on function private.tg_admins__mirror_is_admin() from public;

comment on function private.tg_admins__mirror_is_admin() is
'Trigger: keeps users.is_admin. Definer because nobody may write that column.';

create trigger admins_90_mirror_is_admin
after insert or update or delete on public.admins
for each row execute function private.tg_admins__mirror_is_admin();

create or replace function private.is_admin(user_id uuid default auth.uid())
returns boolean
language sql
stable
security definer
set search_path = ''
as $$
    select exists (select from public.admins as a where a.user_id = is_admin.user_id)
$$;

revoke all on function private.is_admin(uuid) from public;
grant execute on function private.is_admin(uuid) to anon, authenticated;

comment on function private.is_admin(uuid) is
'Whether the person (by default the caller) is admin. Definer because policies of admins itself '
'would otherwise ask themselves.';

create policy select_own_or_admin on public.admins
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

comment on policy select_own_or_admin on public.admins is
'An admin sees all admins, anyone else at most that they are one.';

create policy select_own_or_admin on public.users
for select to authenticated
using (id = (select auth.uid()) or (select private.is_admin()));

comment on policy select_own_or_admin on public.users is
'A person sees their own row, an admin all.';

create or replace function private.has_login()
returns boolean
language sql
stable
security definer
set search_path = ''
as $$
    select exists (select from auth.users as u where u.id = (select auth.uid()))
$$;

revoke all on function private.has_login() from public;
grant execute on function private.has_login() to authenticated;

comment on function private.has_login() is
'Whether the caller''s account still exists: a token outlives it. Definer because auth.users is '
'closed to its callers.';

create policy update_own on public.users
for update to authenticated
using (id = (select auth.uid()) and (select private.has_login()))
with check (id = (select auth.uid()) and (select private.has_login()));

comment on policy update_own on public.users is
'A person edits their own row: name, phone, country and language only (column grants).';

grant select on public.admins to authenticated, service_role;
grant select on public.users to authenticated, service_role;
grant update (full_name, phone, country, language) on public.users to authenticated, service_role;
grant insert, delete on public.admins to service_role;
