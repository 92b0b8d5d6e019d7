create type public.category_node as (
    id uuid,
    parent_id uuid,
    slug text,
    name text,
    depth integer,
    path text [],
    cursor text
);

comment on type public.category_node is
'One category of the tree: path holds the slugs from the root, depth starts at 1.';

create or replace function public.category_tree(language text default null)
returns setof public.category_node
language plpgsql
stable
set search_path = ''
as $$
begin
    if category_tree.language not in ('en', 'fr') then
        perform private.fail('language_unknown', left(category_tree.language, 200));
    end if;
    if private.is_not_modified() then
        return;
    end if;
    return query
    with recursive tree as (
        select c.id, c.parent_id, c.slug, c.name, c.name_fr, 1 as depth,
            array[c.slug] as path, array[lpad(c.position::text, 8, '0') || c.slug] as place
        from public.categories as c
        where c.parent_id is null
        union all
        select c.id, c.parent_id, c.slug, c.name, c.name_fr, t.depth + 1,
            t.path || c.slug, t.place || (lpad(c.position::text, 8, '0') || c.slug)
        from tree as t
        inner join public.categories as c on t.id = c.parent_id
        where t.depth < 16
    )

    select
        t.id,
        t.parent_id,
        t.slug,
        case
            when coalesce(category_tree.language, private.caller_language()) = 'fr'
                then t.name_fr
            else t.name
        end,
        t.depth,
        t.path,
        array_to_string(t.path, '/')
    from tree as t
    order by t.place;
end
$$;

revoke all on function public.category_tree(text) from public;
grant execute on function public.category_tree(text) to anon, authenticated, service_role;

comment on function public.category_tree(text) is
'All active categories, parents before children, in the shop''s order; names in en or fr. Error: '
'language_unknown.';
