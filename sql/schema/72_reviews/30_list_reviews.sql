create or replace function private.find_reviews(
    product_id uuid, sort text, cursor text, page_size integer
)
returns setof public.product_review
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_sort text := coalesce(find_reviews.sort, 'newest');
    v_cursor jsonb;
begin
    if v_sort not in ('newest', 'highest', 'lowest') then
        perform private.fail('sort_unknown', left(v_sort, 200));
    end if;
    if find_reviews.page_size is null or find_reviews.page_size not between 1 and 100 then
        perform private.fail('page_size_invalid', find_reviews.page_size::text);
    end if;
    if find_reviews.cursor is not null then
        v_cursor := private.read_cursor(find_reviews.cursor, v_sort);
    end if;
    if v_sort = 'newest' then
        return query
        select w.*
        from (
            select r as review
            from public.product_reviews as r
            where r.listing_id = find_reviews.product_id
                and r.status = 'approved'
                and (
                    v_cursor is null
                    or (r.created_at, r.id)
                    < (to_timestamp((v_cursor ->> 'k')::numeric), (v_cursor ->> 'i')::uuid)
                )
            order by r.created_at desc, r.id desc
            limit find_reviews.page_size
        ) as p
        cross join lateral private.review_as_row(
            p.review, false, v_sort, extract(epoch from (p.review).created_at)
        ) as w
        order by (p.review).created_at desc, (p.review).id desc;
        return;
    end if;
    -- One descending key for each sort: stars stand above every moment.
    return query
    select w.*
    from (
        select r as review, k.sort_key
        from public.product_reviews as r
        cross join lateral (
            select
                extract(epoch from r.created_at) + case v_sort
                    when 'highest' then r.rating
                    else 5 - r.rating
                end * 1e11 as sort_key
        ) as k
        where r.listing_id = find_reviews.product_id
            and r.status = 'approved'
            and (
                v_cursor is null
                or (k.sort_key, r.id) < ((v_cursor ->> 'k')::numeric, (v_cursor ->> 'i')::uuid)
            )
        order by k.sort_key desc, r.id desc
        limit find_reviews.page_size
    ) as p
    cross join lateral private.review_as_row(p.review, false, v_sort, p.sort_key) as w
    order by p.sort_key desc, (p.review).id desc;
end
$$;

revoke all on function private.find_reviews(uuid, text, text, integer) from public;
grant execute on function private.find_reviews(uuid, text, text, integer)
to anon, authenticated, service_role;

comment on function private.find_reviews(uuid, text, text, integer) is
'Core of list_reviews. Definer because cursors are closed to its callers; shows only what is '
'approved.';

create or replace function public.list_reviews(
    product_id uuid,
    sort text default 'newest',
    cursor text default null,
    page_size integer default 20
)
returns setof public.product_review
language plpgsql
stable
set search_path = ''
as $$
begin
    if private.is_not_modified() then
        return;
    end if;
    return query
    select r.*
    from private.find_reviews(
        list_reviews.product_id, list_reviews.sort, list_reviews.cursor, list_reviews.page_size
    ) as r;
end
$$;

revoke all on function public.list_reviews(uuid, text, text, integer) from public;
grant execute on function public.list_reviews(uuid, text, text, integer)
to anon, authenticated, service_role;

comment on function public.list_reviews(uuid, text, text, integer) is
'Approved reviews of a product; sort: newest, highest, lowest. Errors: sort_unknown, '
'page_size_invalid, cursor_invalid.';
