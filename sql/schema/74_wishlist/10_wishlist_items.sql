create table public.wishlist_items (
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    listing_id uuid not null generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    channel public.product_channel not null generated always as (
        case
            when product_id is not null then 'retail'::public.product_channel
            else 'wholesale'::public.product_channel
        end
    ) stored,
    notified_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (user_id, listing_id),
    constraint wishlist_items_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1)
);

alter table public.wishlist_items enable row level security;

create index wishlist_items_listing_id_waiting_idx
on public.wishlist_items (listing_id, created_at) where notified_at is null;
create index wishlist_items_product_id_idx on public.wishlist_items (product_id);
create index wishlist_items_retailer_product_id_idx
on public.wishlist_items (retailer_product_id);

comment on table public.wishlist_items is
'What people want. When a product that had run out is there again, each gets one notice.';
comment on column public.wishlist_items.notified_at is
'When the notice was given; null = it is still owed. Wishing again while it is out of stock asks '
'for another.';

create policy select_own on public.wishlist_items
for select to authenticated
using (user_id = (select auth.uid()));

create policy insert_own on public.wishlist_items
for insert to authenticated
with check (
    user_id = (select auth.uid())
    and (select private.has_login())
    and (
        exists (
            select from public.products as p
            where p.id = wishlist_items.product_id and p.is_active
        )
        or exists (
            select from public.products_retailer as p
            where p.id = wishlist_items.retailer_product_id and p.is_active
        )
    )
);

create policy delete_own on public.wishlist_items
for delete to authenticated
using (user_id = (select auth.uid()));

comment on policy select_own on public.wishlist_items is 'A person sees their own wishes.';
comment on policy insert_own on public.wishlist_items is
'A person wishes for themselves, of what is on sale.';
comment on policy delete_own on public.wishlist_items is
'A person takes back their own wishes.';

grant select, delete on public.wishlist_items to authenticated;
grant insert (product_id, retailer_product_id) on public.wishlist_items to authenticated;
grant select on public.wishlist_items to service_role;

create or replace function private.tg_wishlist_items__check_count()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- One after the other, each with what the others have wished.
    perform
    from public.users as u
    where u.id in (select c.user_id from changed as c)
    order by u.id
    for no key update;
    if exists (
        select
        from public.wishlist_items as w
        where w.user_id in (select c.user_id from changed as c)
        group by w.user_id
        having count(*) > 200
    ) then
        perform private.fail('wishlist_full', '200');
    end if;
    return null;
end
$$;

revoke all on function private.tg_wishlist_items__check_count() from public;

comment on function private.tg_wishlist_items__check_count() is
'Trigger: nobody wishes for more than 200 things. Definer because it counts beside the policies. '
'Error: wishlist_full.';

create trigger wishlist_items_50_check_count
after insert on public.wishlist_items
referencing new table as changed
for each statement execute function private.tg_wishlist_items__check_count();

create or replace function private.is_in_stock(listing_id uuid)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
    return exists (
        select
        from public.product_stock as s
        left join public.products as p on s.product_id = p.id
        left join public.products_retailer as w on s.retailer_product_id = w.id
        where s.listing_id = is_in_stock.listing_id
            and s.available >= coalesce(w.min_order_quantity, 1)
            and coalesce(p.is_active, w.is_active)
    );
end
$$;

revoke all on function private.is_in_stock(uuid) from public;

comment on function private.is_in_stock(uuid) is
'Whether a listing is on sale and enough of it is free for the smallest order.';

create or replace function private.add_wish(product_id uuid, channel public.product_channel)
returns setof public.wishlist_items
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
begin
    if not exists (
        select
        from public.products as p
        where add_wish.channel = 'retail' and p.id = add_wish.product_id and p.is_active
        union all
        select
        from public.products_retailer as p
        where add_wish.channel = 'wholesale' and p.id = add_wish.product_id and p.is_active
    ) then
        perform private.fail('product_not_found', add_wish.product_id::text);
    end if;
    insert into public.wishlist_items as w (user_id, product_id, retailer_product_id)
    values (
        v_user_id,
        case when add_wish.channel = 'retail' then add_wish.product_id end,
        case when add_wish.channel = 'wholesale' then add_wish.product_id end
    )
    on conflict on constraint wishlist_items_pkey do update
    set notified_at = null
    where w.notified_at is not null and not private.is_in_stock(w.listing_id);
    return query
    select w.*
    from public.wishlist_items as w
    where w.user_id = v_user_id
    order by w.created_at desc, w.listing_id;
