create type public.review_status as enum ('pending', 'approved', 'rejected');

comment on type public.review_status is
'pending: written or changed, nobody else sees it. approved, rejected: an admin''s decision, which '
'may be taken back; a change by its author makes it pending again.';

create table public.product_reviews (
    id uuid primary key default gen_random_uuid(),
    order_item_id uuid not null references public.order_items (id) on delete restrict,
    user_id uuid not null references public.users (id) on delete restrict,
    product_id uuid references public.products (id) on delete restrict,
    retailer_product_id uuid references public.products_retailer (id) on delete restrict,
    listing_id uuid not null generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    channel public.product_channel not null generated always as (
        case
            when product_id is not null then 'retail'::public.product_channel
            else 'wholesale'::public.product_channel
        end
    ) stored,
    rating smallint not null,
    title text,
    body text,
    language text not null,
    author_name text,
    status public.review_status not null default 'pending',
    note text,
    moderated_by uuid references public.users (id) on delete restrict,
    moderated_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint product_reviews_user_id_listing_id_key unique (user_id, listing_id),
    constraint product_reviews_order_item_id_key unique (order_item_id),
    constraint product_reviews_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_reviews_rating_is_stars check (rating between 1 and 5),
    constraint product_reviews_title_is_one_line
    check (title ~ '^[^[:cntrl:]]+$' and char_length(title) <= 120),
    constraint product_reviews_body_is_text
    check (
        body <> ''
        and char_length(body) <= 4000
        and translate(body, E'\n', '') !~ '[[:cntrl:]]'
    ),
    constraint product_reviews_language_is_known check (language in ('en', 'fr')),
    constraint product_reviews_author_name_is_one_line
    check (author_name ~ '^[^[:cntrl:]]+$' and char_length(author_name) <= 60),
    constraint product_reviews_note_is_one_line
    check (note ~ '^[^[:cntrl:]]+$' and char_length(note) <= 300),
    constraint product_reviews_holds_no_card_number
    check (not private.holds_card_number(concat_ws(' / ', title, body, note))),
    constraint product_reviews_decision_has_admin_and_time
    check (
        case status
            when 'pending' then num_nonnulls(moderated_by, moderated_at, note) = 0
            else num_nonnulls(moderated_by, moderated_at) = 2
        end
    ),
    constraint product_reviews_rejected_has_note check (status <> 'rejected' or note is not null)
);

alter table public.product_reviews enable row level security;

create index product_reviews_listing_id_created_at_approved_idx
on public.product_reviews (listing_id, created_at desc, id desc) where status = 'approved';
create index product_reviews_status_updated_at_idx
on public.product_reviews (status, updated_at, id);
create index product_reviews_product_id_idx on public.product_reviews (product_id);
create index product_reviews_retailer_product_id_idx
on public.product_reviews (retailer_product_id);
create index product_reviews_moderated_by_idx on public.product_reviews (moderated_by);

create trigger product_reviews_10_update_updated_at
before update on public.product_reviews
for each row execute function public.update_updated_at_column();

comment on table public.product_reviews is
'What buyers say of goods that were delivered to them, one a buyer and product. Shown once an '
'admin approved it.';
comment on column public.product_reviews.order_item_id is
'The delivered line that it was last written for.';
comment on column public.product_reviews.author_name is
'First name as it was when the review was written; null = a customer without one.';
comment on column public.product_reviews.note is
'Why it was rejected, for its author; the shop''s own remark otherwise.';

create policy select_approved_or_own_or_admin on public.product_reviews
for select to anon, authenticated
using (
    status = 'approved'
    or user_id = (select auth.uid())
    or (select private.is_admin())
);

comment on policy select_approved_or_own_or_admin on public.product_reviews is
'Everyone sees approved reviews, their author and the admins the others as well; who wrote one is '
'in no column that they may read.';

grant select (
    id, product_id, retailer_product_id, listing_id, channel, rating, title, body, language,
    author_name, status, created_at, updated_at
) on public.product_reviews to anon, authenticated;
grant select on public.product_reviews to service_role;

