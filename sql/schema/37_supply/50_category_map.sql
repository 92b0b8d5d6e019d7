-- From the supplier's categories to ours. What nobody has mapped waits for a person and is not
-- sold meanwhile; a category is never invented.

create table private.supplier_categories (
    platform text not null references private.sync_sources (platform) on delete restrict,
    external_id text not null,
    parent_external_id text,
    name text,
    name_fr text,
    status text not null default 'waiting',
    category_id uuid references public.categories (id) on delete restrict,
    suggested_category_id uuid references public.categories (id) on delete set null,
    decided_by uuid references public.users (id) on delete restrict,
    decided_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (platform, external_id),
    constraint supplier_categories_external_id_is_short
    check (external_id ~ '^[[:graph:]]{1,100}$'),
    constraint supplier_categories_names_are_one_line
    check (concat(name, name_fr) ~ '^[^[:cntrl:]]*$'),
    constraint supplier_categories_status_is_known
    check (status in ('waiting', 'mapped', 'ignored')),
    constraint supplier_categories_mapped_has_category
    check ((status = 'mapped') = (category_id is not null))
);

alter table private.supplier_categories enable row level security;

create index supplier_categories_parent_external_id_idx
on private.supplier_categories (platform, parent_external_id);
create index supplier_categories_category_id_idx on private.supplier_categories (category_id);
create index supplier_categories_suggested_category_id_idx
on private.supplier_categories (suggested_category_id);
create index supplier_categories_decided_by_idx on private.supplier_categories (decided_by);

comment on table private.supplier_categories is
'The supplier''s tree and what each category is here. waiting: nobody has said, the one above '
'decides, and without one above the goods wait. mapped: its goods, and those of the categories '
'below that wait, are sold in category_id. ignored: they are not wanted.';
comment on column private.supplier_categories.suggested_category_id is
'Ours with the most alike name, for whoever decides.';

create or replace function private.suggest_category(name text)
returns uuid
language sql
stable
set search_path = ''
as $$
    select c.id
    from public.categories as c
    where c.is_active
        and greatest(
            extensions.similarity(c.name, suggest_category.name),
            extensions.similarity(c.name_fr, suggest_category.name)
        ) >= 0.3
    order by
        greatest(
            extensions.similarity(c.name, suggest_category.name),
            extensions.similarity(c.name_fr, suggest_category.name)
        ) desc,
        c.parent_id nulls last,
        c.id
    limit 1
$$;

create or replace function service.record_supplier_categories(platform text, categories jsonb)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_written integer;
begin
    insert into private.supplier_categories as s (
        platform, external_id, parent_external_id, name, name_fr, suggested_category_id
    )
    select distinct on (c.id)
        record_supplier_categories.platform, c.id, c.parent_id, left(c.name, 300),
        left(c.name_fr, 300), private.suggest_category(c.name)
    from jsonb_to_recordset(record_supplier_categories.categories)
        as c (id text, parent_id text, name text, name_fr text)
    order by c.id, c.parent_id nulls last, c.name
    on conflict on constraint supplier_categories_pkey do update
    set parent_external_id = excluded.parent_external_id,
        name = excluded.name,
        name_fr = coalesce(excluded.name_fr, s.name_fr)
    where (s.parent_external_id, s.name, s.name_fr) is distinct from (
        excluded.parent_external_id, excluded.name, coalesce(excluded.name_fr, s.name_fr)
    );
    get diagnostics v_written = row_count;
    return jsonb_build_object('written', v_written);
end
$$;

create or replace function private.mapped_categories(platform text)
returns table (external_id text, status text, category_id uuid)
language sql
stable
set search_path = ''
-- A tree of a few thousand: to compile its query would take longer than to run it.
set jit = 'off'
as $$
    with recursive resolved as (
        select c.external_id, c.status, c.category_id, 1 as depth
        from private.supplier_categories as c
        where c.platform = mapped_categories.platform
            and not exists (
                select from private.supplier_categories as p
                where p.platform = c.platform and p.external_id = c.parent_external_id
            )
        union all
        select
            c.external_id,
            case when c.status = 'waiting' then r.status else c.status end,
            case when c.status = 'waiting' then r.category_id else c.category_id end,
            r.depth + 1
        from resolved as r
        inner join private.supplier_categories as c
            on c.platform = mapped_categories.platform
                and r.external_id = c.parent_external_id
        where r.depth < 16
    )

    select r.external_id, r.status, r.category_id
    from resolved as r
$$;

revoke all on function private.suggest_category(text) from public;
revoke all on function service.record_supplier_categories(text, jsonb) from public;
revoke all on function private.mapped_categories(text) from public;
grant execute on function service.record_supplier_categories(text, jsonb) to mallgram_service;

comment on function private.suggest_category(text) is
'Our category whose name is most like this one; null when none is.';
comment on function service.record_supplier_categories(text, jsonb) is
'Keeps a platform''s tree [{id, parent_id, name, name_fr}], what is decided stays: {written}. '
'Definer because the table is closed to the service.';
comment on function private.mapped_categories(text) is
'Each of a platform''s categories with what holds for it: its own decision or that of the nearest '
'one above.';
