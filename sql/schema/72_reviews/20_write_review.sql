create type public.product_review as (
    review_id uuid,
    product_id uuid,
    channel public.product_channel,
    rating smallint,
    title text,
    body text,
    language text,
    author_name text,
    created_at timestamptz,
    updated_at timestamptz,
    order_item_id uuid,
    status public.review_status,
    note text,
    cursor text
);

comment on type public.product_review is
'A review as lists show it. order_item_id, status and note are for its author and the admins, null '
'for everyone else; cursor is for the page after this row.';

create or replace function private.review_as_row(
    review public.product_reviews, is_whole boolean, sort text, sort_key numeric
)
returns public.product_review
language plpgsql
stable
set search_path = ''
as $$
begin
    return row(
        review_as_row.review.id,
        review_as_row.review.listing_id,
        review_as_row.review.channel,
        review_as_row.review.rating,
        review_as_row.review.title,
        review_as_row.review.body,
        review_as_row.review.language,
        review_as_row.review.author_name,
        review_as_row.review.created_at,
        review_as_row.review.updated_at,
        case when review_as_row.is_whole then review_as_row.review.order_item_id end,
        case when review_as_row.is_whole then review_as_row.review.status end,
        case when review_as_row.is_whole then review_as_row.review.note end,
        translate(
            encode(
                convert_to(
                    jsonb_build_object(
                        's', review_as_row.sort, 'k', review_as_row.sort_key,
                        'i', review_as_row.review.id
                    )::text, 'utf8'
                ), 'base64'
            ), E'\n', ''
        )
    )::public.product_review;
end
$$;

revoke all on function private.review_as_row(
    public.product_reviews, boolean, text, numeric
) from public;

comment on function private.review_as_row(public.product_reviews, boolean, text, numeric) is
'A review as a list shows it; is_whole for its author and the admins.';

create or replace function private.write_review(
    order_item_id uuid, rating integer, title text, body text, language text
)
returns public.product_review
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_title text := nullif(btrim(write_review.title), '');
    v_body text := nullif(
        btrim(replace(replace(write_review.body, E'\r\n', E'\n'), E'\t', ' '), E' \n'), ''
    );
    v_language text := coalesce(write_review.language, private.caller_language());
    v_item public.order_items;
    v_review public.product_reviews;
begin
    if write_review.rating is null or write_review.rating not between 1 and 5 then
        perform private.fail('review_invalid', 'rating');
    end if;
    if char_length(v_title) > 120 or v_title ~ '[[:cntrl:]]' then
        perform private.fail('review_invalid', 'title');
    end if;
    if char_length(v_body) > 4000 or translate(v_body, E'\n', '') ~ '[[:cntrl:]]' then
        perform private.fail('review_invalid', 'body');
    end if;
    if v_language not in ('en', 'fr') then
        perform private.fail('language_unknown', left(v_language, 200));
    end if;
    if private.holds_card_number(concat_ws(' / ', v_title, v_body)) then
        perform private.fail('card_number_refused');
    end if;
    select i.* into v_item
    from public.order_items as i
    where i.id = write_review.order_item_id and i.user_id = v_user_id;
    if not found then
        perform private.fail('order_item_not_found', write_review.order_item_id::text);
    end if;
    if not exists (
        select from public.orders as o where o.id = v_item.order_id and o.status = 'delivered'
    ) then
        perform private.fail('review_not_delivered', write_review.order_item_id::text);
    end if;
    perform private.require_rate_limit('review', v_user_id::text);

    -- Said twice is said once: only a change goes before an admin again.
    insert into public.product_reviews as r (
        order_item_id, user_id, product_id, retailer_product_id, rating, title, body, language,
        author_name
    )
    select
        v_item.id, v_user_id, v_item.product_id, v_item.retailer_product_id, write_review.rating,
        v_title, v_body, v_language,
        nullif(left(split_part(btrim(u.full_name), ' ', 1), 60), '')
    from public.users as u
    where u.id = v_user_id
    on conflict on constraint product_reviews_user_id_listing_id_key do update
    set order_item_id = excluded.order_item_id,
        rating = excluded.rating,
        title = excluded.title,
        body = excluded.body,
        language = excluded.language,
        author_name = excluded.author_name,
        status = 'pending',
        note = null,
        moderated_by = null,
        moderated_at = null
    where (r.rating, r.title, r.body, r.language)
        is distinct from (excluded.rating, excluded.title, excluded.body, excluded.language);
    select r.* into strict v_review
    from public.product_reviews as r
    where r.user_id = v_user_id
        and r.listing_id = coalesce(v_item.product_id, v_item.retailer_product_id);
    return private.review_as_row(
        v_review, true, 'own', extract(epoch from v_review.created_at)
    );
end
$$;

create or replace function private.delete_review(review_id uuid)
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
begin
    delete from public.product_reviews as r
    where r.id = delete_review.review_id and r.user_id = v_user_id;
end
$$;

create or replace function private.my_reviews()
returns setof public.product_review
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
begin
    return query
    select (private.review_as_row(r, true, 'own', extract(epoch from r.created_at))).*
    from public.product_reviews as r
    where r.user_id = v_user_id
    order by r.created_at desc, r.id desc;
end
$$;

revoke all on function private.write_review(uuid, integer, text, text, text) from public;
revoke all on function private.delete_review(uuid) from public;
revoke all on function private.my_reviews() from public;
grant execute on function private.write_review(uuid, integer, text, text, text) to authenticated;
grant execute on function private.delete_review(uuid) to authenticated;
grant execute on function private.my_reviews() to authenticated;

comment on function private.write_review(uuid, integer, text, text, text) is
'Core of write_review. Definer because reviews have no write grant; only for lines of the '
'caller''s own delivered orders.';
comment on function private.delete_review(uuid) is
'Core of delete_review. Definer because reviews have no write grant; only the caller''s own.';
comment on function private.my_reviews() is
'Core of my_reviews. Definer because the author of a review is in no readable column; only the '
'caller''s own.';

create or replace function public.write_review(
    order_item_id uuid,
    rating integer,
    title text default null,
    body text default null,
    language text default null
)
returns public.product_review
language plpgsql
set search_path = ''
as $$
begin
    return private.write_review(
        write_review.order_item_id, write_review.rating, write_review.title, write_review.body,
        write_review.language
    );
end
$$;

create or replace function public.delete_review(review_id uuid)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.delete_review(delete_review.review_id);
end
$$;

create or replace function public.my_reviews()
returns setof public.product_review
language plpgsql
stable
set search_path = ''
as $$
begin
    return query select r.* from private.my_reviews() as r;
end
$$;

revoke all on function public.write_review(uuid, integer, text, text, text) from public;
revoke all on function public.delete_review(uuid) from public;
revoke all on function public.my_reviews() from public;
grant execute on function public.write_review(uuid, integer, text, text, text) to authenticated;
grant execute on function public.delete_review(uuid) to authenticated;
grant execute on function public.my_reviews() to authenticated;

comment on function public.write_review(uuid, integer, text, text, text) is
'Reviews the product in a line of the caller''s delivered order with 1 to 5 stars, or changes the '
'caller''s review of it, whichever line or variant that was for; others see it once an admin '
'approved it. Errors: authentication_required, review_invalid (details name the field), '
'language_unknown, card_number_refused, order_item_not_found, review_not_delivered, '
'rate_limit_exceeded.';
comment on function public.delete_review(uuid) is
'Takes the caller''s own review away, if it is there. Error: authentication_required.';
comment on function public.my_reviews() is
'The caller''s own reviews in every state, newest first. Error: authentication_required.';