create table public.product_ratings (
    listing_id uuid primary key generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    stars_1 integer not null default 0,
    stars_2 integer not null default 0,
    stars_3 integer not null default 0,
    stars_4 integer not null default 0,
    stars_5 integer not null default 0,
    review_count integer not null generated always as (
        stars_1 + stars_2 + stars_3 + stars_4 + stars_5
    ) stored,
    rating numeric(3, 2) generated always as (
        (stars_1 + 2 * stars_2 + 3 * stars_3 + 4 * stars_4 + 5 * stars_5)::numeric
        / nullif(stars_1 + stars_2 + stars_3 + stars_4 + stars_5, 0)
    ) stored,
    updated_at timestamptz not null default now(),
    constraint product_ratings_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_ratings_stars_not_negative
    check (least(stars_1, stars_2, stars_3, stars_4, stars_5) >= 0)
)
with (fillfactor = 80);

alter table public.product_ratings enable row level security;

create index product_ratings_product_id_idx on public.product_ratings (product_id);
create index product_ratings_retailer_product_id_idx
on public.product_ratings (retailer_product_id);

comment on table public.product_ratings is
'The approved reviews of a product, counted by stars; kept by trigger. The supplier''s stars are '
'products.seller_rating.';
comment on column public.product_ratings.rating is 'Mean of the stars, 1 to 5; null without any.';
comment on column public.product_ratings.stars_1 is 'Approved reviews of one star.';

create trigger product_ratings_10_update_updated_at
before update on public.product_ratings
for each row execute function public.update_updated_at_column();

create trigger product_ratings_90_note_insert
after insert on public.product_ratings
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger product_ratings_90_note_update
after update on public.product_ratings
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger product_ratings_90_note_delete
after delete on public.product_ratings
referencing old table as changed
for each statement execute function private.tg__note_catalogue_change();

create policy select_listed on public.product_ratings
for select to anon, authenticated
using (
    exists (select from public.products as p where p.id = product_id)
    or exists (select from public.products_retailer as r where r.id = retailer_product_id)
);

comment on policy select_listed on public.product_ratings is
'Ratings are public, of the goods that the reader sees.';

grant select on public.product_ratings to anon, authenticated, service_role;

create or replace function private.count_review(review public.product_reviews, added integer)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into public.product_ratings (product_id, retailer_product_id)
    values (count_review.review.product_id, count_review.review.retailer_product_id)
    on conflict on constraint product_ratings_pkey do nothing;
    update public.product_ratings as t
    set stars_1 = t.stars_1 + count_review.added * (count_review.review.rating = 1)::integer,
        stars_2 = t.stars_2 + count_review.added * (count_review.review.rating = 2)::integer,
        stars_3 = t.stars_3 + count_review.added * (count_review.review.rating = 3)::integer,
        stars_4 = t.stars_4 + count_review.added * (count_review.review.rating = 4)::integer,
        stars_5 = t.stars_5 + count_review.added * (count_review.review.rating = 5)::integer
    where t.listing_id = count_review.review.listing_id;
end
$$;

create or replace function private.tg_product_reviews__count()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op <> 'INSERT' and old.status = 'approved' then
        perform private.count_review(old, -1);
    end if;
    if tg_op <> 'DELETE' and new.status = 'approved' then
        perform private.count_review(new, 1);
    end if;
    return null;
end
$$;

revoke all on function private.count_review(public.product_reviews, integer) from public;
revoke all on function private.tg_product_reviews__count() from public;

comment on function private.count_review(public.product_reviews, integer) is
'Adds a review to its product''s stars, or takes it away.';
comment on function private.tg_product_reviews__count() is
'Trigger: product_ratings follow what is approved. Definer because ratings have no write grant.';

create trigger product_reviews_80_count
after insert or delete or update of status, rating on public.product_reviews
for each row execute function private.tg_product_reviews__count();

create or replace function private.tg_product_reviews__emit_decision()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    insert into public.notifications (user_id, kind, data)
    values (
        new.user_id, 'review_' || new.status,
        jsonb_build_object(
            'review_id', new.id, 'product_id', new.listing_id, 'channel', new.channel,
            'note', case when new.status = 'rejected' then new.note end
        )
    );
    return null;
end
$$;

revoke all on function private.tg_product_reviews__emit_decision() from public;

comment on function private.tg_product_reviews__emit_decision() is
'Trigger: a message to the author when their review is approved or rejected. Definer because '
'messages have no insert grant.';

create trigger product_reviews_90_emit_decision
after update of status on public.product_reviews
for each row when (new.status <> 'pending' and old.status is distinct from new.status)
execute function private.tg_product_reviews__emit_decision();