end
$$;

create or replace function private.remove_wish(product_id uuid, channel public.product_channel)
returns setof public.wishlist_items
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
begin
    delete from public.wishlist_items as w
    where w.user_id = v_user_id
        and w.listing_id = remove_wish.product_id
        and w.channel = remove_wish.channel;
    return query
    select w.*
    from public.wishlist_items as w
    where w.user_id = v_user_id
    order by w.created_at desc, w.listing_id;
end
$$;

create or replace function private.wishlist(country text, language text)
returns setof public.product_listing
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_country text := coalesce(wishlist.country, private.caller_country());
    v_language text := coalesce(wishlist.language, private.caller_language());
    v_ids uuid [];
    v_keys numeric [];
begin
    if v_language not in ('en', 'fr') then
        perform private.fail('language_unknown', left(v_language, 200));
    end if;
    if not exists (select from public.countries as c where c.code = v_country) then
        perform private.fail('country_unknown', left(v_country, 200));
    end if;
    select
        array_agg(w.listing_id order by w.created_at desc, w.listing_id),
        array_agg(extract(epoch from w.created_at) order by w.created_at desc, w.listing_id)
    into v_ids, v_keys
    from public.wishlist_items as w
    inner join public.product_prices as pp
        on w.listing_id = pp.listing_id and pp.country = v_country and pp.is_listed
    where w.user_id = v_user_id;
    return query
    select l.*
    from private.show_listings(
        v_ids, v_keys, array_fill(0::real, array[coalesce(cardinality(v_ids), 0)]),
        v_country, v_language, 'wishlist'
    ) as l;
end
$$;

revoke all on function private.add_wish(uuid, public.product_channel) from public;
revoke all on function private.remove_wish(uuid, public.product_channel) from public;
revoke all on function private.wishlist(text, text) from public;
grant execute on function private.add_wish(uuid, public.product_channel) to authenticated;
grant execute on function private.remove_wish(uuid, public.product_channel) to authenticated;
grant execute on function private.wishlist(text, text) to authenticated;

comment on function private.add_wish(uuid, public.product_channel) is
'Core of add_to_wishlist. Definer because wishes are written by their RPCs only; acts for '
'auth.uid() alone.';
comment on function private.remove_wish(uuid, public.product_channel) is
'Core of remove_from_wishlist. Definer because wishes are written by their RPCs only; acts for '
'auth.uid() alone.';
comment on function private.wishlist(text, text) is
'Core of wishlist. Definer because lists are shown behind their indexes; the caller''s own alone.';

create or replace function public.add_to_wishlist(
    product_id uuid, channel public.product_channel
)
returns setof public.wishlist_items
language plpgsql
set search_path = ''
as $$
begin
    return query
    select w.* from private.add_wish(add_to_wishlist.product_id, add_to_wishlist.channel) as w;
end
$$;

create or replace function public.remove_from_wishlist(
    product_id uuid, channel public.product_channel
)
returns setof public.wishlist_items
language plpgsql
set search_path = ''
as $$
begin
    return query
    select w.*
    from private.remove_wish(remove_from_wishlist.product_id, remove_from_wishlist.channel) as w;
end
$$;

create or replace function public.wishlist(country text default null, language text default null)
returns setof public.product_listing
language plpgsql
stable
set search_path = ''
as $$
begin
    return query select l.* from private.wishlist(wishlist.country, wishlist.language) as l;
end
$$;

revoke all on function public.add_to_wishlist(uuid, public.product_channel) from public;
revoke all on function public.remove_from_wishlist(uuid, public.product_channel) from public;
revoke all on function public.wishlist(text, text) from public;
grant execute on function public.add_to_wishlist(uuid, public.product_channel) to authenticated;
grant execute on function public.remove_from_wishlist(uuid, public.product_channel)
to authenticated;
grant execute on function public.wishlist(text, text) to authenticated;

comment on function public.add_to_wishlist(uuid, public.product_channel) is
'Puts a product on the caller''s wishlist (twice is once) and returns the wishlist. Whoever wishes '
'gets one notice when a product that had run out is there again. Errors: authentication_required, '
'product_not_found, wishlist_full.';
comment on function public.remove_from_wishlist(uuid, public.product_channel) is
'Takes a product from the caller''s wishlist, if it is there, and returns the wishlist. Error: '
'authentication_required.';
comment on function public.wishlist(text, text) is
'The caller''s wishes that are on sale in the country, as lists show products, newest first. '
'Errors: authentication_required, language_unknown, country_unknown.';
