create table public.product_views (
    user_id uuid not null references public.users (id) on delete cascade,
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
    view_count integer not null default 1,
    created_at timestamptz not null default now(),
    viewed_at timestamptz not null default now(),
    primary key (user_id, listing_id),
    constraint product_views_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_views_view_count_positive check (view_count > 0),
    constraint product_views_ends_after_start check (viewed_at >= created_at)
)
with (fillfactor = 70);

alter table public.product_views enable row level security;

create index product_views_product_id_idx on public.product_views (product_id);
create index product_views_retailer_product_id_idx
on public.product_views (retailer_product_id);

comment on table public.product_views is
'Pages that a person looked at: one row a product, the last 200 of each person.';
comment on column public.product_views.view_count is
'Visits; looking again within half an hour is the same visit.';
comment on column public.product_views.viewed_at is 'When the person last looked.';

create policy select_own on public.product_views
for select to authenticated
using (user_id = (select auth.uid()));

comment on policy select_own on public.product_views is 'A person sees what they looked at.';

grant select on public.product_views to authenticated, service_role;

create or replace function private.record_product_view(
    product_id uuid, channel public.product_channel
)
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_is_new boolean;
begin
    if not exists (
        select
        from public.products as p
        where record_product_view.channel = 'retail'
            and p.id = record_product_view.product_id and p.is_active
        union all
        select
        from public.products_retailer as p
        where record_product_view.channel = 'wholesale'
            and p.id = record_product_view.product_id and p.is_active
    ) then
        perform private.fail('product_not_found', record_product_view.product_id::text);
    end if;
    insert into public.product_views as v (user_id, product_id, retailer_product_id)
    values (
        v_user_id,
        case when record_product_view.channel = 'retail' then record_product_view.product_id end,
        case
            when record_product_view.channel = 'wholesale' then record_product_view.product_id
        end
    )
    on conflict on constraint product_views_pkey do update
    set view_count = v.view_count
        + (v.viewed_at < now() - interval '30 minutes')::integer,
        viewed_at = greatest(v.viewed_at, now())
    returning v.view_count = 1 and v.created_at = now() into v_is_new;
    if v_is_new then
        delete from public.product_views as v
        where v.user_id = v_user_id
            and v.listing_id in (
                select o.listing_id
                from public.product_views as o
                where o.user_id = v_user_id
                order by o.viewed_at desc, o.listing_id
                offset 200
            );
    end if;
end
$$;

create or replace function private.recent_views(
    country text, language text, page_size integer
)
returns setof public.product_listing
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_country text := coalesce(recent_views.country, private.caller_country());
    v_language text := coalesce(recent_views.language, private.caller_language());
    v_ids uuid [];
    v_keys numeric [];
begin
    if v_language not in ('en', 'fr') then
        perform private.fail('language_unknown', left(v_language, 200));
    end if;
    if recent_views.page_size is null or recent_views.page_size not between 1 and 100 then
        perform private.fail('page_size_invalid', recent_views.page_size::text);
    end if;
    if not exists (select from public.countries as c where c.code = v_country) then
        perform private.fail('country_unknown', left(v_country, 200));
    end if;
    select
        array_agg(v.listing_id order by v.viewed_at desc, v.listing_id),
        array_agg(extract(epoch from v.viewed_at) order by v.viewed_at desc, v.listing_id)
    into v_ids, v_keys
    from (
        select o.listing_id, o.viewed_at
        from public.product_views as o
        inner join public.product_prices as pp
            on o.listing_id = pp.listing_id and pp.country = v_country and pp.is_listed
        where o.user_id = v_user_id
        order by o.viewed_at desc, o.listing_id
        limit recent_views.page_size
    ) as v;
    return query
    select l.*
    from private.show_listings(
        v_ids, v_keys, array_fill(0::real, array[coalesce(cardinality(v_ids), 0)]),
        v_country, v_language, 'viewed'
    ) as l;
end
$$;

revoke all on function private.record_product_view(uuid, public.product_channel) from public;
revoke all on function private.recent_views(text, text, integer) from public;
grant execute on function private.record_product_view(uuid, public.product_channel)
to authenticated;
grant execute on function private.recent_views(text, text, integer) to authenticated;

comment on function private.record_product_view(uuid, public.product_channel) is
'Core of record_product_view. Definer because views are written by their RPC only; acts for '
'auth.uid() alone.';
comment on function private.recent_views(text, text, integer) is
'Core of recently_viewed. Definer because lists are shown behind their indexes; the caller''s own '
'alone.';

create or replace function public.record_product_view(
    product_id uuid, channel public.product_channel
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.record_product_view(
        record_product_view.product_id, record_product_view.channel
    );
end
$$;

create or replace function public.recently_viewed(
    country text default null, language text default null, page_size integer default 12
)
returns setof public.product_listing
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
    select l.*
    from private.recent_views(
        recently_viewed.country, recently_viewed.language, recently_viewed.page_size
    ) as l;
end
$$;

revoke all on function public.record_product_view(uuid, public.product_channel) from public;
revoke all on function public.recently_viewed(text, text, integer) from public;
grant execute on function public.record_product_view(uuid, public.product_channel)
to authenticated;
grant execute on function public.recently_viewed(text, text, integer) to authenticated;

comment on function public.record_product_view(uuid, public.product_channel) is
'Notes that the caller looked at a product''s page. Errors: authentication_required, '
'product_not_found.';
comment on function public.recently_viewed(text, text, integer) is
'What the caller last looked at and is still on sale in the country, as lists show products. '
'Errors: authentication_required, language_unknown, country_unknown, page_size_invalid.';
