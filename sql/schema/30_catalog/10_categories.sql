create table public.categories (
    id uuid primary key default gen_random_uuid(),
    parent_id uuid references public.categories (id) on delete restrict,
    slug text not null,
    name text not null,
    name_fr text not null,
    position integer not null default 0,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint categories_slug_key unique (slug),
    constraint categories_slug_is_kebab_case check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    constraint categories_names_are_one_line
    check (name ~ '^[^[:cntrl:]]+$' and name_fr ~ '^[^[:cntrl:]]+$'),
    constraint categories_is_not_own_parent check (parent_id is distinct from id)
);

alter table public.categories enable row level security;

create index categories_parent_id_position_idx on public.categories (parent_id, position);

create trigger categories_10_update_updated_at
before update on public.categories
for each row execute function public.update_updated_at_column();

comment on table public.categories is 'The tree of categories; a root has no parent.';
comment on column public.categories.position is 'Order among siblings, low first.';

create policy select_active_or_admin on public.categories
for select to anon, authenticated
using (is_active or (select private.is_admin()));

comment on policy select_active_or_admin on public.categories is
'Everyone sees the active categories, an admin all.';

grant select on public.categories to anon, authenticated;
grant select, insert, update, delete on public.categories to service_role;

create or replace function private.category_and_descendants(category uuid)
returns uuid []
language sql
stable
set search_path = ''
as $$
    with recursive tree as (
        select c.id, 1 as depth
        from public.categories as c
        where c.id = category_and_descendants.category and c.is_active
        union all
        select c.id, t.depth + 1
        from tree as t
        inner join public.categories as c on t.id = c.parent_id
        where c.is_active and t.depth < 16
    )

    select coalesce(array_agg(t.id), '{}') from tree as t
$$;

revoke all on function private.category_and_descendants(uuid) from public;

comment on function private.category_and_descendants(uuid) is
'Ids of an active category and the active ones below it.';
