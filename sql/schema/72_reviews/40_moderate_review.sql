create or replace function private.reviews(status text, cursor text, page_size integer)
returns setof public.product_review
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_cursor jsonb;
begin
    perform private.require_admin();
    if reviews.status is null or reviews.status not in ('pending', 'approved', 'rejected') then
        perform private.fail('input_invalid', 'status');
    end if;
    if reviews.page_size is null or reviews.page_size not between 1 and 100 then
        perform private.fail('page_size_invalid', reviews.page_size::text);
    end if;
    if reviews.cursor is not null then
        v_cursor := private.read_cursor(reviews.cursor, 'reviews');
    end if;
    -- The oldest first: what has waited longest.
    return query
    select (private.review_as_row(r, true, 'reviews', extract(epoch from r.updated_at))).*
    from public.product_reviews as r
    where r.status = reviews.status::public.review_status
        and (
            v_cursor is null
            or (r.updated_at, r.id)
            > (to_timestamp((v_cursor ->> 'k')::numeric), (v_cursor ->> 'i')::uuid)
        )
    order by r.updated_at, r.id
    limit reviews.page_size;
end
$$;

create or replace function private.moderate_review(
    review_id uuid, decision text, note text, seen_at timestamptz
)
returns public.product_review
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_admin_id uuid := private.require_admin();
    v_note text := nullif(btrim(moderate_review.note), '');
    v_review public.product_reviews;
begin
    if moderate_review.decision is null
        or moderate_review.decision not in ('approved', 'rejected') then
        perform private.fail('input_invalid', 'decision');
    end if;
    if v_note is not null or moderate_review.decision = 'rejected' then
        v_note := private.check_reason(v_note);
    end if;
    select r.* into v_review
    from public.product_reviews as r
    where r.id = moderate_review.review_id
    for no key update;
    if not found then
        perform private.fail('review_not_found', moderate_review.review_id::text);
    end if;
    -- Said twice is done once.
    if (v_review.status::text, v_review.note)
        is distinct from (moderate_review.decision, v_note) then
        -- Nobody puts words before the shop that they have not read.
        if moderate_review.seen_at is null
            and moderate_review.decision = 'approved' and v_review.status <> 'approved' then
            perform private.fail('value_missing', 'seen_at');
        end if;
        if moderate_review.seen_at <> v_review.updated_at then
            perform private.fail('review_changed', moderate_review.review_id::text);
        end if;
        update public.product_reviews as r
        set status = moderate_review.decision::public.review_status,
            note = v_note,
            moderated_by = v_admin_id,
            moderated_at = now()
        where r.id = v_review.id
        returning r.* into v_review;
    end if;
    return private.review_as_row(
        v_review, true, 'reviews', extract(epoch from v_review.updated_at)
    );
end
$$;

revoke all on function private.reviews(text, text, integer) from public;
revoke all on function private.moderate_review(uuid, text, text, timestamptz) from public;
grant execute on function private.reviews(text, text, integer) to authenticated;
grant execute on function private.moderate_review(uuid, text, text, timestamptz) to authenticated;

comment on function private.reviews(text, text, integer) is
'Core of reviews. Definer because notes and lines of orders are in no readable column; only for '
'admins.';
comment on function private.moderate_review(uuid, text, text, timestamptz) is
'Core of moderate_review. Definer because reviews have no write grant; only for admins.';

create or replace function public.reviews(
    status text default 'pending', cursor text default null, page_size integer default 50
)
returns setof public.product_review
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
    select r.* from private.reviews(reviews.status, reviews.cursor, reviews.page_size) as r;
end
$$;

create or replace function public.moderate_review(
    review_id uuid,
    decision text,
    note text default null,
    seen_at timestamptz default null
)
returns public.product_review
language plpgsql
set search_path = ''
as $$
begin
    return private.moderate_review(
        moderate_review.review_id, moderate_review.decision, moderate_review.note,
        moderate_review.seen_at
    );
end
$$;

revoke all on function public.reviews(text, text, integer) from public;
revoke all on function public.moderate_review(uuid, text, text, timestamptz) from public;
grant execute on function public.reviews(text, text, integer) to authenticated;
grant execute on function public.moderate_review(uuid, text, text, timestamptz) to authenticated;

comment on function public.reviews(text, text, integer) is
'Admins: reviews that are pending, approved or rejected, the longest waiting first. Errors: '
'authentication_required, admin_required, input_invalid, page_size_invalid, cursor_invalid.';
comment on function public.moderate_review(uuid, text, text, timestamptz) is
'Admins: decision approved or rejected; a rejection says why in note, which its author reads. '
'seen_at is updated_at of the review as it was read: needed to approve, checked wherever it is '
'said. The author gets a message. The same twice is once. Errors: authentication_required, '
'admin_required, input_invalid (details: decision), reason_invalid, card_number_refused, '
'review_not_found, value_missing (seen_at), review_changed.';
