create table public.notifications (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete cascade,
    kind text not null,
    data jsonb not null default '{}',
    created_at timestamptz not null default now(),
    read_at timestamptz,
    constraint notifications_kind_is_snake_case check (kind ~ '^[a-z][a-z_]{2,40}$'),
    constraint notifications_data_is_object check (jsonb_typeof(data) = 'object')
);

alter table public.notifications enable row level security;

create index notifications_user_id_created_at_idx
on public.notifications (user_id, created_at desc);

comment on table public.notifications is
'Messages shown inside the shop. The frontend has the words for each kind, data has the facts.';

create policy select_own on public.notifications
for select to authenticated
using (user_id = (select auth.uid()));

comment on policy select_own on public.notifications is 'A person sees their own messages.';

create policy update_own on public.notifications
for update to authenticated
using (user_id = (select auth.uid()))
with check (user_id = (select auth.uid()));

comment on policy update_own on public.notifications is
'A person marks their own messages read: read_at only (column grant).';

grant select, update (read_at) on public.notifications to authenticated;
grant select on public.notifications to service_role;

create or replace function public.mark_notifications_read(ids uuid [])
returns setof public.notifications
language sql
set search_path = ''
as $$
    update public.notifications as n
    set read_at = coalesce(n.read_at, now())
    where n.id = any(mark_notifications_read.ids) and n.user_id = (select auth.uid())
    returning n.*
$$;

revoke all on function public.mark_notifications_read(uuid []) from public;
grant execute on function public.mark_notifications_read(uuid []) to authenticated;

comment on function public.mark_notifications_read(uuid []) is
'Marks the caller''s messages read (twice is once) and returns them; others'' ids do nothing.';
